"""AI-assist: thresholds, what they would accept, and what is written then."""

import re
from html import unescape

import httpx
import pytest
from flask.testing import FlaskClient
from in_memory_label_studio import region
from made_desk import Desk, fields, send, words
from made_projects import PROJECT

from consensus.console.charts import bars
from consensus.projects.run import run
from consensus.serving.suggested import SuggestedMemory
from consensus.settings import ProjectConfig

HOME = f"/projects/{PROJECT}/assist"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that wait until everything is read."""
    monkeypatch.setattr("consensus.console.assist.PATIENCE_S", 20.0)


def counted(page: str) -> tuple[int, int]:
    """How many would be accepted, of how many."""
    match = re.search(r"([\d,]+) of ([\d,]+) open suggestions? would be accepted", words(page))
    assert match, words(page)
    return int(match[1]), int(match[2])


def form_of(page: str) -> dict[str, list[str]]:
    """The hidden fields of the form that accepts."""
    start = page.index('/act"')
    return fields(page[: page.index("</form>", start)])


@pytest.mark.parametrize(
    "query", ["?above=0.7", "?above=0.85&label=dog", "?above=0", "?precision=0.5", "?above=0.95"]
)
def test_the_number_that_the_slider_shows_is_the_number_that_accept_writes(
    desk: Desk, admin: FlaskClient, query: str
) -> None:
    """By a filter, not by a list; and what is taken back is as it was before."""
    before = desk.made.state()
    page = admin.get(HOME + query)
    count, _ = counted(page.text)
    assert count > 0
    asked = admin.post(f"/projects/{PROJECT}/act", data=form_of(page.text))
    assert f"{count} tasks have a suggestion" in words(asked.text)
    form = fields(asked.text)
    assert "item" not in form
    done = admin.post(f"/projects/{PROJECT}/do", data=form)
    desk.ended(done)
    with desk.store.snapshot() as snapshot:
        [batch] = snapshot.decisions.batches(PROJECT)
    assert len(desk.made.written(batch["id"])) == count
    result = admin.get(done.headers["Location"])
    undo = f"/projects/{PROJECT}/batches/{batch['id']}/undo"
    desk.ended(admin.post(undo, data={**fields(send(admin, undo, result).text)}))
    assert desk.made.state() == before


def test_never_more_is_accepted_than_was_shown(desk: Desk, admin: FlaskClient) -> None:
    """Tasks that came meanwhile wait for the next look."""
    page = admin.get(f"{HOME}?above=0.7")
    count, _ = counted(page.text)
    asked = admin.post(f"/projects/{PROJECT}/act", data=form_of(page.text))
    for task in (901, 902):
        made = {"model_version": "m1", "result": [region("kind", "cat", score=0.99)], "score": 0.99}
        desk.made.server.add_task({"image": f"{task}.png"}, predictions=[made], task_id=task)
    desk.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    with desk.store.snapshot() as snapshot:
        [batch] = snapshot.decisions.batches(PROJECT)
        assert snapshot.decisions.item_counts(batch["id"]) == {"written": count}


def test_a_page_says_that_suggestions_are_being_read(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks again until they are there."""
    monkeypatch.setattr("consensus.console.assist.PATIENCE_S", 0.0)
    with desk.service.alone("this test"):
        page = admin.get(HOME)
        assert "The suggestions are being read" in words(page.text)
        following = re.search(r'hx-get="([^"]+)"', page.text)
        assert following
        again = unescape(following[1])
        assert "The suggestions are being read" in words(admin.get(again).text)
    [job] = desk.service.readings.jobs(PROJECT)
    assert job.ended.wait(20)
    assert counted(admin.get(again).text)[1] == 10
    assert len(desk.service.readings.jobs(PROJECT)) == 1


def test_what_label_studio_refuses_is_said(desk: Desk, admin: FlaskClient) -> None:
    """With a link that tries again."""
    place = f"GET api/projects/{PROJECT}/model-versions"
    desk.made.server.faults[place] = lambda _: httpx.Response(403, json={"detail": "no"})
    page = admin.get(HOME)
    assert 'role="alert"' in page.text
    assert "Try again" in words(page.text)
    del desk.made.server.faults[place]
    assert counted(admin.get(HOME).text)[1] == 10


def test_each_version_has_its_suggestions(desk: Desk, admin: FlaskClient) -> None:
    """That which is shown by default; where none is shown one chooses, and where there is none a page says it."""
    made = {"model_version": "m2", "result": [region("kind", "owl", score=0.97)], "score": 0.97}
    desk.made.server.add_task({"image": "x.png"}, predictions=[made], task_id=990)
    assert re.search(r"<option selected>m1</option>", admin.get(HOME).text)
    assert counted(admin.get(f"{HOME}?version=m2").text) == (1, 1)
    assert "has no prediction in project 7" in words(admin.get(f"{HOME}?version=m3").text)
    desk.service.suggested.forget(PROJECT)
    desk.made.server.project["model_version"] = None
    page = admin.get(HOME).text
    assert "The project shows no suggestions of a model" in words(page)
    assert re.findall(r'\?version=(m\d)"', page) == ["m2", "m1"]
    for task in desk.made.server.tasks.values():
        task["predictions"] = []
    assert "No model has suggested anything" in words(admin.get(HOME).text)


@pytest.mark.parametrize("query", ["above=2", "above=x", "precision=1.5", "precision=1", "label=unknown"])
def test_an_impossible_threshold_is_refused(admin: FlaskClient, query: str) -> None:
    """Before anything is counted."""
    assert admin.get(f"{HOME}?{query}").status_code == 400


def test_all_proposals_that_match_are_accepted(desk: Desk, admin: FlaskClient) -> None:
    """Those in the place of a given label, and no others."""
    monkey = desk.made.server
    for task, given in zip(desk.made.tasks[:4], ("dog", "dog", "owl", "cat"), strict=True):
        monkey.tasks[task]["data"]["label"] = given
    config = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})
    run(desk.made.connected(), desk.store, config, PROJECT, now=desk.made.now)
    page = admin.get(f"/projects/{PROJECT}/reports/MisClassified?label=dog")
    start = page.text.index('name="all"')
    asked = admin.post(
        f"/projects/{PROJECT}/act",
        data={**fields(page.text[: page.text.index("</form>", start)]), "action": "accept", "of_above": "0.5"},
    )
    assert "1 tasks have a wrong given label" in words(asked.text)
    desk.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    with desk.store.snapshot() as snapshot:
        [batch] = snapshot.decisions.batches(PROJECT)
    assert desk.made.written(batch["id"]) == desk.made.tasks[:1]


@pytest.mark.parametrize("field", [{"action": "review"}, {"action": "suggested", "of_above": "x"}])
def test_a_filter_that_cannot_be_is_refused(admin: FlaskClient, field: dict[str, str]) -> None:
    """As one by which nothing can be chosen."""
    page = admin.get(f"{HOME}?above=0.7")
    assert send(admin, f"/projects/{PROJECT}/act", page, all="yes", **field).status_code == 400


def test_what_stays_below_a_threshold_is_drawn_faded() -> None:
    """Beside what does not."""
    assert bars([1, 2, 3], "three", faded=2).count('class="faded"') == 2


def test_a_reading_that_ends_while_a_page_is_made_is_no_empty_project(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page asks again, and then shows what was read."""
    monkeypatch.setattr("consensus.console.assist.PATIENCE_S", 0.0)
    memory, look = desk.service.suggested, desk.service.alone("this test")
    fresh, looks = SuggestedMemory.fresh, iter([None, look.__exit__])

    def ends_behind(project: int, version: str | None) -> object:
        """Let the reading end right after the second look, which finds nothing yet."""
        read, release = fresh(memory, project, version), next(looks, None)
        if release is not None:
            release(None, None, None)
            assert all(job.ended.wait(20) for job in desk.service.readings.jobs(project))
        return read

    look.__enter__()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("consensus.serving.suggested.SuggestedMemory.fresh", lambda _, *of: ends_behind(*of))
        page = admin.get(HOME)
    assert "The suggestions are being read" in words(page.text)
    assert counted(admin.get(HOME).text)[1] == 10


LABELS = f"{HOME}/labels"


def label_form(page: str) -> dict[str, list[str]]:
    """The form of the lines."""
    start = page.index('<form method="post" action="/projects/7/assist/labels"')
    form = page[start : page.index("</form>", start)]
    sent = fields(form)
    sent["from"] = re.findall(r'name="from"[^>]* value="([^"]*)"', form)
    return sent


def test_each_label_has_the_score_that_its_promise_needs(desk: Desk, admin: FlaskClient) -> None:
    """What the table accepts by default is what the precision accepts; as one batch of a filter."""
    promised = counted(admin.get(f"{HOME}?precision=0.5").text)
    page = admin.get(f"{LABELS}?precision=0.5")
    assert counted(page.text) == promised
    sent = label_form(page.text)
    assert len(sent["from"]) == len(sent["group"]) == 2
    same = admin.post(LABELS, data=sent)
    assert same.headers["Location"] == f"{LABELS}?version=m1&precision=0.5"
    assert desk.store.decisions.batches(PROJECT) == []


@pytest.mark.parametrize("longest", [2_000, 0])
def test_lines_of_ones_own_are_counted_and_accepted(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    """The number that the table shows is the number that accept writes, with an address and without one."""
    monkeypatch.setattr("consensus.console.thresholds.LONGEST", longest)
    sent = label_form(admin.get(f"{LABELS}?precision=0.5").text)
    labels = [group.split('"')[3] for group in map(unescape, sent["group"])]
    sent["from"] = ["0.75" if label == "dog" else "" for label in labels]
    page = admin.post(LABELS, data=sent, follow_redirects=True)
    assert (page.request.method == "GET") == (longest > 0)
    read = desk.service.suggested.fresh(PROJECT, "m1")
    assert read is not None
    dogs = [each for each in read.open.rows if each.labels == ("dog",) and each.score >= 0.75]
    assert counted(page.text)[0] == len(dogs) > 0
    assert "by a score of your own" in words(page.text)
    assert label_form(page.text)["from"] == sent["from"]
    asked = admin.post(f"/projects/{PROJECT}/act", data=form_of(page.text))
    assert f"{len(dogs)} tasks have a suggestion" in words(asked.text)
    desk.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    [batch] = desk.store.decisions.batches(PROJECT)
    assert sorted(desk.made.written(batch["id"])) == sorted(each.task for each in dogs)
    assert batch["params"]["target_precision"] == 0.5


@pytest.mark.parametrize(
    "query", ["precision=1", "own=x", "own=[2,%22kind%22,%22cat%22]", 'own=[0.5,"kind"]', "own=[[],1,2]"]
)
def test_an_impossible_line_is_refused(admin: FlaskClient, query: str) -> None:
    """With what it should be."""
    assert admin.get(f"{LABELS}?{query}").status_code == 400


def test_lines_wait_for_suggestions_that_are_being_read(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ask again by an address that keeps them."""
    monkeypatch.setattr("consensus.console.assist.PATIENCE_S", 0.0)
    with desk.service.alone("this test"):
        page = admin.get(f"{LABELS}?precision=0.5&own=[0.5,%22kind%22,%22cat%22]")
    assert "The suggestions are being read" in words(page.text)
    assert "own=" in page.text
