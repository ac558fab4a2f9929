"""Labels that tasks came with teach as noisy targets, whose reliability is learned.

No label vouches for itself: what teaches instead of an image's given label is the posterior over its true label,
from the probabilities of a classifier that was not taught this image, and from how labels are given here. That is
a confusion of true and given labels and the classifier's sharpness, which make the given labels the likeliest (the
forward model of Patrini et al. 2017, doi:10.1109/CVPR.2017.240; estimated from held-out probabilities as in
confident learning, Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125). While a fold is held out, the
targets of the others come from these alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.held_out import TINY, log_losses
from ml_backend.core.linear import fit_linear

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]

STRENGTHS = (16.0, 4.0, 1.0, 0.25, 0.06)
_SHARPNESSES = tuple(2.0 ** (step / 2) for step in range(-1, 6))
_IMAGINED = 10.0  # given labels for each true one, as right as all are on average
_DOUBT = 2.0
_ROUNDS = 30
_AT_FIRST = 0.8


@dataclass(frozen=True)
class GivenNoise:
    """How labels are given: of each true answer, which answers are given how often.

    A single choice is one question with its labels as answers; each label of a multiple choice is a question, with
    the answers no and yes.

    Parameters
    ----------
    confusions : (n_questions, n_answers, n_answers) float32
        Share of each given answer (last axis) by the true one.
    sharpness : (n_questions,) float32
        Exponent that makes held-out probabilities honest.
    taught : (n_taught,) int64
        Ids of the tasks whose given label was learned from, for want of annotations; ascending.
    """

    confusions: Floats
    sharpness: Floats
    taught: Rows

    def posterior(self, probabilities: Floats, given: Floats) -> Floats:
        """Return how likely each label is right.

        Parameters
        ----------
        probabilities : (n_images, n_labels) float
            From what was not taught these given labels.
        given : (n_images, n_labels) float
            1 where a label is given; rows of zeros where none is.

        Examples
        --------
        >>> noise = GivenNoise(np.array([[[0.75, 0.25], [0.25, 0.75]]]), np.ones(1), np.arange(0))
        >>> noise.posterior(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([[1, 0], [1, 0]])).tolist()
        [[0.75, 0.25], [0.5, 0.5]]
        """
        multiple = len(self.confusions) > 1 or len(self.confusions[0]) != given.shape[1]
        answered = np.asarray(given.any(axis=1))
        answers = []
        for (chances, code), confusion, sharpness in zip(
            _questions(probabilities, given, multiple=multiple), self.confusions, self.sharpness, strict=True
        ):
            likely = _sharp(chances, float(sharpness))
            answers.append(_normal(np.where(answered[:, None], likely * confusion[:, code].T, likely)))
        return np.stack([each[:, 1] for each in answers], axis=1) if multiple else answers[0]


@dataclass(frozen=True)
class Targets:
    """What images teach.

    Parameters
    ----------
    shares : (n_images, n_labels) float32
    weights : (n_images,) float32
    by_fold : (n_folds, n_images, n_labels) float32
        What they teach while a fold is held out.
    """

    shares: NDArray[np.float32]
    weights: NDArray[np.float32]
    by_fold: NDArray[np.float32]


def learn_noise(
    probabilities: Floats,
    given: Floats,
    shares: Floats,
    weights: Floats,
    *,
    multiple: bool,
    taught: Rows | None = None,
) -> GivenNoise:
    """Learn how labels are given.

    Parameters
    ----------
    probabilities, given : (n_images, n_labels) float
        As for ``GivenNoise.posterior``.
    shares : (n_images, n_labels) float
        What people say of the images, where they do.
    weights : (n_images,) float
        How much that is believed, in [0, 1]; 0 where nobody has said anything.
    taught : (n_taught,) int64, optional
        As in ``GivenNoise``.
    """
    use = given.any(axis=1)
    belief = np.clip(weights[use], 0, 1)[:, None].astype(np.float64)
    learned = [
        _learn_one(chances, code, belief, truth)
        for (chances, code), (truth, _) in zip(
            _questions(probabilities[use], given[use], multiple=multiple),
            _questions(shares[use], given[use], multiple=multiple),
            strict=True,
        )
    ]
    return GivenNoise(
        np.stack([confusion for confusion, _ in learned]).astype(np.float32),
        np.array([sharpness for _, sharpness in learned], dtype=np.float32),
        np.zeros(0, dtype=np.int64) if taught is None else np.sort(taught),
    )


def taught_by_given(
    points: NDArray[np.float32],
    given: Floats,
    shares: Floats,
    weights: Floats,
    folds: Rows,
    *,
    multiple: bool,
) -> Targets:
    """Replace given labels by what they make probable; where people have spoken their word stays.

    Parameters
    ----------
    points : (n_images, n_components) float32
    given, shares : (n_images, n_labels) float
    weights : (n_images,) float
        0 where nobody has annotated.
    folds : (n_images,) int64
        From 0; below 0 what is never held out.
    """
    n_folds, voted = int(folds.max()) + 1, weights > 0
    first = np.where(voted[:, None], shares, given).astype(np.float32)
    belief = np.where(voted, weights, given.any(axis=1)).astype(np.float32)

    def held_out(out: Sequence[int], strengths: Sequence[float]) -> Iterator[Floats]:
        within = np.isin(folds, out)
        for model in fit_linear(points[~within], first[~within], belief[~within], strengths, multiple=multiple):
            yield model.probabilities(points[within], multiple=multiple)

    rows_of = [folds == fold for fold in range(n_folds)]
    losses, singles = np.zeros(len(STRENGTHS)), []
    for fold, rows in enumerate(rows_of):
        singles.append(list(held_out([fold], STRENGTHS)))
        losses += [
            np.dot(belief[rows], log_losses(made, first[rows], multiple=multiple)) for made in singles[fold]
        ]
    best = int(losses.argmin())
    inner = np.zeros((n_folds, *first.shape), dtype=np.float32)
    for first_fold, second_fold in combinations(range(n_folds), 2):
        in_first, in_second = rows_of[first_fold], rows_of[second_fold]
        *_, last = held_out([first_fold, second_fold], STRENGTHS[: best + 1])
        of_first = in_first[in_first | in_second]
        inner[first_fold, in_second], inner[second_fold, in_first] = last[~of_first], last[of_first]
    by_fold = np.empty_like(inner)
    for fold, rows in enumerate(rows_of):
        others = (folds >= 0) & ~rows
        by_fold[fold], _ = _denoised(inner[fold], given, shares, weights, others, multiple=multiple)
    outer = np.zeros(first.shape, dtype=np.float32)
    for rows, by_strength in zip(rows_of, singles, strict=True):
        outer[rows] = by_strength[best]
    final, reliability = _denoised(outer, given, shares, weights, folds >= 0, multiple=multiple)
    return Targets(final, np.where(voted, weights, reliability * belief).astype(np.float32), by_fold)


def _denoised(
    probabilities: Floats,
    given: Floats,
    shares: Floats,
    weights: Floats,
    rows: NDArray[np.bool_],
    *,
    multiple: bool,
) -> tuple[NDArray[np.float32], float]:
    """Return the targets, and how much better than chance the given labels of some rows are believed to be."""
    targets = np.where((weights > 0)[:, None], shares, given).astype(np.float32)
    rows = rows & given.any(axis=1)
    if not rows.any():
        return targets, 0.0
    noise = learn_noise(probabilities[rows], given[rows], shares[rows], weights[rows], multiple=multiple)
    posterior = noise.posterior(probabilities[rows], given[rows])
    alone = (weights[rows] == 0)[:, None]
    targets[rows] = np.where(alone, posterior, targets[rows])
    right = float(np.mean([confusion.diagonal().mean() for confusion in noise.confusions]))
    chance = 1 / noise.confusions.shape[1]
    return targets, max(right - chance, 0.0) / (1 - chance) if chance < 1 else 1.0


def _learn_one(
    probabilities: Floats, given: Rows, belief: Floats, truth: Floats
) -> tuple[NDArray[np.float64], float]:
    """Return the confusion and sharpness of one question under which the given answers are the likeliest."""
    best = (-np.inf, np.eye(probabilities.shape[1]), 1.0)
    for sharpness in _SHARPNESSES:
        chances = _sharp(probabilities, sharpness)
        confusion = _confusion(chances, given, belief, truth)
        likelihood = np.log(np.maximum((chances * confusion[:, given].T).sum(axis=1), TINY)).mean()
        doubt = _DOUBT * np.log(sharpness) ** 2 / len(given)  # few labels say little of it
        best = max(best, (float(likelihood - doubt), confusion, sharpness), key=lambda each: each[0])
    return best[1], best[2]


def _confusion(chances: Floats, given: Rows, belief: Floats, truth: Floats) -> NDArray[np.float64]:
    """Expectation maximisation: who is right how often, and how often labels are right, by turns."""
    n_answers = chances.shape[1]
    confusion = np.full((n_answers, n_answers), (1 - _AT_FIRST) / n_answers) + _AT_FIRST * np.eye(n_answers)
    for _ in range(_ROUNDS):
        likely = belief * truth + (1 - belief) * _normal(chances * confusion[:, given].T)
        counts = np.stack([np.bincount(given, column, n_answers) for column in likely.T])
        right = min(counts.diagonal().sum() / counts.sum(), 1 - 1 / (len(given) + 1))
        imagined = np.full_like(confusion, (1 - right) / max(n_answers - 1, 1))
        np.fill_diagonal(imagined, right)
        confusion = _normal(counts + _IMAGINED * imagined)
    return confusion


def _questions(values: Floats, given: Floats, *, multiple: bool) -> Iterator[tuple[Floats, Rows]]:
    """Yield each question's distribution over its answers and the given answer."""
    if not multiple:
        yield values, given.argmax(axis=1)
        return
    for column, answers in zip(values.T, given.T, strict=True):
        yield np.stack([1 - column, column], axis=1), (answers > 0).astype(np.int64)


def _sharp(chances: Floats, sharpness: float) -> Floats:
    return _normal(np.maximum(chances, TINY) ** sharpness)


def _normal(rows: Floats) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(rows.sum(axis=1, keepdims=True), TINY), dtype=np.float64)
