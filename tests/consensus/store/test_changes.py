"""What a run writes: what it changed; what is kept of before, and for how long; pages of what is there."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from old_databases import upgraded
from stored_rows import classifications_in, report_in, votes_in

from common.contract import REPORT_NAMES
from consensus.core.people.pay import Best, Rules, Tier
from consensus.people.payroll import payroll
from consensus.store import digests, writing
from consensus.store.columns import TOLERANCE, Columns, Row, as_columns, as_rows, compare, read_columns
from consensus.store.digests import TASKS
from consensus.store.store import Store
from consensus.store.tables import (
    CLASSIFICATION,
    CLASSIFICATION_HISTORY,
    DIGEST,
    LEDGER,
    REPORT_COUNT,
    RUN,
    VOTE,
    VOTE_HISTORY,
)
from consensus.store.vote_history import Coverage

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = Rules("EUR cent", 10, 1, (Tier(0.25, 50),), best=Best(100, 1))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_database_url"))


def classification(task: int, label: str = "cat", report: str = "Discovered", **more: object) -> Row:
    """A classification with one vote."""
    counts = {"given": False, "yes": 1, "no": 0, "unsure": 0, "confidence": 0.5, "upper": 0.9, "posterior": 0.75}
    return {"control": "kind", "task": task, "label": label, "report": report, **counts, **more}


def vote(task: int, annotator: str = "a1", label: str = "cat") -> Row:
    """A yes."""
    origin = {"annotation": task, "voted_at": "2026-01-01", "lead_time": None}
    return {"control": "kind", "task": task, "annotator": annotator, "label": label, "vote": "yes", **origin}


def save(
    store: Store,
    classifications: list[Row],
    votes: Sequence[Row] = (),
    at: datetime = START,
    project: int = 7,
    **trust: float,
) -> int:
    """A run."""
    run = {
        "project": project, "started_at": at, "model_version": "", "policy": "default", "thresholds": {},
        "tasks": 0, "votes": 0, "problems": 0,
    }  # fmt: skip
    who = [
        {"control": "kind", "annotator": name, "votes": 1, "trust": value, "suspicions": []}
        for name, value in trust.items()
    ]
    columns = as_columns(CLASSIFICATION, classifications), as_columns(VOTE, votes)
    coverage = Coverage(frozenset(row["task"] for row in votes), frozenset({"kind"}))
    return store.save(run, *columns, who, coverage=coverage)


@contextmanager
def rows_written(*tables: str) -> Iterator[list[tuple[str, int]]]:
    """Note each statement that writes rows of the tables, and how many."""
    written: list[tuple[str, int]] = []

    def executed(_: object, cursor: Any, statement: str, *_more: object) -> None:  # noqa: ANN401
        verb, *words = statement.split()
        if verb in ("INSERT", "UPDATE", "DELETE") and (table := words[verb != "UPDATE"]) in tables:
            written.append((f"{verb} {table}", cursor.rowcount))

    sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", executed)
    try:
        yield written
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", executed)


@contextmanager
def rows_read() -> Iterator[Counter[str]]:
    """Count the rows of each table that a run reads to compare them."""
    counts: Counter[str] = Counter()

    def read(connection: Any, table: sqlalchemy.Table, *arguments: Any) -> Columns:  # noqa: ANN401
        columns = read_columns(connection, table, *arguments)
        counts[table.name] += len(next(iter(columns.values())))
        return columns

    with pytest.MonkeyPatch.context() as patch:
        for module in (digests, writing):
            patch.setattr(module, "read_columns", read)
        yield counts


def rows_of(connection: sqlalchemy.Connection, project: int) -> dict[str, list[list[str]]]:
    """All rows of a project, its runs numbered in their order."""
    runs = connection.execute(sqlalchemy.select(RUN.c.id).where(RUN.c.project == project).order_by(RUN.c.id))
    number = {run: position for position, run in enumerate(runs.scalars())}
    result = {}
    for table in (CLASSIFICATION, VOTE, CLASSIFICATION_HISTORY, VOTE_HISTORY, LEDGER, REPORT_COUNT):
        of_run = () if table is LEDGER else ("since", "until")
        rows = connection.execute(sqlalchemy.select(table).where(table.c.project == project)).mappings()
        result[table.name] = sorted(
            [str(number[value] if name in of_run else value) for name, value in row.items() if name != "project"]
            for row in rows
        )
    return result


def test_a_run_writes_what_changed_and_keeps_what_it_was(url: str) -> None:
    """Of a thousand, one gets another report, one is new and one is gone: three rows, and two versions."""
    store = Store.migrated(url)
    rows = [classification(task) for task in range(1000)]
    first = save(store, rows, [vote(task) for task in range(1000)])
    rows[0] = classification(0, report="AllConfirmed", confidence=0.9)
    with rows_written("classification", "vote", "classification_history", "vote_history") as written:
        second = save(store, [*rows[:-1], classification(1000)], [vote(task) for task in range(1001)])
    assert sorted(written) == [
        ("DELETE classification", 1), ("INSERT classification", 1), ("INSERT classification", 1),
        ("INSERT classification_history", 2), ("INSERT vote", 1),
    ]  # fmt: skip
    (version,) = store.versions(7, 0)
    assert (version["report"], version["since"], version["until"]) == ("Discovered", first, second)
    assert [row["report"] for row in store.versions(7, 999)] == ["Discovered"]
    assert report_in(store, 7, "AllConfirmed")[0]["confidence"] == 0.9
    assert len(classifications_in(store, 7)) == 1000


def test_many_rows_come_back_as_they_were(url: str) -> None:
    """However they are sent: empty texts, missing values, quotes, commas and lines in names, truth and numbers."""
    store = Store.migrated(url)
    labels = ["", 'a "b", c', "two\nlines", "žirafa 🦒"]
    rows = [
        classification(task, labels[task % 4], given=task % 3 == 0, confidence=1 / (task + 3), model_share=None)
        for task in range(3000)
    ]
    votes = [{**vote(task, label=""), "accepted": (None, True, False)[task % 3]} for task in range(3000)]
    save(store, rows, votes)
    assert sorted(classifications_in(store, 7), key=lambda row: row["task"]) == rows
    assert [row["accepted"] for row in votes_in(store, 7)] == [row["accepted"] for row in votes]
    changed = [{**row, "report": "", "yes": 3} for row in rows]
    save(store, changed, votes)
    assert sorted(classifications_in(store, 7), key=lambda row: row["task"]) == changed
    assert store.versions(7, 5)[0]["report"] == "Discovered"


def test_a_run_reads_the_rows_near_those_that_changed(url: str) -> None:
    """Of ten thousand with a vote each, whose scores all drift, one changed: those of tasks near it are read."""
    store = Store.migrated(url)
    rows = [classification(task) for task in range(10_000)]
    votes = [vote(task) for task in range(10_000)]
    save(store, rows, votes)
    rows[5000]["yes"] = 2
    votes[5000]["label"] = "dog"
    with rows_read() as read:
        save(store, [{**row, "posterior": 0.75 + TOLERANCE / 2} for row in rows], votes)
    assert read == {"classification": TASKS, "vote": TASKS, "ledger": TASKS, "report_count": 1}
    assert [(row["yes"], row["until"]) for row in store.versions(7, 5000)] == [(1, 2)]


def test_what_a_run_reads_in_part_is_what_it_would_read_whole(url: str) -> None:
    """Runs at random, of two controls: rows, versions and ledger are those of a store that keeps no digests."""
    random, engine = np.random.default_rng(0), sqlalchemy.create_engine(url)
    store = Store.migrated(url)
    for step in range(12):
        tasks = np.flatnonzero(random.random(300) < 0.98).tolist()
        rows = [
            classification(
                task, label, control=control, yes=int(random.random() < 0.01), posterior=0.5 + step * 4e-5
            )
            for task in tasks
            for label in ("cat", "dog")
            for control in ("kind", "second")
        ]
        votes = [vote(task, "a1" if random.random() < 0.99 else "a2") for task in tasks]
        with engine.begin() as connection:
            connection.execute(DIGEST.delete().where(DIGEST.c.project == 8))
        for project in (7, 8):
            save(store, rows, votes, START + timedelta(hours=step), project)
    with engine.connect() as connection:
        assert rows_of(connection, 7) == rows_of(connection, 8)


def test_a_vote_that_could_not_be_seen_is_looked_for_again(url: str) -> None:
    """Its task was gone, which withdraws nothing; the task is back without it: the entry ends, no row changed."""
    store = Store.migrated(url)
    votes = [vote(task) for task in range(3)]
    save(store, [], votes)
    save(store, [], votes[1:])
    (entry,) = (row for row in store.ledger(7, START, START + timedelta(days=9)) if row["task"] == 0)
    assert entry["until"] is None
    columns = as_columns(CLASSIFICATION, []), as_columns(VOTE, votes[1:])
    run = {**store.needed_run(7), "started_at": START + timedelta(days=1)}
    del run["id"]
    store.save(run, *columns, [], [], Coverage(frozenset(range(3)), frozenset({"kind"})))
    (entry,) = (row for row in store.ledger(7, START, START + timedelta(days=9)) if row["task"] == 0)
    assert entry["until"] is not None


def test_votes_that_were_changed_or_withdrawn_are_kept(url: str) -> None:
    """With the runs that saw and missed them."""
    store = Store.migrated(url)
    runs = [
        save(store, [], votes) for votes in ([vote(1), vote(2)], [vote(1, label="dog")], [vote(1, label="dog")])
    ]
    versions = as_rows(store.columns(VOTE_HISTORY, 7, ("task", "label", "since", "until")))
    assert sorted(tuple(row.values()) for row in versions) == [(1, "cat", *runs[:2]), (2, "cat", *runs[:2])]


def test_a_score_that_drifts_makes_no_version_and_one_that_hardly_moves_is_not_written(url: str) -> None:
    """The drift does not add up: what is stored is never further off than the tolerance."""
    store = Store.migrated(url)
    for step in range(30):
        save(store, [classification(1, confidence=0.5 + step * TOLERANCE / 3)])
        assert report_in(store, 7, "Discovered")[0]["confidence"] == pytest.approx(
            0.5 + step * TOLERANCE / 3, abs=TOLERANCE
        )
    assert store.versions(7, 1) == []
    with rows_written("classification") as written:
        save(store, [classification(1, confidence=0.5 + 29 * TOLERANCE / 3)])
    assert written == []


@given(
    st.dictionaries(st.tuples(st.integers(0, 3), st.sampled_from("ab")), st.integers(0, 2)),
    st.dictionaries(st.tuples(st.integers(0, 3), st.sampled_from("ab")), st.integers(0, 2)),
)
def test_changes_lead_from_the_stored_to_the_new(
    before: dict[tuple[int, str], int], after: dict[tuple[int, str], int]
) -> None:
    """Take away what is gone, replace what changed, add what is new; no more is touched."""

    def columns(rows: dict[tuple[int, str], int]) -> dict[str, np.typing.NDArray[np.generic]]:
        named = [classification(task, label, yes=yes) for (task, label), yes in rows.items()]
        return {name: as_columns(CLASSIFICATION, named)[name] for name in ("task", "label", "yes")}

    stored, new = columns(before), columns(after)
    changes = compare(stored, new, ("task", "label"), ("yes",))
    rows, result = as_rows(new), dict(before)
    for row in as_rows(stored, changes.gone):
        del result[row["task"], row["label"]]
    result |= {(rows[at]["task"], rows[at]["label"]): rows[at]["yes"] for at in (*changes.new, *changes.changed)}
    assert result == after
    moved = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    assert (len(changes.changed), len(changes.new)) == (len(moved), len(after.keys() - before.keys()))


@pytest.mark.parametrize("report", ["Discovered", "MisClassified", "Controversial"])
def test_pages_follow_each_other_without_gap_or_repetition(url: str, report: str) -> None:
    """Equal ranks across the end of a page included; the count is that of all pages."""
    store = Store.migrated(url)
    rows = [
        classification(task, label, report=report, confidence=task // 3 / 10, posterior=(task // 3 + 0.7) / 5)
        for task in range(10)
        for label in ("cat", "dog")
    ]
    save(store, [*rows, classification(99, report="AllConfirmed")])

    def all_pages(**chosen: str) -> list[Row]:
        pages, after = [], None
        while page := store.page(7, report, after=after, limit=3, **chosen):
            pages += page
            after = page[-1]
        return pages

    assert all_pages() == report_in(store, 7, report)
    assert (store.count(7, report), store.count(7), store.count(8)) == (20, 21, 0)
    dogs = [row for row in report_in(store, 7, report) if row["label"] == "dog"]
    assert all_pages(control="kind", label="dog") == dogs
    assert store.count(7, report, control="kind", label="dog") == 10


@pytest.mark.parametrize("report", REPORT_NAMES)
def test_a_page_is_read_from_an_index(tmp_path: Path, report: str) -> None:
    """In the order in which the index holds its rows: nothing is scanned, and only equal ranks are sorted."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    save(store, [classification(task, report=report) for task in range(5)])
    asked = list[tuple[str, Any]]()

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:  # noqa: ANN401
        asked.append((statement, values))

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        [first] = store.page(7, report, limit=1)
        store.page(7, report, after=first, limit=10)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
    with closing(sqlite3.connect(tmp_path / "store.db")) as database:
        plans = [
            " ".join(row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            for statement, values in asked
            if "FROM classification" in statement
        ]
    assert len(plans) == 3
    assert all("USING INDEX ix_classification_" in plan and "SCAN" not in plan for plan in plans)
    assert ["TEMP B-TREE" in plan for plan in plans] == [False, "TEMP B-TREE" in plans[1], False]


def test_the_history_is_thinned_and_pay_lists_stay_as_they_were(url: str) -> None:
    """Four runs a day for ten days: of old days the last run stays, and of who was gone by then the last trust."""
    store = Store.migrated(url)
    for step in range(40):
        votes = [vote(task) for task in range(step + 1)] + ([vote(step, "a2")] if step % 4 == 1 else [])
        gone = {"a2": step / 40} if step % 4 == 1 else {}
        save(store, [classification(1, yes=step)], votes, START + timedelta(hours=6 * step), a1=step / 80, **gone)
    days = [date(2026, 1, day) for day in range(1, 11)]

    def lists(store: Store) -> list[object]:
        return [payroll(store, 7, *period, RULES, date(2026, 2, 1)) for period in combinations(days, 2)]

    before, n_runs = lists(store), store.runs_between(7, START, START + timedelta(days=60))
    keeping = Store(url, timedelta(days=3))
    save(
        keeping,
        [classification(1, yes=99)],
        [vote(task) for task in range(40)],
        START + timedelta(days=10),
        a1=0.5,
    )
    assert lists(keeping) == before
    left = keeping.runs_between(7, START, START + timedelta(days=60))
    assert (n_runs, left) == (40, 3 * 4 + 7 * 2 + 1)
    assert len(keeping.versions(7, 1)) < 15


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_a_database_of_an_earlier_version_loses_nothing(url: str, revision: str) -> None:
    """Votes, classifications, trust, what was learned, the ledger and the history are as they were."""
    engine = upgraded(url, revision)
    old = sqlalchemy.MetaData()
    of_project = {"project": 7}
    run = {
        "started_at": START, "finished_at": START, "model_version": "m1", "policy": "default",
        "thresholds": {"confirm": 0.9}, "tasks": 1, "votes": 1, "problems": 0,
    }  # fmt: skip
    row = {**of_project, **classification(1), "model_share": 0.25, "since": 1}
    stand = {**of_project, **vote(1), "from_prediction": 5, "accepted": True, "since": 1}
    rows = {
        "run": {**of_project, **run},
        "classification": row,
        "vote": stand,
        "classification_history": {**row, "until": 1, "yes": 7},
        "vote_history": {**stand, "until": 1, "label": "dog"},
        "report_count": {
            **of_project, "control": "kind", "label": "cat", "report": "Discovered", "classifications": 1,
        },
        "project": {**of_project, "url": "http://here", "created_at": "1793491200", "token": "t"},
        "annotator": {
            "run": 1, "control": "kind", "annotator": "a1", "votes": 1, "trust": 0.5, "trust_low": 0.25,
            "trust_high": 0.75, "suspicions": [{"kind": "spam", "p_value": 0.001, "reason": "r"}],
        },
        "control": {
            **of_project, "control": "kind", "kind": "choices", "choice": "single", "labels": ["cat"],
            "learned": b"bytes",
        },
        "ledger": {
            **of_project, "control": "kind", "task": 1, "annotator": "a1", "kind": "answer", "since": START,
            "annotation": 1,
        },
    }  # fmt: skip
    with engine.begin() as connection:
        old.reflect(connection)
        tables = {name: old.tables[name] for name in rows if name in old.tables}
        for name, table in tables.items():
            known = {column: value for column, value in rows[name].items() if column in table.c}
            connection.execute(table.insert(), known)
        before = {name: connection.execute(table.select()).mappings().all() for name, table in tables.items()}
    store = Store.migrated(url)
    with engine.connect() as connection:
        for name, table in tables.items():
            assert connection.execute(table.select()).mappings().all() == before[name]
    assert store.count(7, "Discovered") == 1
    assert store.learned(7) == ({"kind": b"bytes"} if revision >= "0003" else {})
    second = save(store, [classification(1, report="AllConfirmed")], [vote(1)], START + timedelta(days=1), a1=0.75)
    versions = [(row["report"], row["since"], row["until"]) for row in store.versions(7, 1)]
    assert versions[-1] == ("Discovered", 1, second)
    assert len(versions) == (2 if revision >= "0004" else 1)
    assert len(store.ledger(7, START, START + timedelta(days=9))) == 1
    assert [row["trust"] for row in store.trust_history(7)] == [0.5, 0.75]
