"""The reports: filtered, sorted, taken away as CSV, and acted on by what matches."""

import csv
import io
import re
import threading
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from in_memory_label_studio import region
from made_desk import ANN, REV, Desk, fields, send, words
from made_projects import OWNER, PROJECT, InMemoryProject

from consensus.projects.run import run
from consensus.serving import matching
from consensus.serving.background import progress
from consensus.settings import ProjectConfig
from consensus.store.reader import ORDERS
from consensus.store.store import Store

HOME = f"/projects/{PROJECT}/"
REPORT = f"{HOME}reports/MisClassified"
WRONG = 6
RARE = 'o\'hara "ש"@example.com'
CONFIG = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Twenty judged tasks; six came with a wrong label, on two of which somebody votes who votes nowhere else."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    made = InMemoryProject.judged(people=20, waiting=4, wrong=0)
    made.server.accounts[99] = RARE
    for number, task in enumerate(made.tasks[:20]):
        made.server.tasks[task]["data"]["label"] = "owl" if number < WRONG else ("cat", "dog")[number % 2]
        if number in (1, 4):
            made.server.annotate(task, [region("kind", "owl")], completed_by=99)
        made.server.touch(task)
    made.later()
    run(made.studio, store, CONFIG, PROJECT, now=made.now)
    made.later()
    return Desk(made, store, tmp_path)


def another_run(desk: Desk) -> None:
    """A run ends in which one wrong label less is seen."""
    desk.made.server.tasks[desk.made.tasks[0]]["data"]["label"] = "cat"
    desk.made.server.touch(desk.made.tasks[0])
    desk.made.later()
    run(desk.made.connected(), desk.store, CONFIG, PROJECT, now=desk.made.now)


def tasks_in(page: str) -> list[int]:
    """The tasks of a page, in its order."""
    return [int(task) for task in re.findall(r'name="item" value="(\d+):kind"', page)]


def all_tasks(admin: FlaskClient, address: str) -> list[int]:
    """Those of all pages."""
    tasks = list[int]()
    for _ in range(20):
        page = admin.get(address).text
        tasks += tasks_in(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if not following:
            break
        address = unescape(following[1])
    return tasks


@pytest.mark.parametrize("sort", ["", *(order for order in ORDERS if order != "doubtful")])
@pytest.mark.parametrize("annotator", [None, RARE])
def test_a_report_is_sorted_and_of_one_annotator(
    desk: Desk, admin: FlaskClient, sort: str, annotator: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page after page, as the store has it."""
    monkeypatch.setattr("consensus.console.reports.ROWS", 2)
    rows = desk.store.page(PROJECT, "MisClassified", order=sort or None, annotator=annotator)
    assert len(rows) == (2 if annotator else WRONG)
    address = f"{REPORT}?label=&sort={sort}&annotator={quote(annotator or '')}"  # as the form asks
    assert all_tasks(admin, address) == [row["task"] for row in rows]


@pytest.mark.parametrize("sort", ["", *(order for order in ORDERS if order != "doubtful")])
def test_one_can_go_back_through_a_report(admin: FlaskClient, sort: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page to the first, whose address is that without a page."""
    monkeypatch.setattr("consensus.console.reports.ROWS", 2)
    address, forwards = f"{REPORT}?label=owl&sort={sort}", list[list[int]]()
    for _ in range(WRONG // 2):
        page = admin.get(address).text
        forwards.append(tasks_in(page))
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = unescape(following[1]) if following else address
    for number, tasks in enumerate(forwards[::-1]):
        assert tasks_in(page) == tasks
        previous = re.search(r'rel="prev" href="([^"]+)"', page)
        assert (previous is None) == (number == len(forwards) - 1)
        page = admin.get(unescape(previous[1])).text if previous else page
    assert ">First page<" not in page
    assert admin.get(f"{REPORT}?before=abc").status_code == 400


@pytest.mark.parametrize("name", ["nobody@example.com", "x" * 300, "\u202eש", "'\";<script>%_\\", "\ud7ff\uffff"])
def test_somebody_who_has_no_vote_is_said_to_have_none(admin: FlaskClient, name: str) -> None:
    """Whatever the address says instead of a name."""
    answer = admin.get(REPORT, query_string={"annotator": name})
    assert answer.status_code == 200
    assert "Nobody has voted by this name" in answer.text
    assert name in words(answer.text).replace("\\\\", "\\") or "<" in name
    assert "<script>%" not in answer.text
    assert RARE in unescape(answer.text)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sort=worst", "the sort of MisClassified is 'worst'"),
        ("sort=doubtful", "the sort of MisClassified is 'doubtful'"),
        ("annotator=a%00b", "stands for nothing"),
        ("label=a%00b", "stands for nothing"),
        ("confidence=x", "the least confidence is 'x'"),
    ],
)
def test_a_filter_that_is_none_is_refused(admin: FlaskClient, query: str, message: str) -> None:
    """Of the page and of the table."""
    for address in (REPORT, f"{REPORT}.csv"):
        answer = admin.get(f"{address}?{query}")
        assert (answer.status_code, message in words(answer.text)) == (400, True), words(answer.text)


def test_a_report_is_taken_away_as_a_table(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the filters and the sort of the page, a page at a time, and what the votes propose."""
    monkeypatch.setattr("consensus.console.reports.CSV_ROWS", 1)
    page = admin.get(REPORT, query_string={"sort": "task", "annotator": RARE})
    link = re.search(r'href="([^"]+\.csv[^"]*)"', page.text)
    assert link
    answer = admin.get(unescape(link[1]))
    assert (answer.mimetype, "MisClassified-7.csv" in answer.headers["Content-Disposition"]) == ("text/csv", True)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["task"]) for row in rows] == tasks_in(page.text) == [desk.made.tasks[1], desk.made.tasks[4]]
    assert [(row["label"], row["given"], row["proposed"]) for row in rows] == [
        ("owl", "1", "dog"),
        ("owl", "1", "cat"),
    ]
    assert len(admin.get(f"{REPORT}.csv").text.splitlines()) == WRONG + 1
    assert admin.get(f"{HOME}reports/Nothing.csv").status_code == 404
    assert admin.get(f"{HOME}reports/Controversial.csv").text.count("\n") == 1
    for email in (ANN, REV):
        assert desk.signed_in(email).get(f"{REPORT}.csv").status_code == 403
    assert desk.visitor().get(f"{REPORT}.csv").status_code == 303


def test_a_table_is_of_one_run(desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends while it is sent changes nothing of it; labels that look like formulas are text."""
    monkeypatch.setattr("consensus.console.reports.CSV_ROWS", 2)
    answer = admin.get(f"{REPORT}.csv", buffered=False)
    pages = iter(answer.iter_encoded())
    text = next(pages) + next(pages)
    another_run(desk)
    text += b"".join(pages)
    answer.close()
    assert len(text.decode().splitlines()) == WRONG + 1
    assert len(admin.get(f"{REPORT}.csv").text.splitlines()) == WRONG


def test_no_cell_is_a_formula(desk: Desk, admin: FlaskClient) -> None:
    """As in all our tables."""
    with desk.store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE classification SET label = '=1+1' WHERE label = 'owl'")
    rows = list(csv.DictReader(io.StringIO(admin.get(f"{REPORT}.csv").text)))
    assert {row["label"] for row in rows} == {"'=1+1"}


def asked_for(admin: FlaskClient, action: str, **query: object) -> str:
    """The page that shows what an action on all that match would do."""
    page = admin.get(REPORT, query_string=query)
    form = re.search(r'<form[^>]*aria-label="With all that match".*?</form>', page.text, re.DOTALL)
    assert form
    hidden = {name: values[0] for name, values in fields(form[0]).items()}
    answer = send(admin, f"{HOME}act", page, **hidden | {"action": action, "of_above": 0.5})
    assert answer.status_code == 200, words(answer.text)
    assert 'name="item"' not in answer.text
    return answer.text


def said_of(desk: Desk) -> list[list[tuple[int, bool, object]]]:
    """The annotations of each task."""
    return [
        [(each["id"], each["ground_truth"], each["result"]) for each in desk.made.annotations(task)]
        for task in desk.made.tasks
    ]


def overlaps(desk: Desk) -> list[int]:
    """To how many the first tasks are shown."""
    return [desk.made.server.tasks[task]["overlap"] for task in desk.made.tasks[: WRONG + 1]]


def undone(desk: Desk, admin: FlaskClient, page: str) -> None:
    """Take back the batch to whose undo a page leads."""
    batch = re.search(r'action="([^"]+/undo)"', page)
    assert batch
    first = admin.post(batch[1], data=fields(page))
    desk.ended(admin.post(batch[1], data=fields(first.text)))


def test_given_labels_of_all_that_match_are_kept(desk: Desk, admin: FlaskClient) -> None:
    """What is said to be kept, and expected to be wrong, before it is; what is decided already is left out."""
    before = said_of(desk)
    page = asked_for(admin, "keep")
    assert f"{WRONG} tasks keep their given label in your name." in words(page)
    assert re.search(r"Expected to be wrong: (9\d\.\d|100\.0) %", words(page))
    desk.ended(done := admin.post(f"{HOME}do", data=fields(page)))
    result = admin.get(done.headers["Location"]).text
    assert f"{WRONG} written" in words(result)
    for task in desk.made.tasks[:WRONG]:
        [starred] = [each for each in desk.made.annotations(task) if each["ground_truth"]]
        assert starred["result"][0]["value"] == {"choices": ["owl"]}
    assert f"0 tasks keep their given label in your name; on {WRONG} more somebody" in words(
        asked_for(admin, "keep")
    )
    undone(desk, admin, result)
    assert said_of(desk) == before
    assert f"{WRONG} tasks keep" in words(asked_for(admin, "keep"))


def test_all_of_an_annotator_wait_for_review(desk: Desk, admin: FlaskClient) -> None:
    """As one batch that is taken back as one."""
    page = asked_for(admin, "review", annotator=RARE)
    assert "2 tasks wait for a reviewer." in words(page)
    desk.ended(done := admin.post(f"{HOME}do", data=fields(page)))
    with desk.store.snapshot() as snapshot:
        rows = snapshot.decisions.queue(PROJECT, "pending")
    assert [(row["task"], row["detail"]["sent_by"]) for row in rows] == [
        (desk.made.tasks[1], OWNER),
        (desk.made.tasks[4], OWNER),
    ]
    undone(desk, admin, admin.get(done.headers["Location"]).text)
    assert desk.store.decisions.queue(PROJECT, "pending") == []


def test_one_more_vote_is_asked_for_on_all_that_match(desk: Desk, admin: FlaskClient) -> None:
    """Once, though the form is sent twice, and it can be taken back."""
    form = fields(asked_for(admin, "ask", label="owl", confidence="0"))
    for _ in range(2):
        desk.ended(done := admin.post(f"{HOME}do", data=form))
    assert overlaps(desk) == [4, 5, 4, 4, 5, 4, 1]
    with desk.store.snapshot() as snapshot:
        assert [row["kind"] for row in snapshot.decisions.batches(PROJECT)] == ["ask"]
    undone(desk, admin, admin.get(done.headers["Location"]).text)
    assert overlaps(desk) == [1] * 7


def test_proposals_of_all_of_an_annotator_are_accepted(admin: FlaskClient) -> None:
    """Those alone that the page shows."""
    assert "2 tasks have a wrong given label" in words(asked_for(admin, "accept", annotator=RARE))
    page = asked_for(admin, "accept")
    assert f"{WRONG} tasks have a wrong given label" in words(page)


@pytest.mark.parametrize("action", ["keep", "review", "ask"])
def test_nothing_is_done_that_was_not_shown(desk: Desk, admin: FlaskClient, action: str) -> None:
    """Where a run has ended meanwhile, it is counted anew and asked for once more."""
    page = asked_for(admin, action)
    another_run(desk)
    before = desk.made.state()
    answer = admin.post(f"{HOME}do", data=fields(page))
    assert answer.status_code == 409
    assert "A run has ended since this was counted" in words(answer.text)
    assert re.search(rf"{WRONG - 1} tasks (keep|wait)|about {WRONG - 1} tasks", words(answer.text))
    assert (desk.made.state(), desk.store.decisions.batches(PROJECT)) == (before, [])
    done = admin.post(f"{HOME}do", data=fields(answer.text))
    desk.ended(done)
    assert f"{WRONG - 1} written" in words(admin.get(done.headers["Location"]).text)


def test_a_run_that_ends_before_its_turn_comes_stops_it(desk: Desk, admin: FlaskClient) -> None:
    """The work says so, and nothing was done."""
    page = asked_for(admin, "review")

    def run_again() -> dict[str, object]:
        another_run(desk)
        return {}

    desk.service.background.submit(PROJECT, "run", OWNER, run_again)
    done = admin.post(f"{HOME}do", data=fields(page))
    with pytest.raises(AssertionError, match="A run has ended"):
        desk.ended(done)
    assert "nothing was done" in words(admin.get(done.headers["Location"]).text)
    assert desk.store.decisions.queue(PROJECT, "pending") == []


def test_a_job_shows_how_far_it_is(desk: Desk, admin: FlaskClient) -> None:
    """In words and as a bar, while it is at work."""
    going = threading.Event()

    def work() -> dict[str, object]:
        progress("writing annotations", 1200, 5000)
        going.wait(20)
        return {}

    job = desk.service.background.submit(PROJECT, "decide", OWNER, work)
    while not job.total:
        going.wait(0.01)
    page = admin.get(f"{HOME}jobs/{job.id}").text
    going.set()
    assert "Writing annotations: 1,200 of 5,000." in words(page)
    assert re.search(r'<progress [^>]*value="1200" max="5000"', page)


def test_too_much_is_not_one_batch(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what helps."""
    monkeypatch.setattr(matching, "MOST", WRONG - 1)
    form = {"action": "review", "all": "yes", "of_report": "MisClassified"}
    answer = send(admin, f"{HOME}act", admin.get(REPORT), **form)
    assert (answer.status_code, "more than 5 rows match" in words(answer.text)) == (400, True)


@pytest.mark.parametrize(
    "form",
    [
        {"action": "review"},
        {"action": "review", "of_report": "Nothing"},
        {"action": "review", "of_report": "MisClassified", "of_run": "x"},
        {"action": "keep", "of_report": "MisClassified", "of_limit": "9" * 5000},
        {"action": "ask", "of_report": "MisClassified", "of_annotator": "a\0b"},
        {"action": "label", "of_report": "MisClassified", "label": "cat"},
    ],
)
def test_a_filter_of_a_form_that_is_none_is_refused(admin: FlaskClient, form: dict[str, object]) -> None:
    """Before anything is done."""
    page = admin.get(REPORT)
    for path in ("act", "do"):
        assert send(admin, f"{HOME}{path}", page, all="yes", **form).status_code == 400


@pytest.mark.parametrize("email", [ANN, REV])
def test_only_admins_act(desk: Desk, admin: FlaskClient, email: str) -> None:
    """Whatever form is sent."""
    form = fields(asked_for(admin, "review"))
    other = desk.signed_in(email)
    answer = other.post(f"{HOME}do", data=form)
    assert answer.status_code in (400, 403)  # its proof is that of another session
    assert desk.store.decisions.queue(PROJECT, "pending") == []
