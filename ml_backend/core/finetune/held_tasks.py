"""Which tasks a fine-tuned backbone has never seen, so that they may judge what is made with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARE = 0.2
JUDGED, VALIDATED = 0, 1  # salts: two draws that have nothing to do with one another


@dataclass(frozen=True)
class Split:
    """Rows of the annotated images by what they are for; no row, and no image, is in two of them.

    Parameters
    ----------
    learned : (n_learned,) int64
        What the network learns from.
    validated : (n_validated,) int64
        By which the best epoch is chosen.
    judged : (n_judged,) int64
        Of tasks that are held out.
    """

    learned: NDArray[np.int64]
    validated: NDArray[np.int64]
    judged: NDArray[np.int64]


def held_out(
    task_ids: Sequence[int] | NDArray[np.int64], share: float = SHARE, salt: int = JUDGED
) -> NDArray[np.bool_]:
    """Draw tasks by a hash of their id, so that a task is held out from every fine-tuning or from none.

    The hash is the output function of SplitMix64: Steele, Lea and Flood, Fast splittable pseudorandom number
    generators, 2014, doi:10.1145/2660193.2660195.

    Parameters
    ----------
    task_ids : (n_tasks,) int
    share : float
        Of all tasks, in [0, 1].
    salt : int
        Another one draws others.

    Returns
    -------
    (n_tasks,) bool

    Examples
    --------
    >>> held_out([1, 2, 3, 4, 5, 6, 7, 8]).nonzero()[0].tolist()
    [2]
    >>> float(held_out(range(100_000)).mean().round(2))
    0.2
    """
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2 ** 64
        mixed = np.asarray(task_ids, dtype=np.int64).astype(np.uint64) + np.uint64(salt + 1) * _GOLDEN
        for shift, factor in _MIXES:
            mixed = (mixed ^ (mixed >> shift)) * factor
        mixed ^= mixed >> np.uint64(31)
    drawn: NDArray[np.bool_] = (mixed >> np.uint64(11)) * 2.0**-53 < share
    return drawn


def split(
    task_ids: NDArray[np.int64], contents: NDArray[np.str_], has_target: NDArray[np.bool_], share: float = SHARE
) -> Split:
    """Part the annotated images.

    Parameters
    ----------
    task_ids : (n_images,) int64
    contents : (n_images,) str
        What tells two images apart. One that judges in some task is learned from in no other.
    has_target : (n_images,) bool
        Whether the image has a target.
    share : float
        Of the tasks that judge, and of the others that validate.

    Examples
    --------
    >>> ids = np.arange(1, 9)
    >>> held_out(ids, salt=VALIDATED).nonzero()[0].tolist()
    [6]
    >>> rows = split(ids, np.array(list("abcdefgc")), np.ones(8, dtype=bool))
    >>> rows.learned.tolist(), rows.validated.tolist(), rows.judged.tolist()
    ([0, 1, 3, 4, 5], [6], [2])
    """
    judged = has_target & held_out(task_ids, share, JUDGED)
    left = has_target & ~judged & ~np.isin(contents, contents[judged])
    validated = left & held_out(task_ids, share, VALIDATED)
    learned = left & ~validated & ~np.isin(contents, contents[validated])
    rows = [np.flatnonzero(mask).astype(np.int64) for mask in (learned, validated, judged)]
    return Split(*rows)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIXES = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
