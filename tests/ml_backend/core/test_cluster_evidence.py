import numpy as np

from ml_backend.core.cluster_evidence import ClusterEvidence, count_evidence


def one_clustering(evidence: list[list[float]], annotated: list[float]) -> ClusterEvidence:
    """Evidence of one clustering with an even prior."""
    return ClusterEvidence(
        np.array([evidence], dtype=np.float32),
        np.array([annotated], dtype=np.float32),
        np.array([0.5, 0.5], dtype=np.float32),
    )


def test_a_score_is_a_smoothed_share() -> None:
    """3 of 3 annotated images of a cluster are a, the prior weighs one: (3 + 1/2) / (3 + 1) = 7/8."""
    scores = one_clustering([[3, 0]], [3]).probabilities(np.array([[0]]), smoothing=1)
    np.testing.assert_allclose(scores, [[7 / 8, 1 / 8]], rtol=1e-6)


def test_clusterings_are_averaged() -> None:
    """One clustering says 3/4, the other 1/4: together 1/2."""
    both = ClusterEvidence(
        np.array([[[1, 0]], [[0, 1]]], dtype=np.float32),
        np.ones((2, 1), dtype=np.float32),
        np.array([0.5, 0.5], dtype=np.float32),
    )
    np.testing.assert_allclose(both.probabilities(np.array([[0], [0]]), 1), [[1 / 2, 1 / 2]], rtol=1e-6)


def test_a_cluster_without_annotations_is_no_support() -> None:
    """Of two clusters only the annotated one supports its images; a second clustering makes it half of them."""
    one = one_clustering([[2, 0], [0, 0]], [2, 0])
    assert one.support(np.array([[0, 1]])).tolist() == [1, 0]
    both = ClusterEvidence(np.tile(one.evidence, (2, 1, 1)), np.array([[2, 0], [2, 0]]), one.prior)
    assert both.support(np.array([[0], [1]])).tolist() == [1 / 2]


def test_labels_of_a_multiple_choice_are_questions_of_their_own() -> None:
    """Both labels were chosen on both images: each has (2 + 1/2) / (2 + 1) = 5/6."""
    scores = one_clustering([[2, 2]], [2]).probabilities(np.array([[0]]), smoothing=1)
    np.testing.assert_allclose(scores, [[5 / 6, 5 / 6]], rtol=1e-6)


def test_a_target_counts_by_its_weight() -> None:
    """Weights 1 and 1/2 make evidence of 1 and 1/2, and a prior of (1 + 1) / (3/2 + 2) for the first label."""
    shares, weights = np.eye(2, dtype=np.float32), np.array([1, 0.5], dtype=np.float32)
    evidence = count_evidence(np.array([[0, 1]]), shares, weights, n_clusters=2, multiple=False)
    assert evidence.evidence.tolist() == [[[1, 0], [0, 0.5]]]
    assert evidence.annotated.tolist() == [[1, 0.5]]
    np.testing.assert_allclose(evidence.prior, [4 / 7, 3 / 7], rtol=1e-6)


def test_a_label_that_nobody_has_chosen_stays_possible() -> None:
    """Ten annotations of a: b keeps the prior of one imagined annotation, 1 / 12."""
    shares = np.tile(np.array([1, 0], dtype=np.float32), (10, 1))
    evidence = count_evidence(
        np.zeros((1, 10), dtype=np.int64), shares, np.ones(10, dtype=np.float32), n_clusters=1, multiple=False
    )
    np.testing.assert_allclose(evidence.prior, [11 / 12, 1 / 12], rtol=1e-6)
    assert evidence.probabilities(np.array([[0]]), smoothing=1)[0, 1] > 0
