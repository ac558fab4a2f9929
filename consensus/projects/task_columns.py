"""Columns of the Data Manager: what a report prefers, the votes and the confidence, as keys of a task's data.

Label Studio's list of tasks shows and sorts keys of their data, and nothing of a prediction but its version.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from consensus.core.decide.writeback import Entry

LABEL, VOTES, CONFIDENCE = COLUMNS = ("consensus_label", "consensus_votes", "consensus_confidence")
SHOWN = ("MisClassified", "Undecided", "Controversial")
"""Reports whose tasks have columns; of several entries of a task the first one here, and the most confident."""
NEAR = 0.02
"""A confidence that moved by less stays: Label Studio changes about ten tasks a second."""

Columns = Mapping[str, Any]


def columns_of(entries: Iterable[Entry]) -> dict[int, Columns]:
    """Return the columns of each task that has some, from what Label Studio should hold.

    Examples
    --------
    >>> entry = Entry(7, "MisClassified", "kind", "dog", 0.7905, why=("given cat; of 4 votes 3 say dog",))
    >>> columns_of([entry])[7]["consensus_label"], columns_of([entry])[7]["consensus_confidence"]
    ('dog', 0.79)
    """
    shown = [entry for entry in entries if entry.report in SHOWN and entry.choice]
    shown.sort(key=lambda entry: (-SHOWN.index(entry.report), entry.score))
    return {
        entry.task: {
            LABEL: ", ".join(entry.choices),
            VOTES: entry.why[0] if entry.why else "",
            CONFIDENCE: round(entry.score, 2),
        }
        for entry in shown  # the last one of a task counts
    }


def columns_in(data: Columns) -> Columns:
    """Return those of a task's data that are columns of ours."""
    return {name: data[name] for name in COLUMNS if name in data}


def changed_columns(present: Mapping[int, Columns], columns: Mapping[int, Columns]) -> dict[int, Columns]:
    """Return the columns of each task that has others now; none where a task is to have none any more."""
    tasks = [*columns, *(task for task in present if task not in columns)]
    return {task: columns.get(task, {}) for task in tasks if _differ(present.get(task, {}), columns.get(task, {}))}


def _differ(before: Columns, after: Columns) -> bool:
    if before.keys() != after.keys() or not after:
        return before != after
    if (before[LABEL], before[VOTES]) != (after[LABEL], after[VOTES]):
        return True
    number = before[CONFIDENCE]
    return not isinstance(number, int | float) or abs(number - after[CONFIDENCE]) >= NEAR
