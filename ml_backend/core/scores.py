"""What the annotations of one control make probable."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.cluster_evidence import ClusterEvidence
from ml_backend.core.controls import Control
from ml_backend.core.held_out import HeldOutCheck, OutOfFold
from ml_backend.core.linear import LinearClassifier
from ml_backend.core.pooling import Pool

Floats = NDArray[np.float32]

_HALF = 0.5
_ANY = 1e-6


@dataclass(frozen=True)
class ControlScores:
    """What scores the images for one control.

    Parameters
    ----------
    control : Control
    clusters : ClusterEvidence
    smoothing : float
        How many annotated images the clusters' prior weighs as much as; above 0.
    linear : LinearClassifier or None
        None where the clusters answer alone.
    pool : Pool
        How the two are joined.
    check : HeldOutCheck
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

    def probabilities(self, assigned: NDArray[np.int64], points: Floats) -> tuple[Floats, NDArray[np.bool_]]:
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
            In [0, 1]; rows sum to 1 for a single choice.
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
    """Give which share of an image's clusters must hold an annotated image for a suggestion.

    Half of them where the clusters answer alone. A linear classifier has learned from all annotations; with it any
    one is enough, and where there is none the image resembles nothing that it has seen.
    """
    return _ANY if pool.share > 0 else _HALF
