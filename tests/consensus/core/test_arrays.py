import numpy as np

from consensus.core.arrays import sums


def test_sums_of_no_values() -> None:
    """Groups without a value sum to 0, as floats."""
    added = sums(np.array([], dtype=np.int32), np.array([]), 3)
    assert (added.tolist(), added.dtype) == ([0, 0, 0], np.float64)


def test_sums_of_no_groups() -> None:
    """Where there are no groups there are no sums."""
    assert sums(np.array([], dtype=np.int32), np.array([]), 0).shape == (0,)
