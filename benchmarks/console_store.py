"""The store that benchmarks/console.py reads: a project after many runs, with full queues and a long log."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.synchronize import Event

import numpy as np
import sqlalchemy
from store import LABELS, START, columns_of

from consensus.store.columns import Columns, Row
from consensus.store.store import Store
from consensus.store.tables import BATCH, BATCH_ITEM, DECISION, RUN

PROJECT, CONTROL, EMAIL = 7, "kind", "admin@example.com"
EACH, VOTES_EACH, ANNOTATORS = 2, 10, 60
"""Classifications and votes of a task; there are so many annotators."""
RUNS, WAITING, DECISIONS, BATCHES, ITEMS, AUDITED = 60, 10_000, 100_000, 60, 10_000, 20
"""The first batch has so many items, the others a hundredth; one of so many is judged blind."""


def annotator(number: int) -> str:
    """Name an annotator."""
    return f"annotator{number:02}@example.com"


def fill(url: str, n: int) -> Columns:
    """Make the store; return its classifications."""
    store, (classifications, votes) = Store.migrated(url), contents(n)
    measures = {
        "reports": {"AllConfirmed": n // 4, "MisClassified": n // 8},
        "tasks_open": n // 8,
        "agreement": {CONTROL: 0.71},
        "days": {f"2026-01-{day:02}": 1000 * day for day in range(1, 29)},
    }
    before = [_run(-day, n) | {"measures": measures} for day in range(RUNS, 0, -1)]
    before.append({**before[-1], "project": PROJECT + 1})
    with sqlalchemy.create_engine(url).begin() as connection:
        connection.execute(RUN.insert(), before)
        for table, rows in _log(n).items():
            connection.execute(table.insert(), rows)
    save(store, n, 0, classifications, votes, measures)
    wrong = np.flatnonzero(classifications["report"] == "MisClassified")[:WAITING].tolist()
    entries = [
        {
            "task": int(classifications["task"][row]),
            "control": CONTROL,
            "priority": float(classifications["posterior"][row]),
            "detail": {"label": str(classifications["label"][row]), "given": [], "report": "MisClassified"},
        }
        for row in wrong
    ]
    waiting = list({entry["task"]: entry for entry in entries}.values())
    for queue in ("misclassified", "controversial", "pending"):
        store.decisions.refill(PROJECT, queue, waiting, START, "")
    return classifications


def batch_name(number: int) -> str:
    """Name a batch."""
    return f"{number:012x}"


def _log(n: int) -> dict[sqlalchemy.Table, list[Row]]:
    """Make decisions, and the batches that they came by."""
    task = np.random.default_rng(2).integers(0, n // EACH, DECISIONS).tolist()
    by = {"label": LABELS[0], "verdict": "accepted", "decided_by": EMAIL, "source": "suggestion", "at": START}
    decisions = [
        {"project": PROJECT, "task": each, "control": CONTROL, "model_version": "m1", **by} for each in task
    ]
    made = {"made_by": EMAIL, "finished_at": START, "filter": {"above": 0.9}, "params": {"target_precision": 0.9}}
    batches, items = list[Row](), list[Row]()
    for number in range(BATCHES):
        name, size = batch_name(number), max((ITEMS if number == 0 else ITEMS // 100) * n // 10**6, AUDITED)
        at = START + timedelta(minutes=number)
        batches.append({"id": name, "project": PROJECT, "kind": "accept", "key": name, "made_at": at, **made})
        items += [
            {
                "batch": name,
                "task": number * ITEMS + place,
                "control": CONTROL,
                "labels": [LABELS[0]],
                "state": "written",
                "evidence": {"score": 0.9, "audit": True} if place % AUDITED == 0 else {"score": 0.9},
            }
            for place in range(size)
        ]
    return {DECISION: decisions, BATCH: batches, BATCH_ITEM: items}


def contents(n: int) -> tuple[Columns, Columns]:
    """Make classifications, and the votes on their tasks."""
    random = np.random.default_rng(0)
    classifications, n_tasks = columns_of(n, random, EACH), n // EACH
    n_votes = n_tasks * VOTES_EACH
    annotators = np.array([annotator(number) for number in range(ANNOTATORS)], dtype=object)
    task = np.repeat(np.arange(n_tasks), VOTES_EACH)
    moments = np.array([(START - timedelta(hours=hour)).isoformat() for hour in range(1000)], dtype=object)
    first = np.zeros(n_votes, dtype=np.intp)
    return classifications, {
        "control": np.array([CONTROL], dtype=object)[first],
        "task": task,
        "annotator": annotators[(task * 7 + np.tile(np.arange(VOTES_EACH), n_tasks)) % ANNOTATORS],
        "label": np.array(LABELS, dtype=object)[random.integers(0, len(LABELS), n_votes)],
        "vote": np.array(["yes"], dtype=object)[first],
        "annotation": np.arange(n_votes),
        "voted_at": moments[random.integers(0, len(moments), n_votes)],
        "lead_time": random.random(n_votes) * 9,
        "from_prediction": np.full(n_votes, None, dtype=object),
        "accepted": np.full(n_votes, None, dtype=object),
    }


def save(
    store: Store, n: int, day: int, classifications: Columns, votes: Columns, measures: Row | None = None
) -> None:
    """Write a run."""
    people = [
        {"control": CONTROL, "annotator": annotator(number), "votes": n // 10, "trust": 0.8}
        for number in range(ANNOTATORS)
    ]
    control = {
        "control": CONTROL, "kind": "choice", "choice": "single", "labels": list(LABELS), "learned": None,
    }  # fmt: skip
    store.save(_run(day, n) | {"measures": measures}, classifications, votes, people, [control])


def _run(day: int, n: int) -> Row:
    return {
        "project": PROJECT, "started_at": START + timedelta(days=day), "model_version": "", "policy": "default",
        "thresholds": {"reject": 0.1}, "tasks": n // EACH, "votes": n, "problems": 0,
    }  # fmt: skip


@contextmanager
def writing(url: str, n: int) -> Iterator[Callable[[], bool]]:
    """Write a run in another process meanwhile; yield whether it is still at it."""
    spawning = multiprocessing.get_context("spawn")
    begins = spawning.Event()
    child = spawning.Process(target=_write, args=(url, n, begins))
    child.start()
    begins.wait()
    yield child.is_alive
    child.join()
    if child.exitcode:
        raise SystemExit("the run beside the pages failed")


def _write(url: str, n: int, begins: Event) -> None:
    classifications, votes = contents(n)
    classifications["yes"][::10] += 1
    votes["label"][::50] = LABELS[0]
    begins.set()
    save(Store(url), n, 1, classifications, votes)
