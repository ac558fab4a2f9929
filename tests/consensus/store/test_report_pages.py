"""Pages of a report in each order, of one annotator and above a confidence: whole, and read by index."""

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from made_store import classification, save, vote

from consensus.store import reader
from consensus.store.columns import Row
from consensus.store.reader import ORDERS
from consensus.store.store import Store

ANN, RARE, NOBODY = "ann@example.com", 'o\'hara "ש"@example.com', "nobody@example.com"
PAIRS = [("kind", "cat"), ("kind", "dog"), ("colour", "cat"), ("colour", "red")]
MARKED = ("Controversial", "Discovered")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Ten tasks with two controls, many equal scores among them; of two annotators one has three votes."""
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if is_file else str(request.getfixturevalue("postgres_database_url"))
    made = Store.migrated(url)
    rows = [
        classification(task, label, report, control, confidence=task % 3 / 10)
        | {"posterior": (task % 4 + place % 2) / 10}
        for task in range(10)
        for place, ((control, label), report) in enumerate(zip(PAIRS, MARKED * 2, strict=True))
    ]
    votes = [vote(task, ANN, label, control) for task in range(10) for control, label in PAIRS[::2]]
    votes += [vote(4, RARE), vote(4, RARE, "dog"), vote(7, RARE), vote(7, RARE, "red", "colour")]
    save(made, rows, votes)
    save(made, rows, [vote(task, RARE) for task in range(10)], project=8)
    return made


def read(store: Store, report: str, order: str, limit: int, **filters: Any) -> list[Row]:  # noqa: ANN401
    """All pages of a report, one after another."""
    rows, after = list[Row](), None
    while page := store.page(7, report, order=order, after=after, limit=limit, **filters):
        rows += page
        after = page[-1]
    return rows


def place(row: Row) -> tuple[int, str, str]:
    """What names a row."""
    return row["task"], row["control"], row["label"]


RANKS: dict[str, tuple[bool, Callable[[Row], float]]] = {
    "improbable": (False, lambda row: row["posterior"]),
    "probable": (True, lambda row: row["posterior"]),
    "sure": (False, lambda row: -row["confidence"]),
    "unsure": (True, lambda row: -row["confidence"]),
    "doubtful": (False, lambda row: abs(row["posterior"] - 0.5)),
    "task": (False, lambda row: row["task"]),
}


FILTERS: list[Row] = [
    {},
    {"control": "kind"},
    {"label": "cat"},
    {"control": "colour", "label": "cat"},
    {"min_confidence": 0.1},
    {"annotator": ANN},
    {"annotator": ANN, "control": "kind", "min_confidence": 0.2},
    {"annotator": RARE},
    {"annotator": RARE, "label": "cat"},
    {"annotator": NOBODY},
]
VOTED: dict[str, Callable[[Row], bool]] = {
    ANN: lambda _: True,
    RARE: lambda row: (row["task"], row["control"]) in {(4, "kind"), (7, "kind"), (7, "colour")},
    NOBODY: lambda _: False,
}


@pytest.mark.parametrize("order", ORDERS)
def test_pages_are_whole_in_each_order(store: Store, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There and back, equal ranks across the end of a page included, however an annotator's rows are read."""
    falls, rank = RANKS[order]
    for report, filters in itertools.product(MARKED, FILTERS):
        rows = store.page(7, report, limit=100)
        expected = [
            row
            for row in sorted(rows, key=lambda row: (rank(row), place(row)), reverse=falls)
            if filters.get("control") in (None, row["control"])
            and filters.get("label") in (None, row["label"])
            and row["confidence"] >= filters.get("min_confidence", 0)
            and ("annotator" not in filters or VOTED[filters["annotator"]](row))
        ]
        for many, limit in itertools.product((0, 50_000), (3, 100)):
            monkeypatch.setattr(reader, "MANY_VOTES", many)
            assert read(store, report, order, limit, **filters) == expected
            assert read(store, report, order, limit, back=True, **filters) == expected[::-1]


@contextmanager
def plans_of(path: Path) -> Iterator[list[str]]:
    """How SQLite answers what is asked about classifications meanwhile."""
    asked, plans = list[tuple[str, Any]](), list[str]()

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:  # noqa: ANN401
        asked.append((statement, values))

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
    with closing(sqlite3.connect(path)) as database:
        plans += [
            " ".join(row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            for statement, values in asked
            if "FROM classification" in statement
        ]


@pytest.mark.parametrize(
    ("order", "index"),
    [
        ("improbable", "posterior"),
        ("probable", "posterior"),
        ("sure", "page"),
        ("unsure", "page"),
        ("doubtful", "controversial"),
        ("task", "task"),
    ],
)
@pytest.mark.parametrize(
    "filters",
    [{}, {"control": "kind"}, {"label": "cat"}, {"min_confidence": 0.1}, {"annotator": ANN}],
    ids=str,
)
def test_each_order_is_that_of_an_index(
    tmp_path: Path, order: str, index: str, filters: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sorted but what is equal, whatever the filter; of an annotator a row is looked for by index."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    save(store, [classification(task, "cat", "Controversial") for task in range(5)], [vote(1, ANN)])
    monkeypatch.setattr(reader, "MANY_VOTES", 0)
    with plans_of(tmp_path / "store.db") as plans:
        [first] = store.page(7, "Controversial", order=order, limit=1)
        store.page(7, "Controversial", order=order, limit=9, **filters)
        store.page(7, "Controversial", order=order, limit=9, after=first, **filters)
    assert len(plans) == 4
    for plan in plans:
        assert f"SEARCH classification USING INDEX ix_classification_{index} (" in plan
        assert not any(bad in plan for bad in ("SCAN", "FOR ORDER BY")), plan
    if "annotator" in filters:
        assert all("COVERING INDEX ix_vote_annotator" in plan for plan in plans[1:])


@pytest.mark.parametrize("order", ORDERS)
def test_few_votes_lead_to_their_rows(tmp_path: Path, order: str) -> None:
    """By the index of an annotator, and from there by that of the tasks of a report."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    save(store, [classification(task, "cat", "Controversial") for task in range(5)], [vote(1, ANN)])
    with plans_of(tmp_path / "store.db") as plans:
        [first] = store.page(7, "Controversial", order=order, annotator=ANN)
        store.page(7, "Controversial", order=order, annotator=ANN, after=first)
    assert len(plans) == 3
    for plan in plans:
        assert "ix_classification_task (project=? AND report=? AND task=? AND control=?)" in plan
        assert "COVERING INDEX ix_vote_annotator (project=? AND control=? AND annotator=?)" in plan


def test_proposals_of_some_tasks_are_read_by_task(tmp_path: Path) -> None:
    """They are those that all proposals hold of these, and no index of the project is walked through."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    rows = [classification(task, "cat", "MisClassified") for task in range(9)]
    save(store, rows + [classification(task, "dog", "Discovered") for task in range(9)], [vote(1, ANN)])
    with plans_of(tmp_path / "store.db") as plans:
        some = store.proposals(7, tasks=[3, 5])
    assert some == [row for row in store.proposals(7) if row["task"] in (3, 5)]
    assert [row["proposed"] for row in some] == [["dog"], ["dog"]]
    assert all("(project=? AND control=? AND task=?)" in plan for plan in plans), plans


def test_the_likely_labels_of_tasks(tmp_path: Path) -> None:
    """Those more probable than not, of a control; where none is, the given ones; of other tasks nothing."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    rows = [
        classification(1, "cat", "MisClassified"),  # given, and improbable
        classification(1, "dog", "Discovered"),
        classification(2, "cat", "MisClassified"),
        classification(3, "cat", "Controversial"),  # as likely as not
        classification(4, "red", "Discovered", "colour"),
    ]
    save(store, rows, [vote(1, ANN)])
    assert store.likely(7, "kind") == {1: {"dog"}, 2: {"cat"}}
