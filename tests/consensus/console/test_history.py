"""What was done, and by whom."""

import re
from html import unescape

import pytest
from flask.testing import FlaskClient
from in_memory_label_studio import region
from made_desk import REV, Desk, fields, send, words
from made_projects import OWNER, PROJECT

from consensus.projects.run import run
from consensus.settings import ProjectConfig

HOME = f"/projects/{PROJECT}/"
HISTORY = f"{HOME}history"


def decided(desk: Desk, admin: FlaskClient, *tasks: int, label: str = "owl") -> str:
    """A batch that sets a label on tasks; its id."""
    page = admin.get(f"{HOME}reports/NoVotes")
    items = [f"{task}:kind" for task in tasks]
    asked = send(admin, f"{HOME}act", page, action="label", item=items, label=label)
    desk.ended(admin.post(f"{HOME}do", data=fields(asked.text)))
    with desk.store.snapshot() as snapshot:
        return str(snapshot.decisions.batches(PROJECT)[0]["id"])


def run_again(desk: Desk) -> None:
    """A run an hour later."""
    desk.made.later()
    run(desk.made.studio, desk.store, ProjectConfig(), PROJECT, now=desk.made.now)


def test_runs_are_listed_to_the_first(desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest first, each once, with what it counted."""
    run_again(desk)
    run_again(desk)
    monkeypatch.setattr("consensus.console.history.ROWS", 2)
    address, numbers = HISTORY, list[str]()
    for _ in range(4):
        page = admin.get(address).text
        assert re.search(r"30 60 AllConfirmed", words(page))
        numbers += re.findall(r'<th scope="row">(\d+)</th>', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if not following:
            break
        address = unescape(following[1])
    assert numbers == ["3", "2", "1"]


def test_a_run_that_was_cut_off_is_named(desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label Studio holds only a part of its reports."""
    desk.made.server.annotate(130, [region("kind", "owl")], completed_by=5)
    desk.made.later()
    monkeypatch.setattr("consensus.projects.run.write_reports", cut_off)
    with pytest.raises(RuntimeError, match="cut off"):
        run(desk.made.studio, desk.store, ProjectConfig(), PROJECT, now=desk.made.now)
    assert "not finished" in words(admin.get(HISTORY).text)


def cut_off(*_: object) -> None:
    """As a kill does."""
    raise RuntimeError("cut off")


def test_a_batch_shows_its_items_and_what_was_left(desk: Desk, admin: FlaskClient) -> None:
    """With the reason, and those of one state alone where it is asked for."""
    first, second = desk.made.tasks[-2:]
    batch = decided(desk, admin, first, second)
    desk.store.decisions.settle_items(
        batch, [{"task": second, "control": "kind", "state": "left", "note": "somebody was faster"}]
    )
    listed = words(admin.get(f"{HISTORY}/batches").text)
    assert re.search(rf"{batch} decided by a reviewer {OWNER} .* 1 left out, 1 written", listed)
    page = admin.get(f"{HISTORY}/batches/{batch}").text
    assert re.search(rf"{first} kind owl written {second} kind owl left out somebody was faster", words(page))
    left = words(admin.get(f"{HISTORY}/batches/{batch}?state=left").text)
    assert (str(second) in left, str(first) in left) == (True, False)


def test_a_batch_is_taken_back_from_its_page(desk: Desk, admin: FlaskClient) -> None:
    """Both it and the undo lead to each other; neither can be taken back again."""
    before = desk.made.state()
    batch = decided(desk, admin, desk.made.tasks[-1])
    page = admin.get(f"{HISTORY}/batches/{batch}")
    action = re.search(r'action="([^"]+/undo)"', page.text)
    assert action
    asked = send(admin, action[1], page, back=f"{HISTORY}/batches/{batch}")
    assert fields(asked.text)["back"] == [f"{HISTORY}/batches/{batch}"]
    desk.ended(admin.post(action[1], data=fields(asked.text)))
    assert desk.made.state() == before
    text = admin.get(f"{HISTORY}/batches/{batch}").text
    undo = re.search(rf'href="{HISTORY}/batches/(\w+)">taken back', text)
    assert undo
    assert "/undo" not in text
    text = admin.get(f"{HISTORY}/batches/{undo[1]}").text
    assert f"It takes back batch {batch}" in words(text)
    assert "/undo" not in text


def test_decisions_are_listed_the_latest_first(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who decided which label, page after page."""
    tasks = desk.made.tasks[-3:]
    for task in tasks:
        decided(desk, admin, task)
    monkeypatch.setattr("consensus.console.history.ROWS", 2)
    page = admin.get(f"{HISTORY}/decisions").text
    assert re.search(rf"{tasks[2]} {OWNER} corrects it to owl kind review", words(page))
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    shown = re.findall(r"/tasks/(\d+)", page + admin.get(unescape(following[1])).text)
    assert shown == [str(task) for task in reversed(tasks)]


def test_the_story_of_a_task(desk: Desk, admin: FlaskClient) -> None:
    """What it is now, who voted what, what was decided, and the way to Label Studio."""
    task = desk.made.tasks[0]
    batch = decided(desk, admin, task)
    page = admin.get(f"{HOME}tasks/{task}").text
    text = words(page)
    assert re.search(r"cat Discovered 3 0 0", text)
    assert "a5@example.com says yes to 'cat'" in text
    assert f"{OWNER} corrects it to 'owl' (review, batch {batch})" in text
    assert f"/projects/{PROJECT}/data?task={task}" in page
    assert f"{HISTORY}/batches/{batch}" in page
    assert text.index("corrects it to") < text.index("says yes to"), "the latest comes first"


def test_a_task_of_which_runs_know_nothing_is_shown_as_it_is(desk: Desk, admin: FlaskClient) -> None:
    """With its image, what it holds, and the way to Label Studio; once somebody has voted, a run knows it."""
    desk.made.server.add_task({"image": "131.png", "place": "harbour"}, task_id=131)
    page = admin.get(f"{HOME}tasks/131")
    assert page.status_code == 200
    assert "The runs so far have nothing on this task" in words(page.text)
    assert "place harbour" in words(page.text)
    assert f"/projects/{PROJECT}/data?task=131" in page.text
    assert "tasks/131/picture?control=kind" in page.text
    desk.made.server.annotate(131, [region("kind", "owl")], completed_by=5)
    run_again(desk)
    assert "The runs so far" not in words(admin.get(f"{HOME}tasks/131").text)


def test_of_many_labels_those_that_somebody_named_are_shown(
    admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how many are not."""
    monkeypatch.setattr("consensus.console.history.LABELS", 2)
    text = words(admin.get(f"{HOME}tasks/101").text)
    assert "2 labels that nobody has named are not shown" in text


def test_pages_lead_to_the_story(desk: Desk, admin: FlaskClient) -> None:
    """Of reports, the grid and an admin's card."""
    decided(desk, admin, desk.made.tasks[-1])
    desk.store.decisions.enter(
        PROJECT, "pending", [{"task": 129, "control": "kind", "priority": 0.0, "detail": {}}], desk.made.now()
    )
    for path in ("reports/Discovered", "grid?label=dog", "history/decisions", "review/pending"):
        assert re.search(rf'href="{HOME}tasks/\d+"', admin.get(f"{HOME}{path}").text), path


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("tasks/999", 404, "has no task 999"),
        ("history/batches/ffff", 404, "no batch ffff"),
        ("history/batches/ffff?state=x", 400, "not 'x'"),
        ("history/decisions?after=nonsense", 400, ""),
    ],
)
def test_what_is_not_there_is_said(admin: FlaskClient, path: str, status: int, message: str) -> None:
    """Without a traceback."""
    answer = admin.get(f"{HOME}{path}")
    assert (answer.status_code, message in words(answer.text)) == (status, True), words(answer.text)


def test_nothing_is_there_yet(admin: FlaskClient) -> None:
    """The pages say what will be."""
    assert "Nothing was written yet" in words(admin.get(f"{HISTORY}/batches").text)
    assert "Nothing was decided yet" in words(admin.get(f"{HISTORY}/decisions").text)


def test_a_reviewer_is_not_led_to_stories(desk: Desk) -> None:
    """They are for admins: a card is judged by its image and its votes."""
    desk.store.decisions.enter(
        PROJECT, "pending", [{"task": 130, "control": "kind", "priority": 0.0, "detail": {}}], desk.made.now()
    )
    page = desk.signed_in(REV).get(f"{HOME}review/pending").text
    assert "its story" not in page
    assert "/picture" in page
