"""Where a model should draw a line, as it expects gold to judge it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Floats
from consensus.core.guarantee.gold_sample import most_forgiven

LINES = 16
"""Lines that are thought through."""
OFF = (1 / 4, 1 / 2, 1, 2)
"""Factors by which the model's doubt may be off, each as likely."""


@dataclass(frozen=True, eq=False)
class Prospect:
    """The lines that could be drawn, from the strictest on: columns of (n_lines,).

    Attributes
    ----------
    line : float64
        Doubt up to which tasks would be reported.
    size : int64
        Tasks up to the line.
    doubt : float64
        Their mean doubt.
    """

    line: Floats
    size: NDArray[np.int64]
    doubt: Floats


def prospect_of(enters: Floats) -> Prospect:
    """Choose lines among the doubts of n tasks, (n,) float64.

    Examples
    --------
    >>> prospect = prospect_of(np.array([0.25, 0.125, 0.25]))
    >>> prospect.line.tolist(), prospect.size.tolist(), (3 * prospect.doubt).tolist()
    ([0.125, 0.25], [1, 3], [0.375, 0.625])
    """
    ordered = np.sort(enters)
    line = np.unique(ordered)
    line = line[np.unique(np.linspace(0, len(line) - 1, LINES).astype(int))] if len(line) else line
    size = np.searchsorted(ordered, line, side="right").astype(np.int64)
    return Prospect(line, size, np.cumsum(ordered)[size - 1] / size)


def expected_at_lines(prospect: Prospect, gold: int, alpha: float) -> Floats:
    """Tasks expected in the report where gold allows or forbids each line, (n_lines,) float64.

    Parameters
    ----------
    gold : int
        Gold tasks up to the last line.
    """
    from scipy.special import bdtr  # noqa: PLC0415  # it takes long to load, and most runs give no guarantee

    expected = np.zeros(len(prospect.line))
    for position, size in enumerate(prospect.size.tolist()):
        within = gold * size // int(prospect.size[-1])
        forgiven = most_forgiven(size, within, alpha)
        if forgiven >= 0:
            share = np.minimum(np.array(OFF) * prospect.doubt[position], 1.0)
            chances = bdtr(min(forgiven, within), within, share)  # the binomial distribution
            expected[position] = size * chances.mean()
    return expected
