"""What people do from the pages."""

import re

import pytest
from flask.testing import FlaskClient
from made_desk import Desk, fields, send, words
from made_projects import OWNER, PROJECT

HOME = f"/projects/{PROJECT}/"


def chosen(client: FlaskClient, action: str, *tasks: int, **more: object) -> str:
    """The page that shows what an action would do."""
    page = client.get(f"{HOME}reports/NoVotes")
    items = [f"{task}:kind" for task in tasks]
    answer = send(client, f"{HOME}act", page, action=action, item=items, back=f"{HOME}reports/NoVotes", **more)
    assert answer.status_code == 200, words(answer.text)
    return answer.text


def test_what_is_shown_is_what_is_done_and_can_be_undone(desk: Desk, admin: FlaskClient) -> None:
    """A label is set on three tasks, in the name of who did it; then taken back."""
    tasks = desk.made.tasks[-3:]
    page = chosen(admin, "label", *tasks, label="owl")
    assert "3 tasks are decided in your name" in words(page)
    before = desk.made.state()
    done = admin.post(f"{HOME}do", data=fields(page))
    desk.ended(done)
    for task in tasks:
        [annotation] = desk.made.annotations(task)
        assert annotation["result"][0]["value"] == {"choices": ["owl"]}
        assert (annotation["ground_truth"], annotation["completed_by"]) == (True, 1)
    result = admin.get(done.headers["Location"])
    assert re.search(r"Batch \w+: 3 written", words(result.text))
    batch = re.search(r'action="([^"]+/undo)"', result.text)
    assert batch
    asked = send(admin, batch[1], result)
    assert "3 would be taken back, 0 stay" in words(asked.text)
    desk.ended(admin.post(batch[1], data=fields(asked.text)))
    assert desk.made.state() == before


def test_tasks_wait_for_review(desk: Desk, admin: FlaskClient) -> None:
    """Before all others, with who sent them."""
    [first, second] = desk.made.tasks[-2:]
    done = admin.post(f"{HOME}do", data=fields(chosen(admin, "review", first, second)))
    assert "2 tasks wait for a reviewer" in words(done.text)
    with desk.store.snapshot() as snapshot:
        rows = snapshot.decisions.queue(PROJECT, "pending")
    assert [(row["task"], row["detail"]["sent_by"]) for row in rows] == [(first, OWNER), (second, OWNER)]


def test_a_form_that_is_sent_twice_asks_once(desk: Desk, admin: FlaskClient) -> None:
    """Its key makes it one batch."""
    task = desk.made.tasks[-1]
    form = fields(chosen(admin, "ask", task))
    for _ in range(2):
        desk.ended(admin.post(f"{HOME}do", data=form))
    with desk.store.snapshot() as snapshot:
        assert [row["kind"] for row in snapshot.decisions.batches(PROJECT)] == ["ask"]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"action": "review"}, "No row is chosen"),
        ({"action": "explode", "item": "1:kind"}, "the action is 'explode'"),
        ({"action": "review", "item": "one:kind"}, "'one:kind' names no task"),
        ({"action": "label", "item": "101:kind"}, "No label is chosen"),
        ({"action": "review", "item": [f"{n}:kind" for n in range(2001)]}, "2001 rows are chosen; 2000 at a time"),
    ],
)
def test_what_cannot_be_done_is_said(admin: FlaskClient, form: dict[str, object], message: str) -> None:
    """Before anything is."""
    answer = send(admin, f"{HOME}act", admin.get(HOME), **form)
    assert (answer.status_code, message in words(answer.text)) == (400, True), words(answer.text)


def test_the_way_back_is_a_page_of_the_project(admin: FlaskClient) -> None:
    """Not another site, and not another project."""
    for back in ("https://evil.example", "/projects/8/", "//evil.example"):
        page = send(admin, f"{HOME}act", admin.get(HOME), action="review", item="130:kind", back=back)
        assert fields(page.text)["back"] == [HOME]
