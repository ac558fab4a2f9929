from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import made_store
import pytest
from flask.testing import FlaskClient

from consensus.serving import schemas
from consensus.store.columns import Row
from consensus.store.store import Store

Get = Callable[..., Any]
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def tasks(answer: Any) -> list[int]:  # noqa: ANN401
    """The tasks of a page's rows."""
    return [row["task"] for row in answer["items"]]


def pages(get: Get, path: str, **query: object) -> list[Row]:
    """All rows, read a page at a time."""
    rows, after = [], {}
    while True:
        answer = get(path, **query, **after)
        rows += answer["items"]
        if answer["next"] is None:
            return rows
        after = {"after": answer["next"]}


def fill(store: Store) -> str:
    """Add a batch, two decisions and what waits for review; return the batch."""
    items = [{"task": task, "control": "kind", "labels": ["cat"]} for task in (1, 2, 3)]
    batch = store.decisions.open_batch(7, "accept", "k", made_by="m@x.org", made_at=MOMENT, items=items)["id"]
    decided = {"project": 7, "control": "kind", "label": "cat", "verdict": "accepted", "decided_by": "m@x.org"}
    store.decisions.log(
        [{**decided, "task": task, "source": "review", "at": MOMENT, "batch": batch} for task in (1, 2)]
    )
    waiting = [{"task": task, "control": "kind", "priority": task / 10, "detail": {}} for task in (3, 1, 2)]
    store.decisions.refill(7, "pending", waiting, MOMENT, "gone")
    return str(batch)


def test_the_overview_sums_up(get: Get) -> None:
    """Twelve tasks in turn: two in each report, one more on the other control, and two in none."""
    answer = get("")
    assert answer["reports"] == {
        "AllConfirmed": 2,
        "MisClassified": 2,
        "Discovered": 3,
        "Controversial": 2,
        "NoVotes": 2,
        "Undecided": 0,
    }
    assert (answer["run"]["started_at"], answer["run"]["tasks"]) == ("2026-01-01T00:00:00Z", 12)


def test_labels_are_listed_by_control(get: Get) -> None:
    """With the number of classifications in each report; a label without any is there as well."""
    rows = get("/labels")["items"]
    assert [(row["control"], row["label"]) for row in rows] == [
        ("colour", "cat"), ("colour", "red"), ("kind", "cat"), ("kind", "dog"),
    ]  # fmt: skip
    assert [row["reports"].get("Discovered", 0) for row in rows] == [0, 1, 2, 0]
    assert pages(get, "/labels", limit=1) == rows


def test_classifications_come_report_by_report(get: Get) -> None:
    """What is in no report comes last, as null."""
    rows = get("/classifications", control="kind")["items"]
    assert [row["report"] for row in rows] == [report or None for report in made_store.REPORTS for _ in range(2)]
    assert tasks(get("/classifications", control="kind", report="AllConfirmed")) == [7, 1]


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_hold_what_one_page_holds(get: Get, limit: int) -> None:
    """However large they are, and across reports."""
    for path in ("/classifications", "/submissions", "/annotators", "/reports/MisClassified", "/runs"):
        assert pages(get, path, limit=limit) == get(path, limit=500)["items"], path


def test_pages_are_stable_while_rows_change(get: Get, store: Store) -> None:
    """What is added or goes between two pages moves nothing: no row is doubled, none that stayed is missing."""
    first = get("/classifications", report="AllConfirmed", limit=1)
    assert tasks(first) == [7]
    rows = [
        made_store.classification(task, "cat", "AllConfirmed", confidence=confidence)
        for task, confidence in ((99, 0.99), (98, 0.001), (1, 1 / 24))
    ]
    made_store.save(store, rows, [])
    assert tasks(get("/classifications", report="AllConfirmed", limit=5, after=first["next"])) == [1, 98]


def test_filters_leave_what_fits(get: Get) -> None:
    """A label without its control is that of the only control that has it."""
    assert tasks(get("/classifications", label="red")) == [1]
    assert tasks(get("/classifications", report="MisClassified", control="colour")) == []
    assert tasks(get("/classifications", control="kind", min_confidence=0.4)) == [10, 11, 12]
    assert tasks(get("/submissions", annotator="bad@example.com", task=3)) == [3]
    assert [row["label"] for row in get("/submissions", control="colour")["items"]] == ["red"]


def test_images_by_what_is_believed(get: Get) -> None:
    """Confirmed ones with the label and those discovered; the strongest accusations; what an answer is worth."""
    assert tasks(get("/images/confirmed", label="cat", control="kind")) == [7, 1, 9, 3]
    assert tasks(get("/images/mislabelled", count=1)) == [2]
    prompted = get("/images/prompt", annotator="new@example.com", label="cat", control="kind", count=3)
    assert prompted["known"] is False
    assert len(prompted["items"]) == 3
    assert all(row["report"] in ("Controversial", "NoVotes", None) for row in prompted["items"])


def test_annotators_have_their_trust(get: Get) -> None:
    """And what is suspicious, of the last run."""
    rows = get("/annotators")["items"]
    assert [(row["control"], row["annotator"], row["trust"]) for row in rows] == [
        ("colour", "a1@example.com", 0.75),
        ("kind", "a1@example.com", 0.75),
        ("kind", "bad@example.com", 0.25),
    ]
    assert rows[2]["suspicions"][0]["reason"] == "answers in a second"


def test_decisions_batches_and_queues(get: Get, store: Store) -> None:
    """Each a page at a time; the story of a task holds its decision."""
    batch = fill(store)
    assert get(f"/batches/{batch}")["items"] == {"planned": 3}
    assert [row["id"] for row in get("/batches")["items"]] == [batch]
    assert [row["task"] for row in pages(get, f"/batches/{batch}/items", limit=2)] == [1, 2, 3]
    assert [row["task"] for row in pages(get, "/decisions", limit=1)] == [1, 2]
    assert tasks(get("/decisions", task=2)) == [2]
    assert get("/queues")["queues"] == {"pending": 3}
    assert [row["task"] for row in pages(get, "/queues/pending", limit=1)] == [1, 2, 3]
    story = get("/tasks/1/audit")
    assert {event["kind"] for event in story["events"]} == {"vote", "run", "decision", "queue"}
    assert any("m@x.org accepts 'cat'" in event["words"] for event in story["events"])


def test_answers_are_as_described(get: Get, store: Store) -> None:
    """Each fits the model from which the document is made, with no member more."""
    batch = fill(store)
    described = {
        "": schemas.Overview,
        "/labels": schemas.Labels,
        "/classifications": schemas.Classifications,
        "/reports/Discovered": schemas.Classifications,
        "/images/prompt?annotator=x": schemas.PromptsFound,
        "/annotators": schemas.Annotators,
        "/submissions": schemas.Votes,
        "/runs": schemas.Runs,
        "/queues": schemas.Queues,
        "/queues/pending": schemas.WaitingPage,
        "/decisions": schemas.Decisions,
        "/batches": schemas.Batches,
        f"/batches/{batch}": schemas.Batch,
        f"/batches/{batch}/items": schemas.BatchItems,
        "/tasks/1/audit": schemas.Audit,
    }
    for path, model in described.items():
        answer = get(path)
        members = model.model_validate(answer).model_dump().keys()
        assert answer.keys() == members, path
        for row in answer.get("items", ()) if isinstance(answer.get("items"), list) else ():
            items = model.model_fields["items"].annotation.__args__[0]  # type: ignore[union-attr]
            assert row.keys() == items.model_fields.keys(), path


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/projects/8/labels", 404, "consensus run --project 8"),
        ("/api/projects/x/labels", 404, "Not Found"),
        ("/api/projects/7/reports/Nothing", 400, "report: Input should be"),
        ("/api/projects/7/classifications?limit=501", 400, "limit: Input should be less than or equal to 500"),
        ("/api/projects/7/classifications?labl=cat", 400, "labl: Extra inputs"),
        ("/api/projects/7/classifications?label=cat", 400, "label of colour and of kind: name one"),
        ("/api/projects/7/classifications?label=cow", 404, "no label 'cow'"),
        ("/api/projects/7/classifications?control=size", 404, "no control 'size'; it has colour, kind"),
        ("/api/projects/7/classifications?after=abc", 400, "after is no cursor of this question"),
        ("/api/projects/7/images/confirmed", 400, "label: Field required"),
        ("/api/projects/7/images/prompt?annotator=x&label=cow", 400, "no label 'cow'"),
        ("/api/projects/7/batches/0123456789ab", 404, "project 7 has no batch 0123456789ab"),
        ("/api/projects/7/queues/other", 400, "queue: Input should be"),
        ("/api/projects/9223372036854775808/labels", 400, "project: Input should be less"),
    ],
)
def test_what_cannot_be_answered_is_named(client: FlaskClient, path: str, status: int, message: str) -> None:
    """With the value and what would do, as JSON."""
    answer = client.get(path)
    assert (answer.status_code, message in answer.json["error"]) == (status, True), answer.json


def test_a_cursor_is_of_its_question(client: FlaskClient, get: Get) -> None:
    """With other filters, or changed by a letter, it is refused."""
    cursor = get("/classifications", control="kind", limit=1)["next"]
    for query in ({"after": cursor}, {"control": "kind", "after": cursor[:-1]}, {"control": "kind", "after": "é"}):
        assert client.get("/api/projects/7/classifications", query_string=query).status_code == 400
    assert len(get("/classifications", control="kind", limit=2, after=cursor)["items"]) == 2
