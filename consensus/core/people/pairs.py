"""Every two answers to the same question, in portions that memory can hold."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from consensus.core.arrays import Codes, Keys

PORTION = 1_000_000
"""Pairs that are made at once, as long as a single question has no more."""


def pairs_of(question: Codes, portion: int = PORTION) -> Iterator[tuple[Keys, Keys]]:
    """Yield the positions of every two rows of the same question, the earlier row first.

    Parameters
    ----------
    question : (n_rows,) int32
        In ascending order.
    portion : int
        About how many pairs come at once.

    Yields
    ------
    one, other : (n_pairs,) int64
        Positions of rows; `one` < `other`.

    Examples
    --------
    >>> [(one.tolist(), other.tolist()) for one, other in pairs_of(np.array([3, 3, 3, 5, 7, 7], dtype=np.int32))]
    [([0, 0, 1, 4], [1, 2, 2, 5])]
    """
    end = np.searchsorted(question, question, side="right")
    partners = end - np.arange(len(question)) - 1  # rows of the same question that come after
    portions = np.cumsum(partners) // max(portion, 1)
    edges = [0, *(np.flatnonzero(np.diff(portions)) + 1).tolist(), len(question)]
    for start, stop in pairwise(edges):
        rows = np.arange(start, stop)
        one = np.repeat(rows, partners[start:stop])
        first = np.cumsum(partners[start:stop]) - partners[start:stop]
        other = one + 1 + np.arange(len(one)) - np.repeat(first, partners[start:stop])
        if len(one):
            yield one, other
