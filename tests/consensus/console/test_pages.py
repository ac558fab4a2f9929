"""What the pages show."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from flask.testing import FlaskClient
from in_memory_label_studio import region
from made_desk import Desk, words
from made_projects import PROJECT

from common.contract import REPORT_NAMES
from consensus.console.access import Role, needs
from consensus.console.overview import Remaining, remaining
from consensus.projects.run import run
from consensus.settings import ProjectConfig


def test_the_only_project_is_shown_at_once(admin: FlaskClient) -> None:
    """Where there are more, a list."""
    assert admin.get("/").headers["Location"] == f"/projects/{PROJECT}/"


def test_the_overview_counts_the_reports(admin: FlaskClient, desk: Desk) -> None:
    """As the store has them."""
    text = words(admin.get(f"/projects/{PROJECT}/").text)
    with desk.store.snapshot() as snapshot:
        for name in REPORT_NAMES:
            assert f"{snapshot.count(PROJECT, name)} {name}" in text
    assert "60 votes" in text


def test_a_report_is_read_to_its_end(admin: FlaskClient, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page, each row once, in the order of the report."""
    monkeypatch.setattr("consensus.console.reports.ROWS", 7)
    address, seen = f"/projects/{PROJECT}/reports/Discovered", list[str]()
    for _ in range(10):
        page = admin.get(address).text
        seen += re.findall(r'name="item" value="(\d+):kind"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if not following:
            break
        address = unescape(following[1])
    with desk.store.snapshot() as snapshot:
        rows = snapshot.page(PROJECT, "Discovered", limit=1000)
    assert seen == [str(row["task"]) for row in rows]
    assert len(seen) == 20


def test_a_report_shows_who_voted_what(admin: FlaskClient) -> None:
    """With the trust in each."""
    text = words(admin.get(f"/projects/{PROJECT}/reports/Discovered?label=owl").text)
    assert re.search(r"a5@example\.com owl (> )?\d+ %", text)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/projects/8/", 404, "project 8"),
        ("/projects/7/reports/Nothing", 404, "there is no report 'Nothing'"),
        ("/projects/7/reports/NoVotes?confidence=2", 400, "from 0 to 1"),
        ("/projects/7/reports/NoVotes?after=abc", 400, "no cursor"),
        ("/projects/7/jobs/0123456789ab", 404, "before the service was started"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_said(admin: FlaskClient, path: str, status: int, message: str) -> None:
    """In a page that leads on."""
    answer = admin.get(path)
    assert (answer.status_code, message in words(answer.text), "To the projects" in answer.text) == (
        status,
        True,
        True,
    )


def test_a_fault_of_ours_is_not_shown(admin: FlaskClient, desk: Desk) -> None:
    """Its kind is in the log, and nothing of it in the page."""
    desk.app.view_functions["overview.project"] = needs(Role.ADMIN)(broken)
    answer = admin.get("/projects/7/")
    assert (answer.status_code, "division" in answer.text, "The log of consensus serve" in answer.text) == (
        500, False, True,
    )  # fmt: skip


def broken(project: int) -> str:
    """A view with a fault."""
    return str(project / 0)


def test_names_of_strangers_are_no_markup(desk: Desk, admin: FlaskClient) -> None:
    """Titles and labels are shown as they are written."""
    desk.made.server.project["title"] = "<script>alert(1)</script>"
    page = admin.get(f"/projects/{PROJECT}/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_overview_says_what_is_left_and_when_it_is_done(desk: Desk, admin: FlaskClient) -> None:
    """By the course of the open tasks over the runs."""
    text = words(admin.get(f"/projects/{PROJECT}/").text)
    assert "10 of 30 tasks are not decided. How fast they become fewer can be said after some hours" in text
    for task in desk.made.tasks[-5:]:
        for account in (5, 6, 7):
            desk.made.server.annotate(task, [region("kind", "cat")], completed_by=account)
    desk.made.server.now += timedelta(days=2)
    run(desk.made.connected(), desk.store, ProjectConfig(), PROJECT, now=desk.made.now)
    text = words(admin.get(f"/projects/{PROJECT}/").text)
    assert re.search(
        r"5 of 30 tasks are not decided. 2\.\d fewer a day over the last week: done in about 2 days", text
    )


def test_the_pace_is_that_of_the_last_week() -> None:
    """Neither what was before it, nor a few hours, nor tasks that come in make a promise."""
    day = datetime(2026, 1, 1, tzinfo=UTC)
    assert remaining([]) is None
    assert remaining([(day, None)]) is None
    assert remaining([(day, 900), (day + timedelta(days=20), 40), (day + timedelta(days=22), 20)]) == Remaining(
        20, 10.0, 2.0
    )
    assert remaining([(day, 90), (day + timedelta(hours=5), 60)]) == Remaining(60)
    assert remaining([(day, 60), (day + timedelta(days=1), 90)]) == Remaining(90, -30.0)
