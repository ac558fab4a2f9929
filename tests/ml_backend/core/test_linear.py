import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ml_backend.core.linear import Components, LinearClassifier, fit_components, fit_linear


def noisy(n: int = 120, n_labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of some groups that overlap, and the number of each one's group."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, n_labels, n)
    return (2 * np.eye(4)[group] + rng.normal(size=(n, 4))).astype(np.float32), group


def fitted(
    points: np.ndarray, shares: np.ndarray, weights: np.ndarray, *strengths: float, multiple: bool = False
) -> LinearClassifier:
    """The classifier of the last strength."""
    *_, last = fit_linear(
        points, shares.astype(np.float32), weights.astype(np.float32), strengths, multiple=multiple
    )
    return last


def test_a_single_choice_is_scikit_learns_multinomial_regression() -> None:
    """The same points, with one imagined image of each label at the mean, make scikit-learn say the same."""
    points, group = noisy()
    weights = np.random.default_rng(1).random(len(points)) + 0.5
    ours = fitted(points, np.eye(3)[group], weights, 4, 0.5).probabilities(points, multiple=False)
    peer = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=1000)
    peer.fit(np.concatenate([points, np.zeros((3, 4))]), np.append(group, range(3)), np.append(weights, [1, 1, 1]))
    np.testing.assert_allclose(ours, peer.predict_proba(points), atol=0.01)


def test_a_multiple_choice_is_a_regression_a_label() -> None:
    """Each label is as if it were learned alone, with an imagined yes and no at the mean."""
    points, group = noisy()
    shares = np.stack([group == 0, group != 1], axis=1).astype(np.float32)
    ours = fitted(points, shares, np.ones(len(points)), 0.5, multiple=True).probabilities(points, multiple=True)
    for column in (0, 1):
        peer = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=1000)
        peer.fit(np.concatenate([points, np.zeros((2, 4))]), np.append(shares[:, column], [0, 1]))
        np.testing.assert_allclose(ours[:, column], peer.predict_proba(points)[:, 1], atol=0.01)


def test_a_divided_vote_is_two_whole_ones_of_half_the_weight() -> None:
    """An image that two annotators label differently teaches as much as its two copies."""
    points, group = noisy(40)
    divided = (np.eye(3)[group] + np.eye(3)[(group + 1) % 3]) / 2
    whole = np.concatenate([np.eye(3)[group], np.eye(3)[(group + 1) % 3]])
    one = fitted(points, divided, np.ones(40), 1)
    two = fitted(np.tile(points, (2, 1)), whole, np.full(80, 0.5), 1)
    np.testing.assert_allclose(
        one.probabilities(points, multiple=False), two.probabilities(points, multiple=False), atol=0.01
    )


def test_a_label_that_nobody_has_chosen_stays_possible() -> None:
    """Of three labels only two occur among 40 images: the third keeps about 1 of 43 imagined and real ones."""
    points, group = noisy(40, n_labels=2)
    probabilities = fitted(points, np.eye(3)[group], np.ones(40), 100).probabilities(points, multiple=False)
    assert 0.01 < probabilities[:, 2].mean() < 0.05


@pytest.mark.parametrize("multiple", [False, True])
def test_a_stronger_regularisation_says_less(multiple: bool) -> None:  # noqa: FBT001
    """The more it is held back, the nearer to the labels' shares it stays."""
    points, group = noisy()
    spread = [
        fitted(points, np.eye(3)[group], np.ones(len(points)), strength, multiple=multiple)
        .probabilities(points, multiple=multiple)
        .std()
        for strength in (1000, 1, 0.01)
    ]
    assert spread == sorted(spread)


def test_components_have_unit_length_on_average() -> None:
    """Whatever the scale of a backbone, projected embeddings have a mean squared length of 1."""
    embeddings = 1000 * noisy()[0] + 5
    points = fit_components(embeddings).project(embeddings)
    np.testing.assert_allclose((points**2).sum(axis=1).mean(), 1, rtol=0.02)


def test_equal_images_have_no_direction() -> None:
    """Where all images are the same, each is the mean."""
    embeddings = np.ones((3, 5), dtype=np.float32)
    assert fit_components(embeddings).project(embeddings).tolist() == [[0], [0], [0]]


def test_large_projects_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components of many images are found on a sample, the same with the same seed."""
    monkeypatch.setattr("ml_backend.core.linear._MAX_FITTED", 50)
    embeddings = noisy()[0]
    first, second = (fit_components(embeddings, seed=3) for _ in range(2))
    assert isinstance(first, Components)
    np.testing.assert_array_equal(first.mean, second.mean)
    assert (first.mean != embeddings.mean(axis=0)).any()
