from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml_backend.core.controls import Control
from ml_backend.core.held_out import HeldOutCheck, check
from ml_backend.core.scores import ControlScores, fit_scores, sharpen

SINGLE = Control("kind", "image", ("a", "b"), multiple=False, image_key="image")
MULTIPLE = replace(SINGLE, multiple=True)


def one_clustering(control: Control, evidence: list[list[float]], annotated: list[int]) -> ControlScores:
    """Evidence of one clustering with an even prior that weighs one annotation."""
    return ControlScores(
        control,
        np.array([evidence], dtype=np.float32),
        np.array([annotated], dtype=np.float32),
        np.array([0.5, 0.5], dtype=np.float32),
    )


def test_a_score_is_a_smoothed_share() -> None:
    """3 of 3 annotated images of a cluster are a: (3 + 1/2) / (3 + 1) = 7/8."""
    scores, supported = one_clustering(SINGLE, [[3, 0]], [3]).probabilities(np.array([[0]]))
    np.testing.assert_allclose(scores, [[7 / 8, 1 / 8]], rtol=1e-6)
    assert supported.tolist() == [True]


def test_clusterings_are_averaged() -> None:
    """One clustering says 3/4, the other 1/4: together 1/2."""
    both = ControlScores(
        SINGLE,
        np.array([[[1, 0]], [[0, 1]]], dtype=np.float32),
        np.ones((2, 1), dtype=np.float32),
        np.array([0.5, 0.5], dtype=np.float32),
    )
    np.testing.assert_allclose(both.probabilities(np.array([[0], [0]]))[0], [[1 / 2, 1 / 2]], rtol=1e-6)


def test_a_cluster_without_annotations_suggests_nothing() -> None:
    """Of two clusters only the annotated one supports a suggestion."""
    scores = one_clustering(SINGLE, [[2, 0], [0, 0]], [2, 0])
    assert scores.probabilities(np.array([[0, 1]]))[1].tolist() == [True, False]


def test_labels_of_a_multiple_choice_are_questions_of_their_own() -> None:
    """Both labels were chosen on both images: each has (2 + 1/2) / (2 + 1) = 5/6."""
    scores, _ = one_clustering(MULTIPLE, [[2, 2]], [2]).probabilities(np.array([[0]]))
    np.testing.assert_allclose(scores, [[5 / 6, 5 / 6]], rtol=1e-5)


def clustered(n: int, wrong: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``n`` images in two clusters that mean a and b, a share of them annotated wrongly."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 2, n)
    label = np.where(rng.random(n) < wrong, 1 - cluster, cluster)
    return cluster[None, :], np.eye(2, dtype=np.float32)[label]


def test_held_out_accuracy_is_that_of_the_clusters() -> None:
    """A fifth of the annotations contradicts its cluster: about 4/5 are right, and the scores say so."""
    assigned, shares = clustered(400, wrong=0.2)
    made = fit_scores(SINGLE, assigned, shares, np.ones(400, dtype=bool), n_clusters=2)
    assert made.check.tasks == 400
    assert abs(made.check.accuracy - 0.8) < 0.05
    assert abs(made.check.mean_score - made.check.accuracy) < 0.03
    assert made.check.calibration_error < 0.08


def test_labels_by_chance_are_not_believed() -> None:
    """Where labels have nothing to do with the clusters, no score is far from a half."""
    assigned, shares = clustered(400, wrong=0.5)
    made = fit_scores(SINGLE, assigned, shares, np.ones(400, dtype=bool), n_clusters=2)
    assert made.probabilities(assigned)[0].max() < 0.62


def test_overconfidence_is_taken_back() -> None:
    """100 clusters of 2 images with labels by chance look pure by accident; the scores do not fall for it."""
    assigned = np.repeat(np.arange(100), 2)[None, :]
    shares = np.eye(2, dtype=np.float32)[np.random.default_rng(0).integers(0, 2, 200)]
    made = fit_scores(SINGLE, assigned, shares, np.ones(200, dtype=bool), n_clusters=100)
    assert made.check.mean_score < 0.6


def test_few_annotations_never_sharpen() -> None:
    """With 10 checked tasks the scores may only be made more careful."""
    assigned, shares = clustered(10, wrong=0)
    assert fit_scores(SINGLE, assigned, shares, np.ones(10, dtype=bool), n_clusters=2).sharpness <= 1


def test_too_few_annotations_are_not_checked() -> None:
    """Three annotated images cannot be held out in five folds: no accuracy is claimed."""
    assigned, shares = clustered(3, wrong=0)
    made = fit_scores(SINGLE, assigned, shares, np.ones(3, dtype=bool), n_clusters=2)
    assert made.check == HeldOutCheck()
    assert made.sharpness < 1


def test_unknown_images_are_no_evidence() -> None:
    """Only the two annotated images of four are counted."""
    assigned, shares = clustered(4, wrong=0)
    known = np.array([True, True, False, False])
    assert fit_scores(SINGLE, assigned, shares, known, n_clusters=2).annotated.sum() == 2


def test_calibration_error_by_hand() -> None:
    """Two images with score 0.9 of which one is right: |0.9 - 0.5| = 0.4."""
    scores, shares = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[1, 0], [0, 1]])
    found = check(scores, shares, SINGLE)
    assert (found.tasks, found.accuracy) == (2, 1 / 2)
    assert np.isclose(found.calibration_error, 0.4)


rows = arrays(np.float64, (3, 4), elements=st.floats(0, 1)).map(
    lambda one: (one + 1e-3) / (one + 1e-3).sum(1)[:, None]
)


@given(rows, st.floats(0.25, 4), st.booleans())
def test_sharpening_keeps_the_order(probabilities: np.ndarray, exponent: float, multiple: bool) -> None:  # noqa: FBT001
    """However sharp, scores stay in [0, 1], single choices sum to 1, and no two labels change places."""
    sharp = sharpen(probabilities, exponent, multiple=multiple)
    assert sharp.min() >= 0
    assert sharp.max() <= 1
    if not multiple:
        np.testing.assert_allclose(sharp.sum(axis=1), 1, rtol=1e-5)
    for before, after in zip(probabilities, sharp, strict=True):
        assert (np.diff(after[np.argsort(before)]) >= -1e-6).all()
