"""Names of the array types that the core passes around."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.int32]
"""Positions in a list of names, from 0."""

Keys: TypeAlias = NDArray[np.int64]
"""Pairs of codes packed into one number."""

Stands: TypeAlias = NDArray[np.int8]
"""Votes: 1 yes, -1 no, 0 unsure."""

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Names: TypeAlias = NDArray[np.object_]


def sums(group: Codes | Keys, values: Floats, n_groups: int) -> Floats:
    """Add values up by group.

    Parameters
    ----------
    group : (n,) int32 or int64
        In [0, n_groups).
    values : (n,) float64

    Returns
    -------
    (n_groups,) float64

    Examples
    --------
    >>> sums(np.array([0, 2, 0], dtype=np.int32), np.array([1.0, 2.0, 3.0]), 3).tolist()
    [4.0, 0.0, 2.0]
    """
    return np.asarray(np.bincount(group, values, minlength=n_groups)[:n_groups], dtype=np.float64)


BLOCK = 100_000
"""Rows that are worked on at a time, so that what is made on the way takes little room."""


def counts(group: Codes, n_groups: int) -> Keys:
    """Count rows by group.

    Parameters
    ----------
    group : (n,) int32
        In [0, n_groups).

    Returns
    -------
    (n_groups,) int64

    Examples
    --------
    >>> counts(np.array([0, 2, 0], dtype=np.int32), 3).tolist()
    [2, 0, 1]
    """
    total = np.zeros(n_groups, dtype=np.int64)
    block = max(10 * BLOCK, n_groups)
    for start in range(0, len(group), block):
        total += np.bincount(group[start : start + block], minlength=n_groups)
    return total


def in_blocks(function: Callable[..., tuple[Floats, Floats]], *columns: Floats) -> tuple[Floats, Floats]:
    """Call a function of rows with some of them at a time.

    Parameters
    ----------
    function : callable
        Takes columns of (m,) float64, and returns two such columns; a row of these depends on one row of those.
    *columns : (n,) float64

    Returns
    -------
    (n,) float64, (n,) float64

    Examples
    --------
    >>> in_blocks(lambda x: (x + 1, -x), np.array([1.0, 2.0]))[0].tolist()
    [2.0, 3.0]
    """
    first, second = np.empty((2, len(columns[0])))
    for start in range(0, len(first), BLOCK):
        block = slice(start, start + BLOCK)
        first[block], second[block] = function(*(column[block] for column in columns))
    return first, second
