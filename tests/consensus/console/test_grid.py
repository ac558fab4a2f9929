"""Many images at once."""

import re
from html import unescape

import httpx
import numpy as np
import pytest
from flask.testing import FlaskClient
from made_desk import SECOND, Desk, fields, send, words
from made_projects import PROJECT

from consensus.console.pages import percent
from consensus.core.assist.expected import share_interval
from consensus.projects.run import run
from consensus.settings import ProjectConfig

GRID = f"/projects/{PROJECT}/grid"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that wait until everything is read."""
    monkeypatch.setattr("consensus.console.assist.PATIENCE_S", 20.0)


def tiles(page: str) -> list[int]:
    """The tasks of a page, in its order."""
    return [int(task) for task in re.findall(r'name="item" value="(\d+):kind"', page)]


def test_a_grid_shows_open_suggestions_of_one_label(desk: Desk, admin: FlaskClient) -> None:
    """The surest first, or the least sure; with how many there are and the share that is expected to be wrong."""
    waiting = desk.made.tasks[20:]
    page = admin.get(f"{GRID}?label=dog")
    assert tiles(page.text) == waiting[1::2]
    share = r"[\d.]+ %"
    expected = rf"5 of 5 images\. If what is suggested is accepted, {share} are expected to be wrong"
    grounds = r"Known by 10 like them that people have judged since: 0 were decided"
    assert re.search(rf"{expected} \({share} to {share}\)\. {grounds}", words(page.text)), words(page.text)
    assert tiles(admin.get(f"{GRID}?label=dog&order=unsure").text) == waiting[1::2][::-1]


def test_pages_of_a_grid_hold_each_image_once(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both orders, and of a report."""
    monkeypatch.setattr("consensus.console.grid.TILES", 2)
    for query, count in (("label=cat", 5), ("label=cat&order=unsure", 5), ("of=Discovered&label=cat", 9)):
        address, seen = f"{GRID}?{query}", list[int]()
        for _ in range(9):
            page = admin.get(address).text
            seen += tiles(page)
            following = re.search(r'rel="next" href="([^"]+)"', page)
            if not following:
                break
            address = following[1].replace("&amp;", "&")
        assert (len(seen), len(set(seen))) == (count, count), query


def test_what_a_grid_says_is_what_accepting_writes(desk: Desk, admin: FlaskClient) -> None:
    """Two of a page: the count that is shown is the count that is written, by the machine account."""
    page = admin.get(f"{GRID}?label=dog")
    chosen = tiles(page.text)[:2]
    items = [f"{task}:kind" for task in chosen]
    asked = send(admin, f"/projects/{PROJECT}/act", page, action="suggested", item=items, back=GRID)
    assert "2 of 2 tasks have a suggestion" in words(asked.text)
    desk.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    for task in chosen:
        [annotation] = desk.made.annotations(task)
        assert annotation["result"][0]["value"] == {"choices": ["dog"]}
        assert annotation["completed_by"] == desk.made.machine
    assert set(tiles(admin.get(f"{GRID}?label=dog").text)).isdisjoint(chosen)


@pytest.mark.parametrize(
    ("query", "message"),
    [("of=nothing", "a grid is of"), ("control=x", "no control 'x'"), ("label=x", "no label 'x'")],
)
def test_a_grid_of_what_is_not_there_is_refused(admin: FlaskClient, query: str, message: str) -> None:
    """With what there is."""
    answer = admin.get(f"{GRID}?{query}")
    assert (answer.status_code, message in words(answer.text)) == (400, True)


def said_of(posteriors: list[float]) -> str:
    """What a page says of labels that are right with these probabilities."""
    wrong = len(posteriors) - sum(posteriors)
    low, high = share_interval(wrong, len(posteriors))
    share = percent(wrong / len(posteriors), 1)
    return f"{share} are expected to be wrong ({percent(low, 1)} to {percent(high, 1)})"


def test_a_grid_of_a_report_says_what_share_is_expected_to_be_wrong(desk: Desk, admin: FlaskClient) -> None:
    """If the label is set: the mean probability, by the votes, that it is not right."""
    rows = desk.store.report(PROJECT, "Discovered")
    right = rows["posterior"][rows["label"] == "cat"].tolist()
    text = words(admin.get(f"{GRID}?of=Discovered&label=cat").text)
    assert f"9 of 9 images. If all are set to cat , {said_of(right)}. Known by the votes" in text


def test_a_label_that_is_set_is_expected_to_be_wrong_as_the_votes_say(desk: Desk, admin: FlaskClient) -> None:
    """Before it is: of the tasks that are chosen, and of those alone that something is known of."""
    page = admin.get(f"{GRID}?of=Discovered&label=cat")
    items = ["101:kind", "102:kind", "130:kind"]
    asked = words(send(admin, f"/projects/{PROJECT}/act", page, action="label", label="cat", item=items).text)
    with desk.store.snapshot() as snapshot:
        right = [row["posterior"] for row in snapshot.believed(PROJECT, [101, 102]) if row["label"] == "cat"]
    share, interval = said_of(right).split(" are expected to be wrong ")
    assert f"Expected to be wrong: {share} {interval}. Known by the votes" in asked
    assert "of 1 nothing is known" in asked


def test_what_is_proposed_in_the_place_of_a_wrong_label_is_offered_first(desk: Desk, admin: FlaskClient) -> None:
    """With the share of the proposals that is expected to be wrong, as the page before accepting says it."""
    for task, given in zip(desk.made.tasks[:4], ("dog", "dog", "dog", "dog"), strict=True):
        desk.made.server.tasks[task]["data"]["label"] = given
    config = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})
    run(desk.made.connected(), desk.store, config, PROJECT, now=desk.made.now)
    page = admin.get(f"{GRID}?of=MisClassified&label=dog")
    assert tiles(page.text) == [101, 103]
    [expected] = re.findall(r"is accepted, (.*?)\. Known by the votes", words(page.text))
    asked = send(admin, f"/projects/{PROJECT}/act", page, action="accept", item=["101:kind", "103:kind"])
    assert (
        f"2 of 2 tasks have a wrong given label and a better one; by the votes {expected.split(' %')[0]}%"
        in words(asked.text)
    )
    with desk.store.snapshot() as snapshot:
        [right] = [row["posterior"] for row in snapshot.believed(PROJECT, [101]) if row["label"] == "cat"]
    assert f"101 cat {percent(right)} 103" in words(page.text), "how probable that is, not the label that is wrong"


def test_labels_that_nobody_voted_on_are_known_by_given_ones(desk: Desk, admin: FlaskClient) -> None:
    """The page says so."""
    desk.made.server.tasks[130]["data"]["label"] = "owl"
    config = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})
    run(desk.made.connected(), desk.store, config, PROJECT, now=desk.made.now)
    rows = desk.store.report(PROJECT, "NoVotes")
    [right] = rows["posterior"][np.flatnonzero(rows["label"] == "owl")].tolist()
    text = words(admin.get(f"{GRID}?of=NoVotes&label=owl").text)
    assert f"{said_of([right])}. Known nobody" not in text
    assert f"{said_of([right])}. Known by how often given labels are right on the whole: nobody has voted" in text


def test_a_grid_says_that_suggestions_are_being_read(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks again until they are there, also without scripts; a report waits for nothing."""
    monkeypatch.setattr("consensus.console.assist.PATIENCE_S", 0.0)
    with desk.service.alone("this test"):
        page = admin.get(f"{GRID}?label=dog")
        assert "The suggestions are being read" in words(page.text)
        assert re.search(r'<noscript><meta http-equiv="refresh" content="2; url=[^"]+reading=', page.text)
        assert len(tiles(admin.get(f"{GRID}?of=Discovered&label=dog").text)) == 9
        following = re.search(r'hx-get="([^"]+)"', page.text)
        assert following
        again = unescape(following[1])
        assert "The suggestions are being read" in words(admin.get(again).text)
    [job] = desk.service.readings.jobs(PROJECT)
    assert job.ended.wait(20)
    assert len(tiles(admin.get(again).text)) == 5


def test_suggestions_that_cannot_be_read_leave_the_page(desk: Desk, admin: FlaskClient) -> None:
    """With the reason, a link that tries again, and the other sources."""
    place = f"GET api/projects/{PROJECT}/model-versions"
    desk.made.server.faults[place] = lambda _: httpx.Response(403, json={"detail": "no"})
    page = admin.get(GRID)
    assert (page.status_code, 'role="alert"' in page.text) == (200, True)
    assert "Try again" in words(page.text)
    assert "<option>Discovered</option>" in page.text
    del desk.made.server.faults[place]
    assert len(tiles(admin.get(GRID).text)) == 5


def test_a_project_without_suggestions_says_what_helps(desk: Desk, admin: FlaskClient) -> None:
    """Those of a version that it does not show are in AI-assist."""
    desk.made.server.project["model_version"] = ""
    assert f'href="/projects/{PROJECT}/assist"' in admin.get(GRID).text
    for task in desk.made.server.tasks.values():
        task["predictions"] = []
    assert "No model has suggested anything" in words(admin.get(GRID).text)


def test_the_last_action_is_taken_back_beside_the_images(desk: Desk, admin: FlaskClient) -> None:
    """One's own, until it is; another's is theirs."""
    page = admin.get(f"{GRID}?of=Discovered&label=cat&after=")
    assert "Your last action" not in page.text
    before = desk.made.annotations(101)
    asked = send(admin, f"/projects/{PROJECT}/act", page, action="label", item="101:kind", label="owl", back=GRID)
    desk.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    page = admin.get(f"{GRID}?of=Discovered&label=cat")
    assert "Your last action: decided by a reviewer, 1 item, just now" in words(page.text)
    assert "Your last action" not in desk.signed_in(SECOND).get(GRID).text
    undo = page.text[page.text.index("Your last action") :]
    action = re.search(r'action="([^"]+/undo)"', undo)
    assert action
    asked = admin.post(action[1], data=fields(undo))
    assert fields(asked.text)["back"] == [f"{GRID}?of=Discovered&label=cat"]
    desk.ended(admin.post(action[1], data=fields(asked.text)))
    assert desk.made.annotations(101) == before
    assert "Your last action" not in admin.get(GRID).text
