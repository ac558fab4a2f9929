"""Review: one item a page."""

import re
from html import unescape

import pytest
from flask.testing import FlaskClient
from made_desk import OTHER, REV, SECOND, Desk, send, words
from made_projects import PROJECT
from werkzeug.test import TestResponse

REVIEW = f"/projects/{PROJECT}/review"
PENDING = f"{REVIEW}/pending"


@pytest.fixture
def reviewer(desk: Desk) -> FlaskClient:
    """Somebody who sees queues alone; the last five tasks wait there."""
    tasks = desk.made.tasks[-5:]
    entries = [{"task": task, "control": "kind", "priority": float(task), "detail": {}} for task in tasks]
    desk.store.decisions.enter(PROJECT, "pending", entries, desk.made.now())
    return desk.signed_in(REV)


def task_of(page: TestResponse) -> int:
    """The task of a card."""
    shown = re.search(r'name="task" value="(\d+)"', page.text)
    assert shown, words(page.text)
    return int(shown[1])


def ruled(client: FlaskClient, page: TestResponse, ruling: str, **more: object) -> TestResponse:
    """Send a ruling of a card, and show what comes next."""
    fields = re.findall(r'name="(task|control|behind)" value="([^"]*)"', page.text)
    hidden = {name: unescape(value) for name, value in fields}
    answer = send(client, PENDING, page, ruling=ruling, **{**hidden, **more})
    assert answer.status_code == 303, words(answer.text)
    return client.get(answer.headers["Location"])


def test_a_reviewer_is_led_to_the_queues(reviewer: FlaskClient) -> None:
    """With what waits in each."""
    assert reviewer.get("/").headers["Location"] == REVIEW
    assert "5 pending Suggestions that are not sure enough" in words(reviewer.get(REVIEW).text)


def test_items_are_decided_one_after_the_other(desk: Desk, reviewer: FlaskClient) -> None:
    """A label is chosen, none can be told, one is skipped; each is written before the next is shown."""
    tasks = desk.made.tasks[-5:]
    page = reviewer.get(PENDING)
    assert task_of(page) == tasks[0]
    page = ruled(reviewer, page, "correct", label="owl")
    assert f"Task {tasks[0]}: another label is right (owl)." in words(page.text)
    [annotation] = desk.made.annotations(tasks[0])
    assert annotation["result"][0]["value"] == {"choices": ["owl"]}
    assert (annotation["ground_truth"], annotation["completed_by"]) == (True, 21)
    assert task_of(page) == tasks[1]
    page = ruled(reviewer, page, "unusable")
    assert "no label can be told" in words(page.text)
    skip = re.search(r'data-key="s" href="([^"]+)"', page.text)
    assert skip
    page = reviewer.get(unescape(skip[1]))
    assert task_of(page) == tasks[3]
    page = ruled(reviewer, ruled(reviewer, page, "correct", label="cat"), "correct", label="dog")
    assert "Nothing more waits here for you" in words(page.text)
    assert "From the beginning, with what was skipped" in words(page.text)
    assert task_of(reviewer.get(PENDING)) == tasks[2]


def test_the_last_decision_is_taken_back(desk: Desk, reviewer: FlaskClient) -> None:
    """Its item is shown again; another reviewer may not, an admin may."""
    first = desk.made.tasks[-5]
    before = desk.made.state()
    page = ruled(reviewer, reviewer.get(PENDING), "correct", label="owl")
    batch = re.search(r'name="batch" value="(\w+)"', page.text)
    assert batch
    other = desk.signed_in(OTHER)
    refused = send(other, f"{PENDING}/undo", other.get(PENDING), batch=batch[1])
    assert (refused.status_code, "another reviewer's decision" in words(refused.text)) == (400, True)
    answer = send(reviewer, f"{PENDING}/undo", page, batch=batch[1])
    page = reviewer.get(answer.headers["Location"])
    assert ("Taken back." in words(page.text), task_of(page)) == (True, first)
    assert desk.made.state() == before


def test_what_somebody_has_decided_is_not_decided_again(desk: Desk, reviewer: FlaskClient) -> None:
    """Two reviewers with the same card: the second is told who was first."""
    second = desk.signed_in(SECOND)
    cards = [client.get(PENDING) for client in (reviewer, second)]
    assert task_of(cards[0]) == task_of(cards[1])
    ruled(reviewer, cards[0], "correct", label="owl")
    page = ruled(second, cards[1], "correct", label="cat")
    assert re.search(rf"Task {task_of(cards[0])} was not decided: .*{REV}", words(page.text))
    [annotation] = desk.made.annotations(task_of(cards[0]))
    assert annotation["completed_by"] == 21


def test_what_is_assigned_to_others_is_not_shown(desk: Desk, reviewer: FlaskClient) -> None:
    """Nor what the reviewer has annotated."""
    tasks = desk.made.tasks[-5:]
    desk.store.decisions.assign_many(
        PROJECT,
        [{"queue": "pending", "task": tasks[0], "control": "kind", "assigned_to": SECOND}],
        desk.made.now(),
    )
    desk.made.server.annotate(tasks[1], [], completed_by=21)
    assert task_of(reviewer.get(PENDING)) == tasks[2]


def test_a_random_sample_is_judged_blind(desk: Desk, reviewer: FlaskClient) -> None:
    """Neither votes nor suggestion nor proposal are on the page."""
    task = desk.made.tasks[0]
    entries = [{"task": task, "control": "kind", "priority": 0.0, "detail": {}}]
    desk.store.decisions.enter(PROJECT, "audit", entries, desk.made.now())
    text = words(reviewer.get(f"{REVIEW}/audit").text)
    assert "Judged blind" in text
    for hidden in ("a5@example.com", "Proposed", "Suggested", "Given"):
        assert hidden not in text


@pytest.mark.parametrize("form", [{}, {"ruling": "keep", "task": "x", "control": "kind"}])
def test_what_is_no_decision_is_refused(reviewer: FlaskClient, form: dict[str, str]) -> None:
    """Before anything is written; nor is there any other queue."""
    for path, status in ((PENDING, 400), (f"{REVIEW}/nothing", 404)):
        assert send(reviewer, path, reviewer.get(REVIEW), **form).status_code == status
