import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_votes import few_examples
from plain_loops import expected, rates
from scipy.stats import dirichlet_multinomial

from consensus.core.model.confusion_matrices import (
    FEWEST,
    LOWEST,
    MOST,
    expected_rows,
    loosened,
    m_step,
    strength_of,
)

LEARN = np.full(9, np.nan)


@st.composite
def any_counts(draw: st.DrawFn) -> np.ndarray:
    """Counts [annotator][true][said] of up to 4 annotators and 4 classes, few or many."""
    n_annotators, n_classes = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    votes = st.floats(0, 50, allow_subnormal=False)
    return draw(arrays(float, (n_annotators, n_classes, n_classes), elements=votes))


def test_without_a_vote_everybody_is_right_three_times_in_four() -> None:
    """The mistakes of newcomers are spread evenly, the prevalence is even."""
    found = m_step(np.zeros((2, 3, 3)), np.zeros(3), 2.0, LEARN[:2])
    row = [[3 / 4, 1 / 8, 1 / 8], [1 / 8, 3 / 4, 1 / 8], [1 / 8, 1 / 8, 3 / 4]]
    np.testing.assert_allclose(found.table, [row, row])
    np.testing.assert_allclose(found.prevalence, 1 / 3)
    assert found.accuracy.tolist() == [3 / 4, 3 / 4]


def test_one_annotator_by_hand() -> None:
    """Three right of four votes on each of two classes.

    Population: (6 + 3/2) / (8 + 2) = 3/4 of strength 4; own accuracy (6 + 3) / (8 + 4) = 3/4; each class
    (3 + 7.5) / (4 + 10) = 3/4. With a strength of 4 a row is (3 + 3) / (4 + 4).
    """
    found = m_step(np.array([[[3.0, 1.0], [1.0, 3.0]]]), np.array([4.0, 4.0]), 4.0, LEARN[:1])
    np.testing.assert_allclose(found.table, [[[3 / 4, 1 / 4], [1 / 4, 3 / 4]]])
    assert found.accuracy.tolist() == [pytest.approx(3 / 4)]
    assert (found.own_strength, found.evidence.tolist()) == (4, [[4, 4]])


def test_a_hard_class_is_expected_to_be_hard() -> None:
    """The class that all annotators get wrong half the time is so for a newcomer, the other one is not."""
    counts = np.array([[[90.0, 0.0], [45.0, 45.0]]] * 5 + [[[0.0] * 2] * 2])
    newcomer = expected_rows(counts)[0][-1]
    assert newcomer[0, 0] > 0.9
    assert newcomer[1, 1] == pytest.approx(0.5, abs=0.06)


def test_mistakes_are_expected_where_others_make_them() -> None:
    """Class 0 is taken for 1 by all: (20 + 5/2) of 25 mistakes of a newcomer are that one, (0 + 5/2) the other."""
    counts = np.zeros((3, 3, 3))
    counts[:2, 0] = [40, 10, 0]
    row = expected_rows(counts)[0][2, 0]
    np.testing.assert_allclose(row[1:] / row[1:].sum(), [22.5 / 25, 2.5 / 25])


@few_examples
@given(any_counts(), st.floats(1, 4), st.lists(st.none() | st.floats(0, 1), min_size=4, max_size=4))
def test_rates_are_those_of_the_formulas(counts: np.ndarray, strength: float, trust: list[float | None]) -> None:
    """Rates, accuracies and prevalence are those of docs/method.md cell by cell."""
    n_annotators = len(counts)
    by_hand = trust[:n_annotators]
    rows = counts.sum(axis=(0, 2))
    found = m_step(counts, rows, strength, np.array([np.nan if one is None else one for one in by_hand]))
    known = rates(counts.tolist(), rows.tolist(), strength, by_hand)
    np.testing.assert_allclose(found.table, known.table, atol=1e-12)
    np.testing.assert_allclose(found.accuracy, known.accuracy, atol=1e-12)
    np.testing.assert_allclose(found.prevalence, known.prevalence, atol=1e-12)
    np.testing.assert_allclose(expected_rows(counts)[0], expected(counts.tolist())[0], atol=1e-12)


@few_examples
@given(any_counts(), st.floats(1, 4))
def test_rows_sum_to_one_and_nothing_is_impossible(counts: np.ndarray, strength: float) -> None:
    """Of whatever counts, rows and prevalence are distributions without a zero."""
    found = m_step(counts, counts.sum(axis=(0, 2)), strength, LEARN[: len(counts)])
    np.testing.assert_allclose(found.table.sum(axis=2), 1, atol=1e-12)
    assert found.table.min() >= LOWEST / 3 / (1 + LOWEST)
    assert found.prevalence.sum() == pytest.approx(1)
    assert found.prevalence.min() > 0


@pytest.mark.parametrize(("trust", "right"), [(0.0, 1 / 3), (0.5, 2 / 3), (1.0, 1 - LOWEST)])
def test_trust_by_hand_is_a_table_by_hand(trust: float, right: float) -> None:
    """Trust 0 guesses, 1/2 is right in 2 of 3, 1 nearly always; mistakes are even, and votes change nothing."""
    counts = np.array([[[0.0, 9.0, 0.0]] * 3, [[9.0, 0.0, 0.0]] * 3])
    found = m_step(counts, np.full(3, 9.0), 2.0, np.array([np.nan, trust]))
    wrong = (1 - right) / 2
    np.testing.assert_allclose(
        found.table[1], [[right, wrong, wrong], [wrong, right, wrong], [wrong, wrong, right]]
    )
    assert found.accuracy[1] == right


def test_prevalence_counts_one_item_of_each_class_more() -> None:
    """Of 7 items, 6 and 1: (6 + 1) / 9 and (1 + 1) / 9."""
    found = m_step(np.zeros((1, 2, 2)), np.array([6.0, 1.0]), 2.0, LEARN[:1])
    np.testing.assert_allclose(found.prevalence, [7 / 9, 2 / 9])


@pytest.mark.parametrize("strength", [4, 10, 50])
def test_strength_is_the_most_likely_one(strength: float) -> None:
    """Of counts drawn with a strength, the best of a grid by scipy's Dirichlet-multinomial is found."""
    generator = np.random.default_rng(7)
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]])
    expected_ones = np.broadcast_to(rows, (80, 3, 3))
    counts = np.array(
        [[generator.multinomial(30, generator.dirichlet(strength * row)) for row in rows] for _ in range(80)]
    )
    grid = np.exp(np.linspace(np.log(FEWEST), np.log(MOST), 200))
    likelihood = [dirichlet_multinomial.logpmf(counts, one * expected_ones, 30).sum() for one in grid]
    best = grid[np.argmax(likelihood)]
    assert strength_of(counts.astype(float), expected_ones) == pytest.approx(best, rel=0.04)


def test_strength_stays_within_its_bounds() -> None:
    """Rows just as expected would weigh what is expected without end, opposite ones not at all."""
    expected_ones = np.full((20, 2, 2), 1 / 2)
    assert strength_of(np.full((20, 2, 2), 500.0), expected_ones) == pytest.approx(MOST, rel=0.03)
    apart = np.tile(np.array([[[100.0, 0.0]] * 2, [[0.0, 100.0]] * 2]), (10, 1, 1))
    assert strength_of(apart, expected_ones) == pytest.approx(FEWEST, rel=0.03)


def test_rounding_does_not_choose_the_strength() -> None:
    """Of one vote in each row, all strengths are as likely: it is 4, whichever way the sums were rounded."""
    expected_ones = expected_rows(np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]))[0]
    for off in (-1e-15, 0.0, 1e-15):
        counts = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0 + off], [0.0, 0.0]]])
        assert strength_of(counts, expected_ones + off) == pytest.approx(4, abs=1e-6)


@pytest.mark.parametrize(("shown", "allowed"), [(19, (19 / 20) ** 2 / (1 - (19 / 20) ** 2)), (4, 3), (3, 3)])
def test_as_much_overdispersion_again_is_assumed(shown: float, allowed: float) -> None:
    """Strength 19 is an overdispersion of 1/20: both together are 1 - (19/20)^2; never below the fewest, 3."""
    assert loosened(shown) == pytest.approx(allowed)


def test_by_column_has_a_row_for_each_annotator_and_said_class() -> None:
    """Row annotator * n_classes + said holds the rates of saying so, by true class."""
    found = m_step(np.arange(8.0).reshape(2, 2, 2), np.ones(2), 2.0, LEARN[:2])
    for by, true, what in np.ndindex(2, 2, 2):
        assert found.by_column[by * 2 + what, true] == found.table[by, true, what]
