"""What is right in the place of a label that is not, as far as the evidence says it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Codes, Floats

EVEN = 0.5
"""Of a multiple choice, labels with a larger posterior are taken to be right."""


class Proposal(NamedTuple):
    """What is right in the place of a label.

    Attributes
    ----------
    rows : tuple of int
        Of the labels, among all rows; empty where no other label is known of.
    posterior : float
        That they are right, of several the lowest; NaN where there is none.
    """

    rows: tuple[int, ...]
    posterior: float


def proposals(
    task: Codes, label: Codes, posterior: Floats, wrong: NDArray[np.intp], *, one_of_many: bool
) -> list[Proposal]:
    """Return what the evidence prefers to labels that it rejects.

    Of a single choice that is the task's other label with the highest posterior, of equal ones the first in the
    order of the labels; of a multiple choice all its other labels with a posterior of more than one half.

    Parameters
    ----------
    task, label : (n,) int32
        Classifications of one control, in any order.
    posterior : (n,) float64
    wrong : (n_wrong,) intp
        Rows to propose something for.
    one_of_many : bool
        Whether just one label of a task is right.

    Examples
    --------
    >>> task, label = np.array([7, 7, 7]), np.array([0, 1, 2])
    >>> proposals(task, label, np.array([0.04, 0.9, 0.06]), np.array([0]), one_of_many=True)
    [Proposal(rows=(1,), posterior=0.9)]
    """
    order = np.lexsort((label, -posterior, task))
    first = np.searchsorted(task[order], task[wrong])
    end = np.searchsorted(task[order], task[wrong], side="right")
    return [
        _proposal([int(other) for other in order[start:stop] if other != row], posterior, one_of_many=one_of_many)
        for row, start, stop in zip(wrong.tolist(), first.tolist(), end.tolist(), strict=True)
    ]


def _proposal(others: list[int], posterior: Floats, *, one_of_many: bool) -> Proposal:
    rows = others[:1] if one_of_many else [row for row in others if posterior[row] > EVEN]
    return Proposal(tuple(rows), min((float(posterior[row]) for row in rows), default=float("nan")))
