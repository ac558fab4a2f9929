import numpy as np
import pytest
from made_label_matrices import matrix_from
from made_votes import fitted, gold_of, listed_of, scored, simulated_answers, votes_of

from consensus.core.arrays import Floats
from consensus.core.model.latent_classes import LatentClasses
from consensus.core.model.subtypes import KINDS, fit_subtypes, with_truth
from consensus.core.votes.classifications import classify
from consensus.core.votes.label_matrix import label_matrix_of
from consensus.core.votes.votes import Votes

RIGHT, MISLEADING = 0.2, 0.3
"""Shares of links that are right, and of those that are not and that some annotators take for right ones."""

LEARNED = np.full((1, 2, 2), np.nan)


def links(n_links: int, n_annotators: int, per_link: int, seed: int) -> tuple[Votes, np.ndarray]:
    """Yes and no to links, two in five annotators taken in by the misleading ones; and which are right."""
    generator = np.random.default_rng(seed)
    kind = generator.choice(3, n_links, p=[RIGHT, MISLEADING, 1 - RIGHT - MISLEADING])
    taken_in = np.arange(n_annotators) < 0.4 * n_annotators
    rates = np.column_stack(
        [
            generator.beta(8, 2, n_annotators),
            np.where(taken_in, generator.beta(18, 2, n_annotators), generator.beta(1, 9, n_annotators)),
            generator.beta(1, 9, n_annotators),
        ]
    )
    rows = [
        (link, int(annotator), 0, 1 if generator.random() < rates[annotator, kind[link]] else -1)
        for link in range(n_links)
        for annotator in generator.choice(n_annotators, size=per_link, replace=False)
    ]
    return votes_of("each", rows, n_links, n_annotators, 1), kind == 0


def accuracy(yes: Floats, truth: np.ndarray) -> float:
    """Share of the links that are taken for what they are; a half where nothing is said."""
    return float(np.where(np.isclose(yes, 0.5), 0.5, (yes > 0.5) == truth).mean())


@pytest.mark.parametrize(
    ("n_links", "n_annotators", "per_link", "seed"), [(600, 30, 6, 0), (400, 20, 10, 2), (900, 40, 7, 1)]
)
def test_links_that_mislead_some_are_told_from_right_ones(
    n_links: int, n_annotators: int, per_link: int, seed: int
) -> None:
    """Where one confusion matrix each is right less often than the majority, `default` is right more often."""
    votes, truth = links(n_links, n_annotators, per_link, seed)
    shares = np.bincount(votes.task, votes.vote > 0) / np.bincount(votes.task)
    majority = accuracy(shares, truth)
    assert accuracy(fitted(votes).posterior, truth) < majority - 0.1
    assert accuracy(scored(votes).posterior, truth) > majority + 0.05


def test_a_rare_class_is_found_as_often_as_before() -> None:
    """Of an independent crowd that says yes to 4 in 100, what one confusion matrix each finds is found."""
    generator = np.random.default_rng(3)
    rates = generator.beta(16, 4, 30), generator.beta(2, 38, 30)
    votes, truth = simulated_answers(*rates, 800, per_task=5, seed=5, prevalence=0.04)
    assert (scored(votes).posterior[truth] > 0.5).mean() >= (fitted(votes).posterior[truth] > 0.5).mean()


def test_a_kind_is_of_the_class_that_the_crowd_sees_in_it() -> None:
    """Whatever class a kind began in; where the crowd is evenly divided over it, it is of either."""
    said = [{0: 1, 1: 1}, {0: 1, 1: 1}, {0: 0, 1: 0}, {0: 0, 1: 0}, {0: 0, 1: 1}, {0: 0, 1: 1}]
    sure = np.array([0.01, 0.99])
    rates = np.array([[sure[1], sure[0], sure[1]], [sure[0], sure[1], sure[0]]] * 2)  # of two annotators
    rates[2:, 2] = sure  # the second one says the second class of the third kind
    kinds = LatentClasses(rates, np.full(3, 1 / 3), np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
    truth = with_truth(kinds, matrix_from(said, 2, 2), 0.0).truth
    (first, _), (_, second), (half, _) = truth
    assert first == pytest.approx(second, abs=0.02)
    assert first > 0.98
    assert half == pytest.approx(1 / 2, abs=0.02)


def test_a_kind_over_which_the_crowd_is_divided_is_more_probably_of_the_frequent_class() -> None:
    """With three of five items agreed to be of the first class, and one of the second, the fifth is 7 to 3."""
    said = [*[{0: 0, 1: 0}] * 3, {0: 1, 1: 1}, {0: 0, 1: 1}]
    rates = np.array([[0.99, 0.01, 0.99], [0.01, 0.99, 0.01], [0.99, 0.01, 0.01], [0.01, 0.99, 0.99]])
    kinds = LatentClasses(rates, np.full(3, 1 / 3), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    truth = with_truth(kinds, matrix_from(said, 2, 2), 0.0).truth
    assert truth[2] == pytest.approx([7 / 10, 3 / 10], abs=0.03)


def test_gold_tells_the_class_of_a_kind() -> None:
    """What gold says of its items goes before what the crowd says of them."""
    said = [{0: 1}, {0: 1}, {0: 0}]
    kinds = LatentClasses(np.array([[0.01, 0.99], [0.99, 0.01]]), np.full(2, 1 / 2), np.eye(2))
    truth = with_truth(kinds, matrix_from(said, 1, 2, {0: [0], 1: [0], 2: [0]}), 0.0).truth
    assert (truth[:, 0] > 0.98).all()


def test_trust_that_is_set_by_hand_stays_in_every_kind() -> None:
    """An annotator who is said to guess has the same rates on all kinds of both classes."""
    votes, _ = links(200, 10, 7, seed=2)
    label_matrix, _ = label_matrix_of(votes, classify(votes, listed_of()), gold_of())
    by_hand = np.repeat(LEARNED, 10, axis=0)
    by_hand[3] = 1 / 2
    rates = fit_subtypes(label_matrix, by_hand, 1e-3).rates.reshape(10, 2, 2 * KINDS)
    assert (rates[3] == 1 / 2).all()
    np.testing.assert_allclose(rates.sum(axis=1), 1)
