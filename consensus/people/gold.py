"""What annotators answered where it is known what is right, and who falls short."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from consensus.core.wilson import wilson_interval
from consensus.store.columns import Row
from consensus.store.reader import Reader

COLUMNS = ("gold_answered", "gold_right", "gold_low", "gold_high")


def gold_of(row: Mapping[str, Any]) -> Row:
    """Return answers and right ones of an annotator's row, and the 95 % interval of the share; None if unknown."""
    answered, right = row["gold_answered"], row["gold_right"]
    if not answered:
        return dict(zip(COLUMNS, (answered, right, None, None), strict=True))
    low, high = wilson_interval(np.array([float(right)]), np.array([float(answered)]))
    return dict(zip(COLUMNS, (answered, right, round(float(low[0]), 6), round(float(high[0]), 6)), strict=True))


def below_line(store: Reader, project: int, line: float | None) -> list[Row]:
    """Return who is surely right on known answers less often than a line: the whole interval lies below it.

    Returns
    -------
    list of dict
        annotator, control, gold_answered, gold_right, gold_low and gold_high; the worst first.
    """
    run = store.last_run(project)
    if run is None or line is None:
        return []
    rows = [
        {"annotator": row["annotator"], "control": row["control"], **gold_of(row)}
        for row in store.annotators(run["id"])
        if row["gold_answered"]
    ]
    below = [row for row in rows if row["gold_high"] < line]
    return sorted(below, key=lambda row: (row["gold_high"], row["annotator"], row["control"]))
