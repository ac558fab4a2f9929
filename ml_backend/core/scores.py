"""What the annotations of one control make probable: two opinions about an image become one probability a label.

The logarithmic opinion pool: the probabilities' weighted geometric mean (Genest and Zidek, Combining Probability
Distributions, 1986, doi:10.1214/ss/1177013825). An exponent on it is temperature scaling (Guo et al. 2017,
arXiv:1706.04599).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import GivenLabel
from ml_backend.core.cluster_evidence import ClusterEvidence
from ml_backend.core.controls import Control, given_matrix
from ml_backend.core.given_labels import GivenNoise
from ml_backend.core.held_out import TINY, HeldOutCheck, OutOfFold
from ml_backend.core.linear import LinearClassifier, normalised

Floats = NDArray[np.floating[Any]]

_HALF = 0.5
_ANY = 1e-6
_DIGITS = 6


@dataclass(frozen=True)
class Pool:
    """How opinions are joined.

    Parameters
    ----------
    share : float
        Of the linear classifier, in [0, 1]; the rest is the clusters'.
    sharpness : float
        Above 1 makes the probabilities more certain, below 1 less.
    """

    share: float = 0.0
    sharpness: float = 1.0

    def join(self, clusters: Floats, linear: Floats, *, multiple: bool) -> NDArray[np.float32]:
        """Join two opinions.

        Parameters
        ----------
        clusters, linear : (n_images, n_labels) float32
            Probabilities in [0, 1].
        multiple : bool
            Whether each label is a question of its own, or the row a distribution.

        Returns
        -------
        (n_images, n_labels) float32

        Examples
        --------
        >>> clusters, linear = np.array([[0.75, 0.25]]), np.array([[0.25, 0.75]])
        >>> Pool(share=0.5).join(clusters, linear, multiple=False).tolist()
        [[0.5, 0.5]]
        >>> Pool(sharpness=2).join(clusters, linear, multiple=False).round(3).tolist()
        [[0.8999999761581421, 0.10000000149011612]]
        """
        joined = self.sharpness * (
            (1 - self.share) * scale(clusters, multiple=multiple) + self.share * scale(linear, multiple=multiple)
        )
        return normalised(joined, multiple=multiple)


@dataclass(frozen=True)
class ControlScores:
    """What scores the images for one control.

    Parameters
    ----------
    smoothing : float
        How many annotated images the clusters' prior weighs as much as; above 0.
    linear : LinearClassifier or None
        None where the clusters answer alone.
    pool : Pool
        How the two are joined.
    out_of_fold : OutOfFold or None
        None where the tasks' ids are not known.
    noise : GivenNoise or None
        How labels are given; None where none are.
    """

    control: Control
    clusters: ClusterEvidence
    smoothing: float
    linear: LinearClassifier | None
    pool: Pool
    check: HeldOutCheck = field(default_factory=HeldOutCheck)
    out_of_fold: OutOfFold | None = None
    noise: GivenNoise | None = None

    def probabilities(
        self, assigned: NDArray[np.int64], points: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Score each label for each image.

        Parameters
        ----------
        assigned : (n_clusterings, n_images) int64
            From ``Clusters.assign``.
        points : (n_images, n_components) float32
            From ``Components.project``.

        Returns
        -------
        scores : (n_images, n_labels) float32
        supported : (n_images,) bool
            Whether enough of the image's clusters hold an annotated image, see ``least_support``. Where not,
            suggest nothing.
        """
        multiple = self.control.multiple
        clusters = self.clusters.probabilities(assigned, self.smoothing)
        linear = clusters if self.linear is None else self.linear.probabilities(points, multiple=multiple)
        return self.pool.join(clusters, linear, multiple=multiple), self._supported(assigned)

    def beside_given(
        self, probabilities: NDArray[np.float32], tasks: Sequence[tuple[int, Mapping[str, object]]]
    ) -> tuple[NDArray[np.float32], Floats]:
        """Take out of tasks' probabilities what their own given label taught.

        Parameters
        ----------
        probabilities : (n_images, n_labels) float32
        tasks : sequence of (int, mapping)
            Id and data of each image's task; empty where they are not known.

        Returns
        -------
        probabilities : (n_images, n_labels) float32
        right : (n_images, n_labels) float
            How likely each given label is right; 0 for the others, and where a task was learned from in all folds.
        """
        right = np.zeros(probabilities.shape)
        if self.noise is None or not tasks:
            return probabilities, right
        given = given_matrix(self.control, [content for _, content in tasks])
        fair = probabilities.copy()
        if self.out_of_fold is not None:
            ids = np.array([task for task, _ in tasks], dtype=np.int64)
            held_out, is_held_out = self.out_of_fold.of(ids)
            fair[is_held_out] = held_out[is_held_out]
            is_fair = ~np.isin(ids, self.out_of_fold.unjudged)[:, None]
            right = np.where(is_fair & (given > 0), self.noise.posterior(fair, given), 0)
            fair = np.where(np.isin(ids, self.noise.taught)[:, None], fair, probabilities)
        return fair, right

    def likely(self, right: Floats) -> GivenLabel | None:
        """Name the label of a single choice that was given, and how likely it is right."""
        if self.control.multiple or not right.any():
            return None
        column = int(right.argmax())
        return GivenLabel(self.control.labels[column], round(float(right[column]), _DIGITS))

    def _supported(self, assigned: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.check.is_from_names:
            return np.ones(assigned.shape[1], dtype=np.bool_)
        return np.asarray(self.clusters.support(assigned) >= least_support(self.pool))


def least_support(pool: Pool) -> float:
    """Return which share of an image's clusters must hold an annotated image for a suggestion.

    Half of them where the clusters answer alone. A linear classifier has learned from all annotations; with it any
    one is enough, and where there is none the image resembles nothing that it has seen.
    """
    return _ANY if pool.share > 0 else _HALF


def scale(probabilities: Floats, *, multiple: bool) -> NDArray[np.float32]:
    """Return the scale on which opinions are averaged: log odds (multiple) or logarithms (single)."""
    safe = np.clip(probabilities, TINY, 1 - TINY).astype(np.float32)
    return np.log(safe) - np.log1p(-safe) if multiple else np.log(safe)
