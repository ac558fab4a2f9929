"""A store of a million classifications: what a run writes, and milliseconds of a page, also while a run writes.

    python benchmarks/store.py
    python benchmarks/store.py --rows 100000 --pages 50 --backends sqlite

The peer of a page by key is what most programs do, a page by number (LIMIT and OFFSET) on the same index. Prints a
table and, as its last line, one JSON object; exits with status 1 where the median page by key takes 50 ms or more.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import sqlalchemy

from consensus.store.columns import Columns, Row, as_columns
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION, VOTE

REPORT, LABELS, LIMIT = "AllConfirmed", ("cat", "dog", "owl", "lynx"), 100
BAR_MS = 50
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> int:
    """Run, print, and return the exit status."""
    options = _parser().parse_args()
    figures = {name: _measured(name, options.rows, options.pages) for name in options.backends}
    names = list(next(iter(figures.values())))
    print(f"{options.rows:,} classifications, pages of {LIMIT}")
    print(f"{'':42s}" + "".join(f"{name:>12s}" for name in figures))
    for name in names:
        print(f"{name:42s}" + "".join(f"{measured[name]:12,.1f}" for measured in figures.values()))
    reached = all(
        value < BAR_MS for measured in figures.values() for name, value in measured.items() if "by key" in name
    )
    print(json.dumps({"benchmark": "store", "rows": options.rows, "reached": reached, **figures}))
    return 0 if reached else 1


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--pages", type=int, default=100, help="pages read, one here and one there")
    options.add_argument(
        "--backends", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"]
    )
    return options


def _measured(backend: str, n_rows: int, n_pages: int) -> dict[str, float]:
    random = np.random.default_rng(0)
    with database(backend) as url:
        store, columns = Store.migrated(url), columns_of(n_rows, random)
        first = _seconds(lambda: _save(store, columns, 0))
        changed = random.choice(n_rows, 100, replace=False)
        columns["yes"][changed] += 1
        with _rows_written() as written:
            again = _seconds(lambda: _save(store, columns, 1))
        if backend == "postgresql":  # as its autovacuum would, a minute later
            with sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
                connection.execute(sqlalchemy.text("ANALYZE"))
        after = [_row(columns, at) for at in random.choice(n_rows, n_pages, replace=False)]
        alone = [_page_ms(store, row) for row in after]
        ranked = {
            report: [_page_ms(store, row | {"report": report}, report) for row in after[:100]]
            for report in ("MisClassified", "Controversial")
        }
        offset = [_offset_ms(store, int(at)) for at in random.integers(0, n_rows // 2, min(n_pages, 20))]
        count = [1000 * _seconds(lambda: store.count(7, REPORT)) for _ in range(20)]
        busy = _while_writing(store, columns, after)
        return {
            "first run, seconds": first,
            "run in which 100 changed, seconds": again,
            "rows written by it": float(sum(written)),
            "page by key, median ms": float(np.median(alone)),
            "page by key, 95th percentile ms": float(np.percentile(alone, 95)),
            "page by key while a run writes, median ms": float(np.median(busy)),
            **{
                f"page by key of {report}, median ms": float(np.median(milliseconds))
                for report, milliseconds in ranked.items()
            },
            "page by number, median ms": float(np.median(offset)),
            "count, median ms": float(np.median(count)),
        }


@contextmanager
def database(backend: str) -> Iterator[str]:
    """Make an empty database, and yield its URL."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        if backend == "sqlite":
            yield f"sqlite:///{folder}/store.db"
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pgserver  # noqa: PLC0415  # its import warns
        server = pgserver.get_server(Path(folder) / "postgres", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
        finally:
            server.cleanup()


def columns_of(n: int, random: np.random.Generator, each: int = len(LABELS)) -> Columns:
    """Make so many classifications, some of each task."""
    votes = random.integers(0, 6, n)
    posterior = random.random(n)
    rows = as_columns(CLASSIFICATION, [])
    names = np.array(LABELS, dtype=object)
    return rows | {
        "control": np.array(["kind"], dtype=object)[np.zeros(n, dtype=np.intp)],
        "task": np.arange(n) // each,
        "label": names[(np.arange(n) // each + np.arange(n) % each) % len(LABELS)],
        "given": random.random(n) < 0.25,  # noqa: PLR2004  # one label of four
        "yes": votes,
        "no": 6 - votes,
        "unsure": np.zeros(n, dtype=np.int64),
        "confidence": np.round(posterior * 0.8, 3),  # many are equal, as with few votes
        "upper": np.minimum(posterior * 1.2, 1.0),
        "posterior": posterior,
        "report": np.array([REPORT, "MisClassified", "Controversial", ""], dtype=object)[
            random.choice(4, n, p=[0.4, 0.25, 0.25, 0.1])
        ],
        "model_share": np.full(n, np.nan),
    }


def _save(store: Store, columns: Columns, day: int) -> None:
    run = {
        "project": 7, "started_at": START + timedelta(days=day), "model_version": "", "policy": "default",
        "thresholds": {}, "tasks": 0, "votes": 0, "problems": 0,
    }  # fmt: skip
    store.save(run, columns, as_columns(VOTE, []), [])


def _row(columns: Columns, at: int) -> Row:
    return {
        name: columns[name][at].item() if columns[name].dtype != object else columns[name][at] for name in columns
    }


def _page_ms(store: Store, after: Row, report: str = REPORT) -> float:
    return 1000 * _seconds(lambda: store.page(7, report, after=after, limit=LIMIT))


def _offset_ms(store: Store, offset: int) -> float:
    table = CLASSIFICATION.c
    query = sqlalchemy.select(CLASSIFICATION).where(table.project == 7, table.report == REPORT)  # noqa: PLR2004
    query = query.order_by(table.confidence.desc(), table.task, table.control, table.label)
    return 1000 * _seconds(lambda: store._rows(query.limit(LIMIT).offset(offset)))  # noqa: SLF001  # the peer


def _while_writing(store: Store, columns: Columns, after: list[Row]) -> list[float]:
    """Read pages in a thread of their own as long as a run is written in which a tenth has changed."""
    columns["yes"][::10] += 1
    writing = threading.Thread(target=_save, args=(store, columns, 2))
    writing.start()
    milliseconds = []
    while writing.is_alive() or not milliseconds:
        milliseconds.append(_page_ms(store, after[len(milliseconds) % len(after)]))
    return milliseconds


@contextmanager
def _rows_written() -> Iterator[list[int]]:
    written: list[int] = []

    def executed(_: object, cursor: sqlalchemy.CursorResult[object], statement: str, *_more: object) -> None:
        if statement.startswith(
            ("INSERT INTO classification (", "UPDATE classification", "DELETE FROM classification")
        ):
            written.append(cursor.rowcount)

    sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", executed)
    try:
        yield written
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", executed)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
