"""Clusters and a linear classifier compete on held-out annotations.

What is chosen for the tasks of one fold is chosen by the losses on the other folds, so that nothing is judged by
the tasks that it was chosen on (nested cross-validation: Cawley and Talbot 2010,
https://jmlr.org/papers/v11/cawley10a.html). It costs little more than one choice, because the held-out opinions
are the same for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ml_backend.core.pooling import Pool, scale

Floats = NDArray[np.floating[Any]]

SHARPNESSES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_DOUBT = 3  # tasks; what is chosen by n of them is believed n / (n + _DOUBT) and made less sharp by it


@dataclass(frozen=True)
class Winner:
    """What did best.

    Parameters
    ----------
    smoothing : float
        Of the clusters.
    strength : float or None
        Of the linear classifier's regularisation; None where it did not compete.
    pool : Pool
    """

    smoothing: float
    strength: float | None
    pool: Pool


@dataclass(frozen=True)
class Contest:
    """Held-out opinions on the same tasks, and what annotators said of them.

    Parameters
    ----------
    clusters : mapping of float to (n_tasks, n_labels) float32
        Probabilities by smoothing.
    linear : mapping of float to (n_tasks, n_labels) float32
        Probabilities by strength; empty where there is no linear classifier.
    shares : (n_tasks, n_labels) float32
        Targets.
    weights : (n_tasks,) float32
        How much each task counts, at least 0.
    folds : (n_tasks,) int64
        Fold of each task, from 0.
    multiple : bool
        Whether each label is a question of its own.
    careful : bool
        Whether to leave out sharpness above 1.
    """

    clusters: Mapping[float, Floats]
    linear: Mapping[float, Floats]
    shares: Floats
    weights: Floats
    folds: NDArray[np.int64]
    multiple: bool
    careful: bool

    def run(self) -> tuple[Winner, NDArray[np.float32]]:
        """Choose by all tasks, and say what choices by the other folds make of each task.

        Returns
        -------
        Winner
            For new tasks.
        (n_tasks, n_labels) float32
            Probabilities for these.
        """
        rounds = _Rounds(self)
        said = np.zeros(self.shares.shape, dtype=np.float32)
        for fold in np.unique(self.folds):
            out, winner = self.folds == fold, rounds.winner(int(fold))
            clusters = self.clusters[winner.smoothing][out]
            linear = clusters if winner.strength is None else self.linear[winner.strength][out]
            said[out] = winner.pool.join(clusters, linear, multiple=self.multiple)
        return rounds.winner(None), said


class _Rounds:
    """The losses of all candidates by fold, each computed once."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._caution = len(contest.shares) / (len(contest.shares) + _DOUBT)
        self._sharpnesses = [one for one in SHARPNESSES if one <= 1 or not contest.careful]
        self._clusters = {key: scale(each, multiple=contest.multiple) for key, each in contest.clusters.items()}
        self._linear = {key: scale(each, multiple=contest.multiple) for key, each in contest.linear.items()}
        self._alone = [
            {key: self._losses(opinion) for key, opinion in opinions.items()}
            for opinions in (self._clusters, self._linear)
        ]
        self._pooled: dict[tuple[float, float], dict[float, Floats]] = {}

    def winner(self, left_out: int | None) -> Winner:
        """Choose without the losses of one fold."""
        clusters, linear = self._alone
        smoothing, sharpness = self._best(clusters, left_out)
        if not linear:
            return Winner(smoothing, None, Pool(0.0, self._caution * sharpness))
        strength, _ = self._best(linear, left_out)
        share, sharpness = self._best(self._pools(smoothing, strength), left_out)
        return Winner(smoothing, strength if share else None, Pool(share, self._caution * sharpness))

    def _pools(self, smoothing: float, strength: float) -> dict[float, Floats]:
        key = smoothing, strength
        if key not in self._pooled:
            one, other = self._clusters[smoothing], self._linear[strength]
            between = {share: self._losses((1 - share) * one + share * other) for share in SHARES if 0 < share < 1}
            clusters, linear = self._alone
            self._pooled[key] = {0.0: clusters[smoothing]} | between | {1.0: linear[strength]}
        return self._pooled[key]

    def _best(self, losses: Mapping[float, Floats], left_out: int | None) -> tuple[float, float]:
        """Give the key and the sharpness with the least loss."""
        sums = np.stack(
            [each.sum(axis=1) - (0 if left_out is None else each[:, left_out]) for each in losses.values()]
        )
        key, sharpness = np.unravel_index(sums.argmin(), sums.shape)
        return list(losses)[key], self._sharpnesses[sharpness]

    def _losses(self, opinion: Floats) -> Floats:
        """(n_sharpnesses, n_folds): weighted sums of the log loss."""
        contest, shares = self._contest, self._contest.shares
        said = (shares * opinion).sum(axis=1)
        found = []
        for sharpness in self._sharpnesses:
            sharp = sharpness * opinion
            most = np.logaddexp(0, sharp).sum(axis=1) if contest.multiple else logsumexp(sharp, axis=1)
            found.append(np.bincount(contest.folds, contest.weights * (most - sharpness * said)))
        return np.stack(found)
