"""Clusters and a linear classifier compete on held-out annotations.

What is chosen for the tasks of one fold is chosen by the losses on the other folds, so that nothing is judged by
the tasks that it was chosen on (nested cross-validation: Cawley and Talbot 2010,
https://jmlr.org/papers/v11/cawley10a.html). It costs little more than one choice, because the held-out opinions
are the same for all.

Of shares that cannot be told apart the one nearest to an even blend is taken, by the rule of one standard error
(Breiman et al., Classification and Regression Trees, 1984): it errs less than what chance favoured on few tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.scores import Pool, scale

Floats = NDArray[np.floating[Any]]

SHARPNESSES = tuple(2.0 ** (step / 2) for step in range(-4, 5))
_FINE = tuple(2.0 ** (step / 8) for step in range(-16, 17))
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_EVEN = 0.5
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
    pools : sequence of float
        The shares of the linear classifier that compete.
    """

    clusters: Mapping[float, Floats]
    linear: Mapping[float, Floats]
    shares: Floats
    weights: Floats
    folds: NDArray[np.int64]
    multiple: bool
    careful: bool
    pools: Sequence[float] = SHARES

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
        joined = np.zeros(self.shares.shape, dtype=np.float32)
        for fold in np.unique(self.folds):
            out, winner = self.folds == fold, rounds.winner(int(fold))
            clusters = self.clusters[winner.smoothing][out]
            linear = clusters if winner.strength is None else self.linear[winner.strength][out]
            joined[out] = winner.pool.join(clusters, linear, multiple=self.multiple)
        return rounds.winner(None), joined


class _Rounds:
    """The losses of all candidates by fold, each computed once."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._caution = len(contest.shares) / (len(contest.shares) + _DOUBT)
        self._clusters = {key: scale(each, multiple=contest.multiple) for key, each in contest.clusters.items()}
        self._linear = {key: scale(each, multiple=contest.multiple) for key, each in contest.linear.items()}
        self._of_clusters = {key: self._losses(opinion) for key, opinion in self._clusters.items()}
        self._of_linear = {key: self._losses(opinion) for key, opinion in self._linear.items()}
        self._of_pools: dict[tuple[float, float], dict[float, Floats]] = {}
        self._of_sharp: dict[tuple[float, float | None, float], Floats] = {}

    def winner(self, left_out: int | None) -> Winner:
        """Choose without the losses of one fold."""
        smoothing = _best(self._of_clusters, left_out)
        strength, share = None, 0.0
        if self._linear:
            strength = _best(self._of_linear, left_out)
            share = _nearest_to_even(self._pools(smoothing, strength), left_out)
        strength = strength if share else None
        sharpness = self._caution * self._sharpest(smoothing, strength, share, left_out)
        return Winner(smoothing, strength, Pool(share, sharpness))

    def _pools(self, smoothing: float, strength: float) -> dict[float, Floats]:
        """Return the losses by share."""
        key = smoothing, strength
        if key not in self._of_pools:
            self._of_pools[key] = {
                share: self._losses(self._pool(smoothing, strength, share)) for share in self._contest.pools
            }
        return self._of_pools[key]

    def _sharpest(self, smoothing: float, strength: float | None, share: float, left_out: int | None) -> float:
        key = smoothing, strength, share
        if key not in self._of_sharp:
            self._of_sharp[key] = self._losses(self._pool(*key), _FINE)
        tried = self._tried(_FINE)
        return tried[int(_sums(self._of_sharp[key], left_out).argmin())]

    def _pool(self, smoothing: float, strength: float | None, share: float) -> Floats:
        clusters = self._clusters[smoothing]
        return clusters if strength is None else (1 - share) * clusters + share * self._linear[strength]

    def _losses(self, opinion: Floats, sharpnesses: Sequence[float] = SHARPNESSES) -> Floats:
        """(n_sharpnesses, n_folds): weighted sums of the log loss."""
        from scipy.special import logsumexp  # noqa: PLC0415 - serving needs none of this

        contest, sums = self._contest, []
        agreement = (contest.shares * opinion).sum(axis=1)
        for sharpness in self._tried(sharpnesses):
            sharp = sharpness * opinion
            most = np.logaddexp(0, sharp).sum(axis=1) if contest.multiple else logsumexp(sharp, axis=1)
            sums.append(np.bincount(contest.folds, contest.weights * (most - sharpness * agreement)))
        return np.stack(sums)

    def _tried(self, sharpnesses: Sequence[float]) -> list[float]:
        return [sharpness for sharpness in sharpnesses if sharpness <= 1 or not self._contest.careful]


def _best(losses: Mapping[float, Floats], left_out: int | None) -> float:
    """Return the key with the least loss at its best sharpness."""
    return min(losses, key=lambda key: float(_sums(losses[key], left_out).min()))


def _nearest_to_even(losses: Mapping[float, Floats], left_out: int | None) -> float:
    """Return the share nearest to a half among those within a standard error of the least loss, fold by fold."""
    by_fold = {share: _at_best(each, left_out) for share, each in losses.items()}
    least = by_fold[min(by_fold, key=lambda share: float(by_fold[share].sum()))]
    close = {share: each for share, each in by_fold.items() if _within_an_error(each - least)}
    return min(close, key=lambda share: (abs(share - _EVEN), float(close[share].sum())))


def _at_best(losses: Floats, left_out: int | None) -> Floats:
    """(n_folds,): the losses at the sharpness that has the least, without those of one fold."""
    best = losses[int(_sums(losses, left_out).argmin())]
    return best if left_out is None else np.delete(best, left_out)


def _within_an_error(differences: Floats) -> bool:
    """Whether a sum over folds is no more than its standard error."""
    error = np.sqrt(len(differences)) * differences.std(ddof=1) if len(differences) > 1 else 0.0
    return bool(differences.sum() <= error)


def _sums(losses: Floats, left_out: int | None) -> Floats:
    """(n_sharpnesses,): the losses of all folds but one."""
    remaining = losses if left_out is None else np.delete(losses, left_out, axis=1)
    return np.asarray(remaining.sum(axis=1))
