"""What waits for a reviewer on one control, in the order in which it is to be looked at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Flags, Floats, Keys, sums
from consensus.core.review.sampling import uniform
from consensus.core.routing.open_classifications import CONFIRMED, REJECTED, StoredClassifications


@dataclass(frozen=True, eq=False)
class Ranked:
    """Tasks in the order of a queue.

    Attributes
    ----------
    row : (n,) intp
        The classification for which a task is there: one a task.
    priority : (n,) float64
        In [0, 1]; the lowest comes first.
    """

    row: NDArray[np.intp]
    priority: Floats


def misclassified(stored: StoredClassifications, is_settled: Flags) -> Ranked:
    """Rank the given labels that the votes say are wrong: the strongest accusation first."""
    accused = np.isin(stored.report, REJECTED) & ~is_settled
    return _ranked(stored, np.flatnonzero(accused), stored.posterior)


def undecided(stored: StoredClassifications, is_settled: Flags, is_open: Flags) -> Ranked:
    """Rank what has votes and no decision: the nearest to one half first.

    Parameters
    ----------
    is_open : (n,) bool
        As `open_rows` returns it.
    """
    torn = (stored.report == "Controversial") | (is_open & _has_votes(stored))
    return _ranked(stored, np.flatnonzero(torn & ~is_settled), np.abs(stored.posterior - 0.5))


def random_spots(stored: StoredClassifications, tasks: Keys, share: float, seed: str) -> Ranked:
    """Draw a share of all tasks with votes, whatever the votes say, in a random order.

    A task that was drawn stays drawn however the votes change, so that what is found on the sample is true of all
    tasks with votes, and does not flatter annotators as the confirmed ones alone would.

    Parameters
    ----------
    tasks : (n_tasks,) int64
        Ids, by code.
    """
    place = uniform(tasks, seed)[stored.task]
    drawn = _has_votes(stored) & (place < share)
    return _ranked(stored, np.flatnonzero(drawn), place)


def least_agreed(stored: StoredClassifications, is_settled: Flags, share: float) -> Ranked:
    """Rank a share of the tasks that are confirmed: the lowest agreement first.

    The agreement of a task is that on the classification of which its annotators agree the least.
    """
    answered = stored.yes + stored.no
    n_tasks = int(stored.task.max(initial=-1)) + 1
    confirmed = sums(stored.task, np.isin(stored.report, CONFIRMED).astype(np.float64), n_tasks)[stored.task] > 0
    rows = np.flatnonzero(confirmed & (answered > 0) & ~is_settled)
    agreement = np.maximum(stored.yes, stored.no) / np.maximum(answered, 1)
    ranked = _ranked(stored, rows, agreement)
    n = int(np.ceil(share * len(ranked.row)))
    return Ranked(ranked.row[:n], ranked.priority[:n])


def settled(stored: StoredClassifications) -> Flags:
    """Return which classifications somebody has decided: their posterior is 0 or 1, and so are its bounds.

    Votes lead there under policy `majority` alone, whose bounds are the posterior.

    Returns
    -------
    (n,) bool
    """
    is_sure = (stored.posterior == 0) | (stored.posterior == 1)
    return np.asarray(is_sure & (stored.confidence == stored.posterior) & (stored.upper == stored.posterior), bool)


def _has_votes(stored: StoredClassifications) -> Flags:
    n_tasks = int(stored.task.max(initial=-1)) + 1
    return np.asarray(sums(stored.task, stored.yes + stored.no, n_tasks)[stored.task] > 0, bool)


def _ranked(stored: StoredClassifications, rows: NDArray[np.intp], priority: Floats) -> Ranked:
    """Keep the first row of each task."""
    order = rows[np.lexsort((stored.label[rows], stored.task[rows], priority[rows]))]
    _, first = np.unique(stored.task[order], return_index=True)
    row = order[np.sort(first)]
    return Ranked(row, priority[row])
