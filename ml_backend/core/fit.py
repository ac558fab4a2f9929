"""Learning to score one control: fit, hold out, compete, check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.cluster_evidence import count_evidence
from ml_backend.core.controls import Control
from ml_backend.core.given_labels import GivenNoise, learn_noise, taught_by_given
from ml_backend.core.held_out import ANNOTATIONS, GIVEN, OutOfFold, check
from ml_backend.core.linear import LinearClassifier, fit_linear
from ml_backend.core.model_selection import SHARES, Contest
from ml_backend.core.scores import ControlScores, Pool, least_support
from ml_backend.core.verification import answers as verified
from ml_backend.core.verification import yes_and_no, yes_or_no

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

SMOOTHINGS = (0.25, 0.5, 1.0, 2.0, 4.0)
STRENGTHS = (16.0, 4.0, 1.0, 0.25, 0.06, 0.015)
_FOLDS = 5
_ENOUGH_TO_SHARPEN = 30  # judged tasks; fewer may only make the scores more careful
_UNCHECKED = Pool(sharpness=0.5)
_HALF = 0.5
_EVERYWHERE = -1  # the fold of what is learned from in all folds


@dataclass(frozen=True)
class AnnotatedImages:
    """What is known of one control's annotated images.

    Parameters
    ----------
    assigned : (n_known, n_clusterings) int64
        Their clusters: the transpose of ``Clusters.assign``.
    points : (n_known, n_components) float32
        Their coordinates, from ``Components.project``.
    shares : (n_known, n_labels) float32
        Targets, in [0, 1]; rows of a single choice sum to 1.
    weights : (n_known,) float32
        How much each target counts, at least 0; 0 where nobody has annotated.
    clean : (n_known,) bool
        Which of them may judge.
    pictures : (n_known,) int64
        Equal for equal pictures, which are held out together.
    given : (n_known, n_labels) float32, optional
        1 where a label came with the task; rows of zeros where none did.
    answers : (n_known, n_labels) float32, optional
        What people have annotated, by which alone the scores are measured; the targets if left out.
    counts : (n_known,) float32, optional
        How much each of these counts, at least 0; as the targets if left out.
    """

    assigned: Rows
    points: Floats
    shares: Floats
    weights: Floats
    clean: Flags
    pictures: Rows
    given: Floats | None = None
    answers: Floats | None = None
    counts: Floats | None = None

    def __len__(self) -> int:
        return len(self.shares)

    def only(self, chosen: Flags) -> "AnnotatedImages":
        """Keep some images."""
        rows: dict[str, Any] = {
            field.name: None if (array := getattr(self, field.name)) is None else array[chosen]
            for field in fields(self)
        }
        return AnnotatedImages(**rows)

    @property
    def taught(self) -> Flags:
        """(n_known,) bool: which have anything to learn from."""
        return (self.weights > 0) | self.given_alone

    @property
    def given_alone(self) -> Flags:
        """(n_known,) bool: which came with a label and have no annotation."""
        if self.given is None:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray((self.weights == 0) & self.given.any(axis=1))

    @property
    def people(self) -> tuple[Floats, Floats]:
        """What people have annotated, (n_known, n_labels), and how much each of it counts, (n_known,)."""
        if self.answers is None or self.counts is None:
            return self.shares, self.weights
        return self.answers, self.counts

    @property
    def at_first(self) -> Floats:
        """(n_known, n_labels) float32: what annotations or, where there are none, given labels say."""
        if self.given is None:
            return self.shares
        return np.where(self.given_alone[:, None], self.given, self.shares).astype(np.float32)


@dataclass(frozen=True)
class Opinions:
    """What clusters and linear classifiers say of images that they were not learned from.

    Parameters
    ----------
    clusters, linear : mapping of float to (n_images, n_labels) float32
        Probabilities by smoothing, and by strength of the regularisation.
    support : (n_images,) float32
        Which share of their clusters hold an annotated image.
    """

    clusters: Mapping[float, Floats]
    linear: Mapping[float, Floats]
    support: Floats


def fit_scores(
    control: Control,
    images: AnnotatedImages,
    n_clusters: int,
    tasks: Rows | None = None,
    seed: int = 0,
    pools: Sequence[float] = SHARES,
) -> ControlScores:
    """Learn to score a control by what predicts held-out annotations best.

    Parameters
    ----------
    images : AnnotatedImages
        At least one image.
    n_clusters : int
        Of each clustering.
    tasks : (n_known,) int64, optional
        Ids of the images' tasks, with which the held-out probabilities are kept.
    seed : int
        Of the folds.
    pools : sequence of float
        The shares of the linear classifier that compete: 0 alone leaves it out, 1 alone leaves the clusters out.

    Returns
    -------
    ControlScores
        Its ``check`` is of probabilities that neither the task itself nor a choice made with it has influenced, by
        what people have annotated; where nobody has, by the given labels.
    """
    multiple, people = control.multiple, images
    folds = _folds(images, seed)
    judged = folds != _EVERYWHERE
    enough = judged.sum() >= _FOLDS
    images, by_fold = _with_given(images, folds, multiple=multiple) if enough else (_as_given(images), None)
    clusters = count_evidence(images.assigned.T, images.shares, images.weights, n_clusters, multiple=multiple)
    if not enough:
        nothing = _out_of_fold(tasks, np.zeros_like(judged), images.shares)
        return ControlScores(control, clusters, 1.0, None, _UNCHECKED, out_of_fold=nothing)
    strengths = STRENGTHS if any(pools) else ()
    opinions = _hold_out(images, folds, n_clusters, strengths, by_fold, multiple=multiple)
    shares, weights = images.shares[judged], images.weights[judged]
    winner, held_out_scores = Contest(
        opinions.clusters,
        opinions.linear,
        shares,
        weights,
        folds[judged],
        multiple=multiple,
        careful=len(shares) < _ENOUGH_TO_SHARPEN,
        pools=pools,
    ).run()
    supported = opinions.support >= least_support(winner.pool)
    own = people.only(judged)
    answers, counts = own.people
    against = ANNOTATIONS if counts.any() or own.given is None else GIVEN
    shares, weights = (answers, counts) if against == ANNOTATIONS else (own.at_first, weights)
    noise = _noise(own, held_out_scores, None if tasks is None else tasks[judged], multiple=multiple)
    judging, scores = control, held_out_scores
    if control.answers and against == ANNOTATIONS and noise is not None and own.given is not None:
        judging = replace(control, labels=yes_or_no(control.answers))
        right = np.where(own.given > 0, noise.posterior(scores, own.given), 0)
        scores, sure = verified(judging, scores, right)
        shares, supported = yes_and_no(shares, own.given), supported & sure
        weights = np.where(own.given.any(axis=1), weights, 0)
    answered, unanswered = supported & (weights > 0), ~supported & (weights > 0)
    return ControlScores(
        control,
        clusters,
        winner.smoothing,
        None if winner.strength is None else _linear(images, winner.strength, multiple=multiple),
        winner.pool,
        check(
            scores[answered],
            shares[answered],
            judging,
            weights[answered],
            unanswered=int(unanswered.sum()),
            against=against,
        ),
        _out_of_fold(tasks, judged, held_out_scores),
        noise=noise,
    )


def _as_given(images: AnnotatedImages) -> AnnotatedImages:
    """Take given labels for what they say, half as much as annotations."""
    weights = np.where(images.given_alone, _HALF, images.weights).astype(np.float32)
    return replace(images, shares=images.at_first, weights=weights)


def _with_given(images: AnnotatedImages, folds: Rows, *, multiple: bool) -> tuple[AnnotatedImages, Floats | None]:
    """Let given labels teach where nobody has annotated; with it, what is taught while each fold is held out."""
    if images.given is None or not images.given.any():
        return images, None
    targets = taught_by_given(images.points, images.given, images.shares, images.weights, folds, multiple=multiple)
    return replace(images, shares=targets.shares, weights=targets.weights), targets.by_fold


def _noise(
    images: AnnotatedImages, probabilities: Floats, tasks: Rows | None, *, multiple: bool
) -> GivenNoise | None:
    if images.given is None or not images.given.any():
        return None
    taught = None if tasks is None else tasks[images.given_alone]
    return learn_noise(
        probabilities, images.given, images.shares, images.weights, multiple=multiple, taught=taught
    )


def _folds(images: AnnotatedImages, seed: int) -> Rows:
    """Deal the pictures that may judge into folds, those with the same answer one after the other."""
    judging = images.clean & images.taught
    # Of a picture that also taught the embeddings no copy may judge.
    judging &= ~np.isin(images.pictures, images.pictures[~images.clean])
    pictures, first, place = np.unique(images.pictures[judging], return_index=True, return_inverse=True)
    answers = np.unique(images.at_first[judging][first] > _HALF, axis=0, return_inverse=True)[1].ravel()
    shuffled = np.random.default_rng(seed).permutation(len(pictures))
    dealt = np.empty(len(pictures), dtype=np.int64)
    dealt[shuffled[np.argsort(answers[shuffled], kind="stable")]] = np.arange(len(pictures)) % _FOLDS
    folds = np.full(len(images), _EVERYWHERE, dtype=np.int64)
    folds[judging] = dealt[place]
    return folds


def _hold_out(
    images: AnnotatedImages,
    folds: Rows,
    n_clusters: int,
    strengths: Sequence[float],
    by_fold: Floats | None,
    *,
    multiple: bool,
) -> Opinions:
    judged = folds != _EVERYWHERE
    place = np.cumsum(judged) - 1
    shape = int(judged.sum()), images.shares.shape[1]
    strengths = strengths if _differ(images) else ()
    clusters = {key: np.zeros(shape, dtype=np.float32) for key in SMOOTHINGS}
    linear = {key: np.zeros(shape, dtype=np.float32) for key in strengths}
    support = np.zeros(shape[0], dtype=np.float32)
    for fold in range(_FOLDS):
        out = folds == fold
        taught, rows = images.only(~out), place[out]
        if by_fold is not None and out.any():
            taught = replace(taught, shares=by_fold[fold][~out])
        counted = count_evidence(taught.assigned.T, taught.shares, taught.weights, n_clusters, multiple=multiple)
        assigned = images.assigned[out].T
        support[rows] = counted.support(assigned)
        for smoothing in SMOOTHINGS:
            clusters[smoothing][rows] = counted.probabilities(assigned, smoothing)
        fitted = fit_linear(taught.points, taught.shares, taught.weights, strengths, multiple=multiple)
        for strength, model in zip(strengths, fitted, strict=True):
            linear[strength][rows] = model.probabilities(images.points[out], multiple=multiple)
    return Opinions(clusters, linear, support)


def _differ(images: AnnotatedImages) -> bool:
    """Return whether there is anything to tell apart."""
    shares = images.shares[images.weights > 0]
    return len(shares) > 0 and bool((np.ptp(shares, axis=0) > 0).any())


def _linear(images: AnnotatedImages, strength: float, *, multiple: bool) -> LinearClassifier:
    path = [candidate for candidate in STRENGTHS if candidate >= strength]
    *_, last = fit_linear(images.points, images.shares, images.weights, path, multiple=multiple)
    return last


def _out_of_fold(tasks: Rows | None, judged: Flags, probabilities: Floats) -> OutOfFold | None:
    if tasks is None:
        return None
    order = np.argsort(tasks[judged])
    return OutOfFold(tasks[judged][order], probabilities[order], np.sort(tasks[~judged]))
