"""What has votes and is in no report: undecided, as far as that is anybody's question."""

import numpy as np

from common.contract import UNDECIDED
from consensus.core.arrays import Flags, Names, sums
from consensus.core.routing.open_classifications import StoredClassifications


def with_undecided(rows: StoredClassifications, is_open: Flags) -> Names:
    """Name the report of each row, and `UNDECIDED` where it has votes, is a question and in no report.

    Given labels are that until a report has them, also where another label of their task is confirmed. Other
    labels are where somebody chose them and they are open; of a single choice, if no report has any of their task.

    Parameters
    ----------
    rows : StoredClassifications
    is_open : (n,) bool
        See `open_rows`.

    Returns
    -------
    (n,) object
    """
    voted, n_tasks = rows.yes + rows.no > 0, int(rows.task.max(initial=-1)) + 1
    undecided = (rows.report == "") & voted & (rows.given | (is_open & (rows.yes > 0)))
    if rows.one_of_many:
        elsewhere = (rows.report != "") | (undecided & rows.given)
        undecided &= rows.given | (sums(rows.task, elsewhere.astype(np.float64), n_tasks)[rows.task] == 0)
    named: Names = np.where(undecided, UNDECIDED, rows.report).astype(object)
    return named
