"""What the annotations say about each cluster."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ClusterEvidence:
    """Annotations counted by cluster.

    Parameters
    ----------
    evidence : (n_clusterings, n_clusters, n_labels) float32
        Sum of the targets of the annotated images in a cluster, each times its weight.
    annotated : (n_clusterings, n_clusters) float32
        Sum of their weights.
    prior : (n_labels,) float32
        Probability of a label without any knowledge of the image.
    """

    evidence: Floats
    annotated: Floats
    prior: Floats

    def probabilities(self, assigned: NDArray[np.int64], smoothing: float) -> Floats:
        """Score each label for each image by what is known of its clusters.

        Parameters
        ----------
        assigned : (n_clusterings, n_images) int64
            From ``Clusters.assign``.
        smoothing : float
            How many annotated images the prior weighs as much as; above 0.

        Returns
        -------
        (n_images, n_labels) float32
            In (0, 1); rows sum to 1 for a single choice.
        """
        by_cluster = (self.evidence + smoothing * self.prior) / (self.annotated[..., None] + smoothing)
        return np.asarray(by_cluster[_runs(assigned), assigned].mean(axis=0), dtype=np.float32)

    def support(self, assigned: NDArray[np.int64]) -> Floats:
        """(n_images,) float32: which share of an image's clusters hold an annotated image."""
        held = self.annotated[_runs(assigned), assigned] > 0
        return np.asarray(held.mean(axis=0), dtype=np.float32)


def count_evidence(
    assigned: NDArray[np.int64], shares: Floats, weights: Floats, n_clusters: int, *, multiple: bool
) -> ClusterEvidence:
    """Count annotated images by cluster.

    Parameters
    ----------
    assigned : (n_clusterings, n_images) int64
        Clusters of the annotated images.
    shares : (n_images, n_labels) float32
        Their targets.
    weights : (n_images,) float32
        How much each target counts, at least 0.
    n_clusters : int
        Of each clustering.
    multiple : bool
        Whether each label is a question of its own.

    Examples
    --------
    >>> shares, weights = np.array([[1, 0], [0, 1]], dtype=np.float32), np.array([1, 0.5], dtype=np.float32)
    >>> counted = count_evidence(np.array([[0, 0]]), shares, weights, n_clusters=1, multiple=False)
    >>> counted.evidence.tolist(), counted.annotated.tolist()
    ([[[1.0, 0.5]]], [[1.5]])
    """
    weighed = shares * weights[:, None]
    evidence = np.zeros((len(assigned), n_clusters, shares.shape[1]), dtype=np.float32)
    annotated = np.zeros((len(assigned), n_clusters), dtype=np.float32)
    for run, clusters in enumerate(assigned):
        np.add.at(evidence[run], clusters, weighed)
        np.add.at(annotated[run], clusters, weights)
    # One imagined annotation a label (two for the yes and no of a multiple choice) keeps unseen labels possible.
    imagined = 2 if multiple else shares.shape[1]
    prior = (weighed.sum(axis=0) + 1) / (weights.sum() + imagined)
    return ClusterEvidence(evidence, annotated, prior.astype(np.float32))


def _runs(assigned: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.arange(len(assigned))[:, None]
