import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_backend.core.clusters import N_CLUSTERINGS, fit_clusters


def blobs(n: int = 20, seed: int = 0) -> np.ndarray:
    """Three groups of ``n`` images each, far apart in 6 dimensions."""
    rng = np.random.default_rng(seed)
    centres = 10 * np.eye(6)[:3]
    return (np.repeat(centres, n, axis=0) + rng.normal(scale=0.1, size=(3 * n, 6))).astype(np.float32)


def test_there_are_more_clusters_than_labels() -> None:
    """60 images and 3 labels: at least 4 clusters in each clustering."""
    assert fit_clusters(blobs(), n_labels=3).centroids.shape[:2] == (N_CLUSTERINGS, 7)


def test_groups_are_not_mixed() -> None:
    """No cluster holds images of two groups that lie far apart."""
    assigned = fit_clusters(blobs(), n_labels=3).assign(blobs())
    group = np.repeat([0, 1, 2], 20)
    for clusters in assigned:
        assert all(len(set(group[clusters == cluster])) == 1 for cluster in set(clusters))


def test_a_new_image_joins_its_group() -> None:
    """Images that were not there at the fit get the clusters of those that they resemble."""
    clusters = fit_clusters(blobs(), n_labels=3)
    old, new = clusters.assign(blobs()), clusters.assign(blobs(seed=1)[:1])
    assert (new[:, 0] == old[:, :20].T).any(axis=0).all()


def test_many_images_are_assigned_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large project is assigned part by part, in memory that does not grow with it, and to the same clusters."""
    clusters, images = fit_clusters(blobs(), n_labels=3), blobs(n=5000)
    tracemalloc.start()
    assigned = clusters.assign(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * assigned.nbytes + 4096 * N_CLUSTERINGS * 7 * 4 * 3
    monkeypatch.setattr("ml_backend.core.clusters._ASSIGNED", len(images))
    np.testing.assert_array_equal(assigned, clusters.assign(images))
    assert clusters.assign(images[:0]).shape == (N_CLUSTERINGS, 0)


def test_the_same_seed_gives_the_same_clusters() -> None:
    """A training can be repeated."""
    first, second = fit_clusters(blobs(), 3, seed=5), fit_clusters(blobs(), 3, seed=5)
    np.testing.assert_array_equal(first.centroids, second.centroids)


@pytest.mark.parametrize("n_images", [1, 2, 3])
def test_equal_images_are_one_cluster(n_images: int) -> None:
    """A project whose images are all the same still has a cluster for them."""
    embeddings = np.ones((n_images, 5), dtype=np.float32)
    assert fit_clusters(embeddings, n_labels=4).assign(embeddings).tolist() == [[0] * n_images] * N_CLUSTERINGS


def test_no_image_is_an_error() -> None:
    """There is nothing to cluster without images."""
    with pytest.raises(ValueError, match="no embeddings"):
        fit_clusters(np.zeros((0, 5), dtype=np.float32), n_labels=2)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 100))
def test_every_image_has_a_cluster_that_exists(n_images: int, n_labels: int, seed: int) -> None:
    """Whatever the number of images and labels, assignments lie in the range of the clusters."""
    embeddings = np.random.default_rng(seed).normal(size=(n_images, 4)).astype(np.float32)
    clusters = fit_clusters(embeddings, n_labels)
    assigned = clusters.assign(embeddings)
    assert assigned.shape == (N_CLUSTERINGS, n_images)
    assert assigned.min() >= 0
    assert assigned.max() < clusters.centroids.shape[1] <= n_images


def test_places_are_by_cluster_from_the_centre_on() -> None:
    """Each task once, in the clusters of the first clustering; the nearest to the centre first."""
    clusters, images = fit_clusters(blobs(), n_labels=3), blobs()
    placed = clusters.place(images, np.arange(60), without=2)
    assert sorted(placed.tasks.tolist()) == list(range(60))
    assert (np.diff(placed.clusters) >= 0).all()
    assert (clusters.assign(images)[0][placed.tasks] == placed.clusters).all()
    centred = (images - clusters.mean) @ clusters.projection
    points = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    for number, tasks in placed.thinned(60).items():
        distances = np.linalg.norm(points[tasks] - clusters.centroids[0][number], axis=1)
        assert (np.diff(distances) >= -1e-6).all()
