"""k-means over a project's embeddings: several clusterings, each with more clusters than labels.

One k-means cuts through classes at arbitrary places; the average over a few that start differently does not.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_CLUSTERINGS = 8
_FEW, _MANY = 2, 24  # components
_IMAGES_PER_COMPONENT = 12
_NOISE = 0.01  # of the first component's variance; below it whitening would only amplify noise
_IMAGES_PER_CLUSTER = 4
_ASSIGNED = 4096  # images at a time: the distances of many to all clusters would take gigabytes
_ROUNDS = 12
_MAX_FITTED = 10_000  # images that the centroids are found on; all are assigned


@dataclass(frozen=True)
class Placed:
    """Tasks in the clusters of one clustering.

    Parameters
    ----------
    tasks : (n_tasks,) int64
        Ids, each once: by cluster, and in it the nearest to the centre first.
    clusters : (n_tasks,) int64
        In ascending order.
    without : int
        Tasks that have no embedding and so no place.
    """

    tasks: NDArray[np.int64]
    clusters: NDArray[np.int64]
    without: int

    @property
    def cluster_of(self) -> dict[int, int]:
        """Cluster by task."""
        return dict(zip(self.tasks.tolist(), self.clusters.tolist(), strict=True))

    def thinned(self, most: int) -> "dict[int, list[int]]":
        """Return about so many tasks by cluster, or all: from the nearest on, evenly spaced.

        Examples
        --------
        >>> placed = Placed(np.array([4, 2, 7, 9]), np.array([0, 0, 0, 1]), without=0)
        >>> placed.thinned(4), placed.thinned(2)
        ({0: [4, 2, 7], 1: [9]}, {0: [4, 7], 1: [9]})
        """
        step = self.step(most)
        bounds = np.flatnonzero(np.diff(self.clusters)) + 1
        starts = [0, *bounds.tolist()] if len(self.clusters) else []
        return {
            int(self.clusters[start]): tasks[::step].tolist()
            for start, tasks in zip(starts, np.split(self.tasks, bounds), strict=False)
        }

    def step(self, most: int) -> int:
        """Return of how many tasks one is named where about so many may be."""
        return max(1, math.ceil(len(self.tasks) / most))


@dataclass(frozen=True)
class Clusters:
    """Centroids of the clusterings, and the projection in which they lie.

    Parameters
    ----------
    mean : (n_dimensions,) float32
        Subtracted from an embedding.
    projection : (n_dimensions, n_components) float32
        Whitened principal components.
    centroids : (n_clusterings, n_clusters, n_components) float32
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]
    centroids: NDArray[np.float32]

    def assign(self, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return each image's cluster in each clustering.

        Parameters
        ----------
        embeddings : (n_images, n_dimensions) float32

        Returns
        -------
        (n_clusterings, n_images) int64
            In [0, n_clusters).
        """
        starts = range(0, max(len(embeddings), 1), _ASSIGNED)
        return np.concatenate([self._assign(embeddings[start : start + _ASSIGNED]) for start in starts], axis=1)

    def place(self, embeddings: NDArray[np.float32], tasks: NDArray[np.int64], without: int) -> Placed:
        """Put tasks with an embedding each into the clusters of the first clustering.

        Parameters
        ----------
        embeddings : (n_tasks, n_dimensions) float32
        tasks : (n_tasks,) int64
        """
        clusters = self.assign(embeddings)[0]
        points = _project(embeddings, self.mean, self.projection)
        distances = np.linalg.norm(points - self.centroids[0][clusters], axis=1)
        order = np.lexsort((tasks, distances, clusters))
        return Placed(tasks[order], clusters[order], without)

    def _assign(self, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        points = _project(embeddings, self.mean, self.projection)
        # |p - c|^2 without |p|^2, which is the same for all clusters
        distances = (self.centroids**2).sum(axis=2)[:, None, :] - 2 * points @ self.centroids.transpose(0, 2, 1)
        return np.asarray(distances.argmin(axis=2), dtype=np.int64)


def fit_clusters(embeddings: NDArray[np.float32], n_labels: int, seed: int = 0) -> Clusters:
    """Find the clusters of a project's images.

    Parameters
    ----------
    embeddings : (n_images, n_dimensions) float32
        At least one row.
    n_labels : int
        Of the control with the most; there are more clusters than that where there are enough images.
    seed : int
        The same seed and embeddings give the same clusters.

    Raises
    ------
    ValueError
        If there is no image.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415 - takes seconds, and suggesting needs none of it

    n_images = len(embeddings)
    if n_images == 0:
        raise ValueError("there are no embeddings to cluster")
    rng = np.random.default_rng(seed)
    fitted = embeddings
    if n_images > _MAX_FITTED:
        fitted = embeddings[np.sort(rng.choice(n_images, _MAX_FITTED, replace=False))]
    mean, projection = _whitening(fitted, seed)
    points = _project(fitted, mean, projection)
    n_clusters = min(_n_clusters(n_images, n_labels), len(np.unique(points, axis=0)))
    # On their average a better start or more rounds have no influence, and they take most of the time.
    centroids = [
        KMeans(n_clusters, init="random", n_init=1, max_iter=_ROUNDS, random_state=seed + run)
        .fit(points)
        .cluster_centers_
        for run in range(N_CLUSTERINGS)
    ]
    return Clusters(mean, projection, np.asarray(centroids, dtype=np.float32))


def _n_clusters(n_images: int, n_labels: int) -> int:
    desired = max(2 * n_labels, math.isqrt(n_images))
    return min(n_images, max(n_labels + 1, min(desired, n_images // _IMAGES_PER_CLUSTER)))


def _whitening(embeddings: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from sklearn.decomposition import PCA  # noqa: PLC0415 - as above

    # With as many components as images, whitening would put all images equally far apart.
    n_components = min(max(len(embeddings) // _IMAGES_PER_COMPONENT, _FEW), _MANY, *embeddings.shape)
    if np.ptp(embeddings, axis=0).max() == 0:  # one image, or all the same
        return embeddings[0], np.zeros((embeddings.shape[1], 1), dtype=np.float32)
    pca = PCA(n_components, random_state=seed).fit(embeddings)
    used = pca.explained_variance_ > _NOISE * pca.explained_variance_.max()
    scaled = pca.components_[used] / np.sqrt(pca.explained_variance_[used])[:, None]
    return pca.mean_.astype(np.float32), scaled.T.astype(np.float32)


def _project(
    embeddings: NDArray[np.float32], mean: NDArray[np.float32], projection: NDArray[np.float32]
) -> NDArray[np.float32]:
    points = (embeddings - mean) @ projection
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
