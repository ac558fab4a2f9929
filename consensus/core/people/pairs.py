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
    first, second : (n_pairs,) int64
        Positions of rows; `first` < `second`.

    Examples
    --------
    >>> question = np.array([3, 3, 3, 5, 7, 7], dtype=np.int32)
    >>> [(first.tolist(), second.tolist()) for first, second in pairs_of(question)]
    [([0, 0, 1, 4], [1, 2, 2, 5])]
    """
    end = np.searchsorted(question, question, side="right")
    partners = end - np.arange(len(question)) - 1  # rows of the same question that come after
    portions = np.cumsum(partners) // max(portion, 1)
    edges = [0, *(np.flatnonzero(np.diff(portions)) + 1).tolist(), len(question)]
    for start, stop in pairwise(edges):
        first = np.repeat(np.arange(start, stop), partners[start:stop])
        before = np.cumsum(partners[start:stop]) - partners[start:stop]
        second = first + 1 + np.arange(len(first)) - np.repeat(before, partners[start:stop])
        if len(first):
            yield first, second
