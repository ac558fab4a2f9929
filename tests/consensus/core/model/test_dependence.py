from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_label_matrices import any_said, confusion_from, drawn_confusion, matrix_from
from made_votes import few_examples
from plain_loops import Known, independent, perceived, predicted
from scipy.stats import dirichlet_multinomial

from consensus.core.model import dependence
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.dependence import (
    GRID,
    MOST_VOTES,
    PSEUDO_VOTES,
    USUAL,
    correlation_of,
    discount,
    even_votes_of,
    every_for,
    log_odds_variance,
    mean_of,
    prediction_likelihood,
    tempered,
    vote_counts,
)
from consensus.core.model.em import em
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize

Whole = tuple[list[dict[int, int]], int, int]
EVEN = [[3 / 4, 1 / 4], [1 / 4, 3 / 4]]


def known_of(confusion: ConfusionMatrices) -> Known:
    """Rates as lists."""
    return Known(confusion.table.tolist(), confusion.prevalence.tolist(), [], [], 0.0, 0.0)


def test_discount_is_the_design_effect() -> None:
    """With a correlation of 1/4 votes are worth 1, 4/5 and 4/7 of themselves; no vote has no discount."""
    label_matrix = matrix_from([{0: 0}, {0: 0, 1: 0}, {0: 0, 1: 0, 2: 1, 3: 1}, {}], 4, 2)
    np.testing.assert_allclose(discount(label_matrix, 1 / 4), [1, 4 / 5, 4 / 7, 1])
    assert discount(label_matrix, 0.0).tolist() == [1, 1, 1, 1]


def test_tempered_by_hand() -> None:
    """Four votes of odds 3 with a correlation of 1 are one vote: 3/4, whoever is with it; prevalence 1/16 is 1/4.

    The prevalence counts by half: odds of 1 to 16 become 1 to 4, and 3 times as much is 3/7.
    """
    label_matrix = matrix_from([dict.fromkeys(range(4), 0)], 4, 2)
    np.testing.assert_allclose(tempered(label_matrix, confusion_from([EVEN] * 4), 1.0)[0, 0], 3 / 4)
    rare = confusion_from([EVEN] * 4, [1 / 17, 16 / 17])
    np.testing.assert_allclose(tempered(label_matrix, rare, 1.0)[0, 0], 3 / 7)


def test_perceived_by_hand() -> None:
    """Two votes of weight 1 and one of 2 against, with one spread evenly: 5/2 and 5/2 of 5; no vote is even."""
    label_matrix = matrix_from([{0: 0, 1: 0, 2: 1}, {0: 1}, {}], 3, 2)
    found = dependence.perceived(label_matrix, np.array([1.0, 1.0, 2.0]), 1.0)
    np.testing.assert_allclose(found, [[1 / 2, 1 / 2], [1 / 4, 3 / 4], [1 / 2, 1 / 2]])


def test_mean_of_two_accounts() -> None:
    """One vote of odds 3 is 3/4 by itself and, of weight 0, 1/2 as perceived: 5/8 by both."""
    label_matrix = matrix_from([{0: 0}], 1, 2)
    first, second = (
        tempered(label_matrix, confusion_from([EVEN]), 0.0),
        dependence.perceived(label_matrix, np.zeros(1), 1.0),
    )
    assert mean_of(first, second)[0].tolist() == pytest.approx([5 / 8, 3 / 8])


def test_vote_counts_by_hand() -> None:
    """Rows of 2 to 0, 1 to 2 and a single vote: the first two count, by class and in all, in parts or not."""
    label_matrix = matrix_from([{0: 0, 1: 0}, {0: 1, 1: 1, 2: 0}, {2: 1}], 3, 2)
    for n_parts in (1, 3):
        counts = sum(vote_counts(part, 1) for part in label_matrix.split(n_parts))
        assert counts[:, :4].tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 1, 1]]
        assert counts[:, 4:].sum() == 0


def test_a_crowd_too_large_to_count_says_nothing() -> None:
    """Rows of more votes than are counted leave the even vote that is to be expected."""
    label_matrix = matrix_from([dict.fromkeys(range(MOST_VOTES + 1), 0)], MOST_VOTES + 1, 2)
    assert even_votes_of([vote_counts(label_matrix, 1)]) == pytest.approx(1, abs=0.01)
    assert even_votes_of([]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("concentration", [0.2, 0.4, 0.7])
def test_even_votes_are_the_concentration_of_the_items_shares(concentration: float) -> None:
    """Votes drawn from Dirichlet shares around 1/2, 1/3 and 1/6 show their concentration; scipy agrees."""
    generator, mean = np.random.default_rng(5), np.array([1 / 2, 1 / 3, 1 / 6])
    shares = generator.dirichlet(concentration * mean, size=1500)
    said = [dict(enumerate(generator.choice(3, size=4, p=share).tolist())) for share in shares]
    learned = even_votes_of([vote_counts(matrix_from(said, 4, 3), 1)])
    assert learned == pytest.approx(concentration, rel=0.15)
    counts = np.array([np.bincount(list(votes.values()), minlength=3) for votes in said])
    share = counts.sum(axis=0) / counts.sum()
    likelihood = {
        step: dirichlet_multinomial(step * learned * share, 4).logpmf(counts).sum()
        - np.log(step * learned) ** 2 / 2
        for step in (0.98, 1.0, 1.02)
    }
    assert max(likelihood, key=lambda step: likelihood[step]) == 1.0


def test_votes_that_are_often_contradicted_leave_the_even_vote() -> None:
    """Where shares are spread evenly, or wider than the bounds allow, the even vote of Perks stays."""
    generator = np.random.default_rng(5)
    said = [dict(enumerate(generator.integers(2, size=4).tolist())) for _ in range(500)]
    assert even_votes_of([vote_counts(matrix_from(said, 4, 2), 1)]) == pytest.approx(1, abs=0.01)


def test_agreement_that_a_frequent_class_explains_shows_nothing() -> None:
    """Nine votes in ten for one class, whatever the item, agree mostly, and leave the even vote."""
    generator = np.random.default_rng(5)
    said = [dict(enumerate((generator.random(4) < 0.1).astype(int).tolist())) for _ in range(1500)]
    assert even_votes_of([vote_counts(matrix_from(said, 4, 2), 1)]) == pytest.approx(1, abs=0.01)


def test_doubt_counts_where_the_posterior_moves() -> None:
    """Doubts of 1/4 and 3/4 with a correlation of 1 are (1/2)^2 of 1; the log-odds of 1/2 move by half of those.

    Where the first account is sure, (1/2) 0 of (3/4)(1/4), they do not move.
    """
    label_matrix = matrix_from([{0: 0, 1: 1}, {0: 0, 1: 0}, {}], 2, 2)
    first = np.array([[1 / 2, 1 / 2], [1.0, 0.0], [1 / 2, 1 / 2]])
    posterior = np.array([[1 / 2, 1 / 2], [3 / 4, 1 / 4], [1 / 2, 1 / 2]])
    found = log_odds_variance(label_matrix, 1.0, np.array([1 / 4, 3 / 4]), first, posterior)
    np.testing.assert_allclose(found, [[1 / 16, 1 / 16], [0, 0], [0, 0]])


def test_doubt_of_certainty_is_finite() -> None:
    """Posteriors of 0 and 1 divide by no zero."""
    label_matrix, sure = matrix_from([{0: 0}], 1, 2), np.array([[1.0, 0.0]])
    assert log_odds_variance(label_matrix, 0.0, np.ones(1), sure, sure).tolist() == [[0, 0]]


@few_examples
@given(any_said(), st.integers(0, 99), st.floats(0, 0.99), st.floats(0.1, 1))
def test_accounts_are_those_of_adding_one_by_one(
    whole: Whole, seed: int, correlation: float, even_votes: float
) -> None:
    """Both accounts and their mean are those of plain loops."""
    said, n_annotators, n_classes = whole
    confusion, label_matrix = (
        drawn_confusion(n_annotators, n_classes, seed),
        matrix_from(said, n_annotators, n_classes),
    )
    weight = np.random.default_rng(seed).random(n_annotators)
    one_way = np.array([independent(one, known_of(confusion), 0.5, correlation) for one in said])
    other_way = np.array([perceived(one, weight.tolist(), n_classes, even_votes) for one in said])
    np.testing.assert_allclose(tempered(label_matrix, confusion, correlation), one_way, atol=1e-12)
    perception = dependence.perceived(label_matrix, weight, even_votes)
    np.testing.assert_allclose(perception, other_way, atol=1e-12)
    both = mean_of(tempered(label_matrix, confusion, correlation), perception)
    np.testing.assert_allclose(both, (one_way + other_way) / 2, atol=1e-12)


@few_examples
@given(any_said(), st.integers(0, 99), st.integers(1, 3))
def test_predictions_are_those_of_deleting_each_vote(whole: Whole, seed: int, n_parts: int) -> None:
    """At every correlation, each vote is predicted from its item as it is without that vote, in parts or not."""
    said, n_annotators, n_classes = whole
    confusion, label_matrix = (
        drawn_confusion(n_annotators, n_classes, seed),
        matrix_from(said, n_annotators, n_classes),
    )
    expected = [predicted(said, known_of(confusion), correlation) for correlation in GRID]
    found = sum(prediction_likelihood(part, confusion, 1) for part in label_matrix.split(n_parts))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_without_votes_the_correlation_is_the_usual_one() -> None:
    """The prior's best, 0.1415 where its slope 0.15 / (r + 0.01) is 0.85 / (1 - r), twice: 1 - (1 - r)^2."""
    best = (USUAL - 0.01 * (1 - USUAL)) / (USUAL + 1 - USUAL)
    assert best == pytest.approx(0.1415)
    assert correlation_of([]) == pytest.approx(1 - (1 - best) ** 2, abs=0.01)


@pytest.mark.parametrize("top", [0.0, 0.12, 0.28, 0.33, 0.7, 0.9])
def test_the_best_correlation_is_found_between_the_grid(top: float) -> None:
    """Of a parabola the top is found wherever it is, also on either end, and what is not seen is added."""
    prior = PSEUDO_VOTES * (USUAL * np.log(GRID + 0.01) + (1 - USUAL) * np.log(1 - GRID))
    found = correlation_of([-1e4 * (GRID - top) ** 2 - prior])
    assert found == pytest.approx(1 - (1 - top) ** 2, abs=1e-9)


def simulated(right: Callable[[np.random.Generator], np.ndarray]) -> LabelMatrix:
    """Simulated votes of 6 annotators on 800 items, each item with its own chance to be got right."""
    generator = np.random.default_rng(1)
    truth, chance = generator.integers(2, size=800)[:, None], right(generator)[:, None]
    said = np.where(generator.random((800, 6)) < chance, truth, 1 - truth)
    return matrix_from([dict(enumerate(row)) for row in said.tolist()], 6, 2)


def test_correlation_rises_where_items_differ_in_difficulty() -> None:
    """Of items as hard as one another next to none is found; the more they differ, the more of it."""

    def found(right: Callable[[np.random.Generator], np.ndarray]) -> float:
        label_matrix = simulated(right)
        confusion = em(lambda function: [function(label_matrix)], np.full(6, np.nan))
        return correlation_of([prediction_likelihood(label_matrix, confusion, 1)])

    alike = found(lambda _: np.full(800, 3 / 4))
    somewhat = found(lambda generator: generator.beta(6, 2, 800))
    much = found(lambda generator: generator.beta(3 / 2, 1 / 2, 800))
    assert alike < 0.1
    assert alike + 0.1 < somewhat < much - 0.1


def test_a_sample_has_its_share_of_items_and_of_every_label() -> None:
    """One item in 10 is about a tenth of all, and of each label's where every tenth item is of one label."""
    label_matrix, confusion = matrix_from([{0: 0, 1: 1}] * 2000, 2, 2), confusion_from([EVEN] * 2)
    one = prediction_likelihood(matrix_from([{0: 0, 1: 1}], 2, 2), confusion, 1)[0]
    assert prediction_likelihood(label_matrix, confusion, 10)[0] / one == pytest.approx(200, abs=2)
    for label in range(10):
        said = [{0: 0, 1: 1} if at % 10 == label else {} for at in range(2000)]
        assert prediction_likelihood(matrix_from(said, 2, 2), confusion, 10)[0] / one == pytest.approx(20, abs=3)


@pytest.mark.parametrize("n_parts", [2, 5])
def test_a_sample_of_parts_is_that_of_the_whole(n_parts: int) -> None:
    """Which items are looked at does not depend on how they are cut."""
    label_matrix, confusion = simulated(lambda _: np.full(800, 3 / 4)), drawn_confusion(6, 2, 3)
    found = sum(prediction_likelihood(part, confusion, 7) for part in label_matrix.split(n_parts))
    np.testing.assert_allclose(found, prediction_likelihood(label_matrix, confusion, 7), atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "votes", "n_classes", "every"),
    [(0, 0, 1, 1), (100, 10**7, 2, 1), (10**4, 10**5, 2, 1), (10**6, 10**6, 2, 10), (5000, 10**8, 2, 5)],
)
def test_sample_size(rows: int, votes: int, n_classes: int, every: int) -> None:
    """A sample has about 200,000 votes times classes and at least about a thousand items."""
    assert every_for(MatrixSize(rows, votes, n_classes)) == every
