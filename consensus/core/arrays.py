"""Names of the array types that the core passes around."""

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
    n_groups : int

    Returns
    -------
    (n_groups,) float64

    Examples
    --------
    >>> sums(np.array([0, 2, 0], dtype=np.int32), np.array([1.0, 2.0, 3.0]), 3).tolist()
    [4.0, 0.0, 2.0]
    """
    return np.asarray(np.bincount(group, values, minlength=n_groups)[:n_groups], dtype=np.float64)
