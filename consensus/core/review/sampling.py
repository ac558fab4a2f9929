"""A random sample that is the same each time it is drawn, of whatever is there."""

import hashlib

import numpy as np

from consensus.core.arrays import Floats, Keys

_STEP, _FIRST, _SECOND = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniform(keys: Keys, seed: str) -> Floats:
    """Give each key a place in [0, 1) that depends on it and the seed alone.

    A key whose place is below a share belongs to a random sample of that share, and still does when others come.
    The mixing is that of SplitMix64 (Steele, Lea and Flood 2014, https://doi.org/10.1145/2660193.2660195).

    Parameters
    ----------
    keys : (n,) int64
    seed : str

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> places = uniform(np.arange(100_000), "spot")
    >>> bool(abs((places < 0.05).mean() - 0.05) < 0.003)
    True
    """
    offset = np.uint64(int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big"))
    mixed = keys.astype(np.uint64) * _STEP + offset
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**53, dtype=np.float64)
