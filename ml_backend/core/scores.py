"""What the annotations of one control make probable: two opinions about an image become one probability a label.

The logarithmic opinion pool: the probabilities' weighted geometric mean (Genest and Zidek, Combining Probability
Distributions, 1986, doi:10.1214/ss/1177013825). An exponent on it is temperature scaling (Guo et al. 2017,
arXiv:1706.04599).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.cluster_evidence import ClusterEvidence
from ml_backend.core.controls import Control
from ml_backend.core.held_out import TINY, HeldOutCheck, OutOfFold
from ml_backend.core.linear import LinearClassifier, normalised

Floats = NDArray[np.floating[Any]]

_HALF = 0.5
_ANY = 1e-6


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
    """

    control: Control
    clusters: ClusterEvidence
    smoothing: float
    linear: LinearClassifier | None
    pool: Pool
    check: HeldOutCheck = field(default_factory=HeldOutCheck)
    out_of_fold: OutOfFold | None = None

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

    def _supported(self, assigned: NDArray[np.int64]) -> NDArray[np.bool_]:
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
