"""The pages about annotators: for admins those of all, for everybody the own."""

import csv
import io
import re
import threading
from collections.abc import Callable
from html import unescape

import pytest
import sqlalchemy
from flask.testing import FlaskClient
from in_memory_label_studio import region
from made_desk import ANN, PASSWORD, REV, Desk, words
from made_projects import OWNER, PROJECT

from common.errors import SuiteError
from consensus.console.apart import EndedError, on_store
from consensus.console.computed import Computed, Outcome
from consensus.people.annotator_report import agreements, annotator_report
from consensus.people.crowd import measured_crowd
from consensus.people.csv_tables import annotators_csv
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.tables import ANNOTATOR

PEOPLE, PERSON = f"/projects/{PROJECT}/people", f"/projects/{PROJECT}/people/person"
A5, A6 = "a5@example.com", "a6@example.com"


@pytest.fixture
def annotator(desk: Desk) -> FlaskClient:
    """One of the three who have annotated."""
    desk.made.server.passwords[A5] = PASSWORD
    return desk.signed_in(A5)


def until(client: FlaskClient, path: str, there: Callable[[str], bool]) -> str:
    """Ask for a page until it shows what is worked out behind it."""
    pause = threading.Event()
    for _ in range(200):
        page = client.get(path)
        assert page.status_code in (200, 303), page.text
        if there(page.text):
            return page.text
        pause.wait(0.05)
    raise AssertionError(words(page.text))


def computed(client: FlaskClient, path: str) -> str:
    """A page with all its figures."""
    return until(client, path, lambda text: "being computed" not in text)


def suspect(desk: Desk, name: str, kind: str, reason: str) -> None:
    """Let the last run suspect somebody."""
    suspicions = [{"kind": kind, "p_value": 0.001, "reason": reason}]
    with sqlalchemy.create_engine(f"sqlite:///{desk.console.pictures_in.parent}/store.db").begin() as connection:
        connection.execute(ANNOTATOR.update().where(ANNOTATOR.c.annotator == name).values(suspicions=suspicions))


def test_people_have_the_figures_of_the_command(desk: Desk, admin: FlaskClient) -> None:
    """`consensus annotators` reads the same from the same store."""
    text = words(computed(admin, PEOPLE))
    with desk.store.snapshot() as snapshot:
        rows = annotator_report(snapshot, PROJECT)
    assert len(rows) == 3
    for row in rows:
        assert f"{row['annotator']} {row['votes']} {100 * row['trust']:.1f} %" in text
        assert f"{100 * row['with_consensus']:.1f} % {100 * row['with_others']:.1f} %" in text


def test_the_table_is_that_of_the_command(desk: Desk, admin: FlaskClient) -> None:
    """To the last byte, as a file to keep."""
    computed(admin, PEOPLE)
    answer = admin.get(f"{PEOPLE}.csv")
    with desk.store.snapshot() as snapshot:
        assert answer.text == annotators_csv(annotator_report(snapshot, PROJECT))
    assert (answer.mimetype, "annotators-7.csv" in answer.headers["Content-Disposition"]) == ("text/csv", True)
    assert [row["annotator"] for row in csv.DictReader(io.StringIO(answer.text))] == [A5, A6, "a7@example.com"]


def test_the_page_of_a_person(desk: Desk, admin: FlaskClient) -> None:
    """Trust over the runs, agreement with each other, what was said for what, hours, and the way to the votes."""
    desk.made.later()
    run(desk.made.connected(), desk.store, ProjectConfig(), PROJECT, now=desk.made.now)
    page = computed(admin, f"{PERSON}?annotator={A5}")
    text = words(page)
    with desk.store.snapshot() as snapshot:
        report = next(row for row in annotator_report(snapshot, PROJECT) if row["annotator"] == A5)
        kappas = {
            row["other"]: row["cohen_kappa"] for row in agreements(snapshot, PROJECT)[1] if row["label"] == ""
        }
    assert len(report["history"]) == 2
    for entry in report["history"]:
        assert f"{entry['at'][:16].replace('T', ' ')} UTC {entry['votes']} {100 * entry['trust']:.1f} %" in text
    assert f"a6@example.com 20 {kappas[A6]:.2f}" in text
    assert "Confusion matrix" in text
    assert f'href="/projects/7/people/votes?annotator={A5}&amp;control=kind"' in page


def test_votes_are_read_to_their_end(desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page, each once and nobody else's."""
    monkeypatch.setattr("consensus.console.people.VOTES", 7)
    address, tasks = f"{PEOPLE}/votes?annotator={A5}&control=kind", list[int]()
    while address:
        page = admin.get(address).text
        tasks += map(int, re.findall(r'scope="row">(?:<a[^>]*>)?(\d+)', page))
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = unescape(following[1]) if following else ""
    assert tasks == desk.made.tasks[:20]
    with desk.store.snapshot() as snapshot:
        stretch, last = snapshot.pages.votes_among(PROJECT, "kind", "a7@example.com", among=4)
    assert ([row["task"] for row in stretch], last and last["task"]) == ([101], 102)


def test_whoever_is_suspected_is_seen_with_the_reason(desk: Desk, admin: FlaskClient) -> None:
    """And alone where that is asked for; nobody else is shown then."""
    assert "Nobody is suspected." in admin.get(f"{PEOPLE}?only=suspected").text
    suspect(desk, A6, "spam", "agrees with <b>nobody</b>")
    page = admin.get(f"{PEOPLE}?only=suspected").text
    assert "agrees with &lt;b&gt;nobody&lt;/b&gt;" in page
    assert (A6 in page, A5 in page) == (True, False)


def test_names_are_no_markup(desk: Desk, admin: FlaskClient) -> None:
    """Nor do they leave the addresses of their pages."""
    name = "<b>&a=1#/x</b>@example.com"
    desk.made.server.accounts[5] = name
    run(desk.made.connected(), desk.store, ProjectConfig(), PROJECT, now=desk.made.now)
    page = computed(admin, PEOPLE)
    assert "<b>&a" not in page
    assert "&lt;b&gt;&amp;a=1#/x&lt;/b&gt;@example.com" in page
    address = re.search(r'href="([^"]+person[^"]+%3Cb[^"]+)"', page)
    assert address
    assert name in words(computed(admin, unescape(address[1])))


def test_gold_is_shown_and_who_is_surely_below_the_line_is_named(desk: Desk, admin: FlaskClient) -> None:
    """Where the settings have one."""
    with sqlalchemy.create_engine(f"sqlite:///{desk.console.pictures_in.parent}/store.db").begin() as connection:
        values = {"gold_answered": 20, "gold_right": 4}
        connection.execute(ANNOTATOR.update().where(ANNOTATOR.c.annotator == A6).values(values))
    config = ProjectConfig.model_validate({"review": {"gold_line": 0.7}})
    object.__setattr__(desk.service, "config", lambda _: config)
    for page in (PEOPLE, f"{PERSON}?annotator={A6}"):
        assert "4 of 20 8 % to 42 % below 70 %" in words(admin.get(page).text)
    assert "below 70 %" not in words(admin.get(f"{PERSON}?annotator={A5}").text)


@pytest.mark.parametrize("sort", ["name", "trust", "votes", "gold"])
def test_an_order_is_read_to_its_end(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch, sort: str) -> None:
    """Each annotator once, whatever is first."""
    monkeypatch.setattr("consensus.console.people.ROWS", 1)
    address, names = f"{PEOPLE}?sort={sort}", list[str]()
    while address:
        page = admin.get(address).text
        names += re.findall(r"person\?annotator=([^\"]+)", page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = unescape(following[1]) if following else ""
    assert sorted(names) == [A5, A6, "a7@example.com"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{PEOPLE}?sort=age", 400, "the order is 'age'"),
        (f"{PEOPLE}?control=size", 404, "no control 'size'"),
        (f"{PERSON}?annotator=nobody", 404, "no vote of 'nobody'"),
        ("/projects/8/people", 404, "project 8"),
        (f"{PEOPLE}/votes?annotator={A5}&control=size", 404, "no vote"),
    ],
)
def test_what_is_not_there_is_said(admin: FlaskClient, path: str, status: int, message: str) -> None:
    """In a page that leads on."""
    answer = admin.get(path)
    assert (answer.status_code, message in words(answer.text)) == (status, True)


def test_while_it_is_worked_out_the_rest_is_shown(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust is there at once; the rest comes by itself, and the table of all waits for it."""
    go_on = threading.Event()

    def fails(*_: object) -> None:
        go_on.wait(20)
        raise SuiteError("the disc is full")

    monkeypatch.setattr("consensus.console.people.measured_crowd", fails)
    page = admin.get(PEOPLE).text
    assert ("being computed" in page, A5 in page, 'hx-trigger="every 2s"' in page) == (True, True, True)
    assert admin.get(f"{PEOPLE}.csv").headers["Location"] == PEOPLE
    go_on.set()
    assert "the disc is full" in until(admin, PEOPLE, lambda text: "being computed" not in text)


def test_a_result_is_worked_out_once() -> None:
    """A failure is tried again, and a fault of ours is not shown."""
    results, asked = Computed(), list[int]()
    pause = threading.Event()

    def work() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise ZeroDivisionError("secret")
        return len(asked)

    outcomes = list[Outcome[int]]()
    while not outcomes or outcomes[-1].value is None:
        outcomes.append(results.of(7, work))
        pause.wait(0.01)
    assert [results.of(7, work).value, results.of(7, work).value] == [2, 2]
    errors = {outcome.error for outcome in outcomes} - {None}
    assert errors == {"Something went wrong here; the log of consensus serve says more."}


def test_an_annotator_is_led_to_the_own_page(desk: Desk, annotator: FlaskClient) -> None:
    """And sees there the own trust and votes, and nothing of anybody else."""
    assert annotator.get("/").headers["Location"] == f"/projects/{PROJECT}/me"
    suspect(
        desk,
        A5,
        "copying",
        f"shares with {A6} 9 of 12 answers that most others reject, where 1.0 are to be expected",
    )
    with desk.store.snapshot() as snapshot:
        row = snapshot.pages.annotator(snapshot.needed_run(PROJECT)["id"], A5)[0]
    text = words(annotator.get(f"/projects/{PROJECT}/me").text)
    votes = words(annotator.get(f"/projects/{PROJECT}/me/votes?control=kind").text)
    assert f"Votes 20 Trust, 95 % interval {100 * row['trust']:.1f} %" in text
    assert "shares with another annotator 9 of 12" in text
    assert "120 owl" in votes
    for page in (text, votes):
        assert not re.search(r"a6@|a7@", page)
    for path in (f"{PERSON}?annotator={A6}", f"{PERSON}?annotator={A5}", f"{PEOPLE}/votes?annotator={A6}"):
        assert annotator.get(path).status_code == 403
    assert A6 not in annotator.get(f"/projects/{PROJECT}/me/votes?control=kind&annotator={A6}").text


@pytest.mark.parametrize("email", [ANN, REV, OWNER])
def test_without_votes_nothing_is_told(desk: Desk, email: str) -> None:
    """A project without votes of theirs looks like one that is not there."""
    client = desk.signed_in(email)
    pages = [
        re.sub(r"(rojects?[/ ])\d", r"\1N", words(client.get(f"/projects/{project}/me").text))
        for project in (7, 8)
    ]
    assert pages[0] == pages[1]
    assert "No votes of yours are here yet." in pages[0]
    answers = [client.get(f"/projects/{project}/me/votes") for project in (7, 8)]
    assert [answer.status_code for answer in answers] == [404, 404]
    if email == ANN:
        assert "No votes of yours are here yet." in client.get("/").text


def test_a_reviewer_who_annotates_sees_the_own_page_too(desk: Desk) -> None:
    """Beside the queues."""
    for task in desk.made.tasks[:5]:
        desk.made.server.annotate(task, [region("kind", "cat")], completed_by=21)
    run(desk.made.connected(), desk.store, ProjectConfig(), PROJECT, now=desk.made.now)
    client = desk.signed_in(REV)
    assert "Votes 5 " in words(client.get(f"/projects/{PROJECT}/me").text)
    assert client.get("/").headers["Location"].endswith("/review")


def test_many_votes_are_measured_in_a_process_of_their_own(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same result; what it meets is said."""
    table = until(admin, f"{PEOPLE}.csv", lambda text: text.startswith("control"))
    monkeypatch.setattr("consensus.console.apart.MANY", 0)
    monkeypatch.setitem(desk.console.__dict__, "computed", Computed())
    assert until(admin, f"{PEOPLE}.csv", lambda text: text.startswith("control")) == table
    fails = on_store(desk.store, 1, measured_crowd, 99)
    with pytest.raises(EndedError, match="project 99 has no run yet"):
        fails()
