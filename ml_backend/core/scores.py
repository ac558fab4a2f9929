"""What the annotations say about each cluster, as probabilities that held-out annotations have checked."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.controls import Control
from ml_backend.core.held_out import HeldOutCheck, OutOfFold, check

Floats = NDArray[np.float32]

_SMOOTHINGS = (0.25, 0.5, 1.0, 2.0, 4.0)
_SHARPNESSES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
_FOLDS = 5
_ENOUGH_TO_SHARPEN = 30  # checked tasks; fewer may only make the scores more careful
_TINY = 1e-6


@dataclass(frozen=True)
class ControlScores:
    """The evidence of one control in each cluster.

    Parameters
    ----------
    control : Control
    evidence : (n_clusterings, n_clusters, n_labels) float32
        Sum of the targets of the annotated images in a cluster.
    annotated : (n_clusterings, n_clusters) float32
        Number of them.
    prior : (n_labels,) float32
        Probability of a label without any knowledge of the image.
    smoothing : float
        How many annotated images the prior weighs as much as; above 0.
    sharpness : float
        Exponent on the averaged probabilities; above 1 where averaging made them too careful.
    check : HeldOutCheck
    out_of_fold : OutOfFold or None
        None where nothing was held out, or the tasks' ids were not told.
    """

    control: Control
    evidence: Floats
    annotated: Floats
    prior: Floats
    smoothing: float = 1.0
    sharpness: float = 1.0
    check: HeldOutCheck = field(default_factory=HeldOutCheck)
    out_of_fold: OutOfFold | None = None

    def probabilities(self, assigned: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
        """Score each label for each image.

        Parameters
        ----------
        assigned : (n_clusterings, n_images) int64
            From ``Clusters.assign``.

        Returns
        -------
        scores : (n_images, n_labels) float32
            In [0, 1]; rows sum to 1 for a single choice.
        supported : (n_images,) bool
            Whether at least half of the image's clusters hold an annotated image. Where not, suggest nothing.
        """
        prior = self.smoothing * self.prior
        by_cluster = (self.evidence + prior) / (self.annotated[..., None] + self.smoothing)
        runs = np.arange(len(assigned))[:, None]
        averaged = by_cluster[runs, assigned].mean(axis=0)
        supported = (self.annotated[runs, assigned] > 0).mean(axis=0) >= 0.5  # noqa: PLR2004 - a half
        return sharpen(averaged, self.sharpness, multiple=self.control.multiple), supported


def sharpen(probabilities: Floats, exponent: float, *, multiple: bool) -> Floats:
    """Raise probabilities to a power and normalise them again (temperature scaling, arXiv:1706.04599).

    Parameters
    ----------
    probabilities : (n_images, n_labels) float32
        In [0, 1].
    exponent : float
        Above 1 makes them more certain, below 1 less.
    multiple : bool
        Whether each label is a question of its own, or the row a distribution.

    Examples
    --------
    >>> sharpen(np.array([[0.75, 0.25]], dtype=np.float32), 2, multiple=False).round(2).tolist()
    [[0.8999999761581421, 0.10000000149011612]]
    """
    powers = np.clip(probabilities, _TINY, 1 - _TINY) ** exponent
    if multiple:
        others = np.clip(1 - probabilities, _TINY, 1 - _TINY) ** exponent
        return np.asarray(powers / (powers + others), dtype=np.float32)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def fit_scores(
    control: Control,
    assigned: NDArray[np.int64],
    shares: Floats,
    known: NDArray[np.bool_],
    n_clusters: int,
    seed: int = 0,
) -> ControlScores:
    """Map clusters to labels, with the smoothing and sharpness that predict held-out annotations best.

    Parameters
    ----------
    control : Control
    assigned : (n_clusterings, n_images) int64
        Cluster of each image.
    shares : (n_images, n_labels) float32
        Targets, from ``evidence.targets``.
    known : (n_images,) bool
        Which images have one; at least one must.
    n_clusters : int
        Of each clustering.
    seed : int
        Of the cross-validation's folds.

    Returns
    -------
    ControlScores
        Its ``check`` is made with the two chosen numbers, which is all that the held-out tasks have decided.
    """
    full = _count(control, assigned[:, known], shares[known], n_clusters)
    held = list(_held_out(control, assigned[:, known], shares[known], n_clusters, seed))
    if not held:
        return replace(full, sharpness=0.5)
    truth = np.concatenate([target for _, _, target in held])
    best_loss, chosen = np.inf, full
    for smoothing in _SMOOTHINGS:
        smooth, supported = _scores(held, smoothing=smoothing, sharpness=1.0)
        for sharpness in _SHARPNESSES:
            if sharpness > 1 and supported.sum() < _ENOUGH_TO_SHARPEN:
                continue
            scores = sharpen(smooth, sharpness, multiple=control.multiple)
            loss = _log_loss(scores, truth, multiple=control.multiple)
            if loss < best_loss:
                best_loss, chosen = loss, replace(full, smoothing=smoothing, sharpness=sharpness)
    scores, supported = _scores(held, smoothing=chosen.smoothing, sharpness=chosen.sharpness)
    return replace(chosen, check=check(scores[supported], truth[supported], control))


def _count(control: Control, assigned: NDArray[np.int64], shares: Floats, n_clusters: int) -> ControlScores:
    n_clusterings = len(assigned)
    evidence = np.zeros((n_clusterings, n_clusters, shares.shape[1]), dtype=np.float32)
    annotated = np.zeros((n_clusterings, n_clusters), dtype=np.float32)
    for run, clusters in enumerate(assigned):
        np.add.at(evidence[run], clusters, shares)
        np.add.at(annotated[run], clusters, 1)
    # One imagined annotation a label (two for the yes and no of a multiple choice) keeps unseen labels possible.
    imagined = 2 if control.multiple else shares.shape[1]
    prior = (shares.sum(axis=0) + 1) / (len(shares) + imagined)
    return ControlScores(control, evidence, annotated, prior.astype(np.float32))


def _held_out(
    control: Control, assigned: NDArray[np.int64], shares: Floats, n_clusters: int, seed: int
) -> Iterator[tuple[ControlScores, NDArray[np.int64], Floats]]:
    """Yield, for each fold, the evidence without it, its images' clusters and its targets."""
    n_tasks = len(shares)
    if n_tasks < _FOLDS:
        return
    folds = np.random.default_rng(seed).permutation(n_tasks) % _FOLDS
    for fold in range(_FOLDS):
        out = folds == fold
        yield _count(control, assigned[:, ~out], shares[~out], n_clusters), assigned[:, out], shares[out]


def _scores(
    held: list[tuple[ControlScores, NDArray[np.int64], Floats]], *, smoothing: float, sharpness: float
) -> tuple[Floats, NDArray[np.bool_]]:
    parts = [
        replace(scores, smoothing=smoothing, sharpness=sharpness).probabilities(assigned)
        for scores, assigned, _ in held
    ]
    return np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])


def _log_loss(scores: Floats, shares: Floats, *, multiple: bool) -> float:
    safe = np.clip(scores, _TINY, 1 - _TINY)
    loss = -shares * np.log(safe)
    if multiple:
        loss = loss - (1 - shares) * np.log(1 - safe)
    return float(loss.sum(axis=1).mean())
