"""The queues of what people look at: filled and emptied by what each run finds."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import numpy as np

from consensus.assist.batches import because_of
from consensus.core.arrays import Keys
from consensus.core.review.names import Queue
from consensus.core.review.queues import Ranked, least_agreed, misclassified, random_spots, settled, undecided
from consensus.core.routing.open_classifications import BY_LOWER_BOUND, StoredClassifications, open_rows
from consensus.settings import ReviewSection
from consensus.store.columns import Columns, Row, chosen
from consensus.store.reader import Snapshot
from consensus.store.store import Store
from consensus.store.stored_votes import stored_classifications
from consensus.store.tables import CLASSIFICATION

LONGEST = 10_000
"""So many tasks of a control wait in a queue at most, the first ones; later runs bring others forward."""
LEFT = "no longer there at a run"
"""Why a run takes something off a queue."""
SETTLING = ("review", "consensus")
"""Sources of decisions after which nobody needs to look again."""


def refresh(store: Store, project: int, review: ReviewSection, at: datetime) -> dict[str, int]:
    """Fill the queues that follow from the last run, and take off them what no longer belongs there.

    A task waits in one of them. What was decided stays away; a task for which one more vote was asked comes back
    with it.

    Returns
    -------
    dict of str to int
        What waits in each queue, also in those of suggestions.

    Raises
    ------
    ConfigError
        Where the project has no run yet.
    """
    with store.snapshot() as snapshot:
        run, controls = snapshot.needed_controls(project)
        rows = snapshot.columns(CLASSIFICATION, project)
        back = list(_with_new_votes(snapshot, project, rows))
        decided = {
            (row["task"], row["control"])
            for row in snapshot.decisions.standing(project)
            if row["source"] in SETTLING
        }
    for batch, places in groupby(sorted(back), key=itemgetter(0)):
        store.decisions.reopen_many(project, [(task, name) for _, task, name in places], because_of(batch))
    tasks = np.unique(rows["task"])
    entries: dict[Queue, list[Row]] = {"misclassified": [], "controversial": [], "spot": []}
    for control in controls:
        own = chosen(rows, rows["control"] == control["control"])
        stored = stored_classifications(control, own, tasks)
        for queue, ranked in _ranked(
            run, stored, tasks.astype(np.int64), review, f"{project} {control['control']}"
        ).items():
            entries[queue] += _entries(own, stored, ranked)
    elsewhere = decided
    for queue, rows_of_queue in entries.items():
        waiting = [row for row in rows_of_queue if (row["task"], row["control"]) not in elsewhere]
        elsewhere |= {(row["task"], row["control"]) for row in waiting}
        store.decisions.refill(project, queue, waiting, at, LEFT)
    return store.decisions.queue_counts(project)


def seed_of(project: int, control: str) -> str:
    """Return the seed of the random sample of a control's tasks."""
    return f"{project} {control}"


def _ranked(
    run: Row, stored: StoredClassifications, tasks: Keys, review: ReviewSection, seed: str
) -> dict[Queue, Ranked]:
    """Rank what belongs into each queue of one control."""
    lines, policy = run["thresholds"], run["policy"]
    is_settled = np.zeros(len(stored), dtype=bool) if policy == "majority" else settled(stored)
    is_open = open_rows(
        stored,
        lines["reject"],
        by_lower_bound=policy in BY_LOWER_BOUND,
        fewest_votes=lines.get("fewest_votes", 0),
    )
    return {
        "misclassified": misclassified(stored, is_settled),
        "controversial": undecided(stored, is_settled, is_open),
        "spot": random_spots(stored, tasks, review.spot_share, seed)
        if review.spot_order == "random"
        else least_agreed(stored, is_settled, review.spot_share),
    }


def _entries(own: Columns, stored: StoredClassifications, ranked: Ranked) -> Iterator[Row]:
    given, first = defaultdict[int, list[str]](list), ranked.row[:LONGEST]
    for row in np.flatnonzero(stored.given & np.isin(stored.task, stored.task[first])).tolist():
        given[int(own["task"][row])].append(str(own["label"][row]))
    for row, priority in zip(first.tolist(), ranked.priority[:LONGEST].tolist(), strict=True):
        task = int(own["task"][row])
        detail = {"label": str(own["label"][row]), "given": given[task], "report": str(own["report"][row])}
        yield {
            "task": task,
            "control": str(own["control"][row]),
            "priority": round(priority, 4),
            "detail": detail,
        }


def _with_new_votes(snapshot: Snapshot, project: int, rows: Columns) -> Iterator[tuple[str, int, str]]:
    """Yield batch, task and control where one more vote was asked for and has come."""
    asked = {
        (row["task"], row["control"]): row
        for row in snapshot.decisions.decisions(project, verdict="asked")
        if row["batch"] and row["evidence"]
    }
    if not asked:
        return
    at = np.flatnonzero(np.isin(rows["task"], [task for task, _ in asked]))
    votes = defaultdict[tuple[int, str], int](int)
    for row in at.tolist():
        key = int(rows["task"][row]), str(rows["control"][row])
        votes[key] = max(votes[key], int(rows["yes"][row] + rows["no"][row] + rows["unsure"][row]))
    for (task, control), row in asked.items():
        if votes[task, control] > row["evidence"].get("votes", 0):
            yield str(row["batch"]), task, control
