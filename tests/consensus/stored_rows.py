"""Rows of the store, as a test compares them."""

from consensus.store.columns import Row, as_rows
from consensus.store.reader import Reader
from consensus.store.tables import CLASSIFICATION, VOTE


def votes_in(store: Reader, project: int) -> list[Row]:
    """The latest votes of a project, by control, task and annotator."""
    rows = as_rows(store.columns(VOTE, project))
    return sorted(rows, key=lambda row: (row["control"], row["task"], row["annotator"], row["label"]))


def classifications_in(store: Reader, project: int) -> list[Row]:
    """All classifications of a project's latest run, by control, task and label."""
    rows = as_rows(store.columns(CLASSIFICATION, project))
    return sorted(rows, key=lambda row: (row["control"], row["task"], row["label"]))


def report_in(store: Reader, project: int, name: str) -> list[Row]:
    """The classifications of a report, in its order."""
    return as_rows(store.report(project, name))
