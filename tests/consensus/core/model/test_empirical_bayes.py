import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.model.empirical_bayes import STRONGEST, WEAKEST, Population, population_of


def test_shrink_adds_the_population_as_votes() -> None:
    """A strength of 4 at 3/4 is three hits of four: 1 of 1 becomes 4/5, 8 of 16 becomes 11/20, nothing 3/4."""
    population = Population(mean=3 / 4, strength=4)
    rates = population.shrink(np.array([1.0, 8.0, 0.0]), np.array([1.0, 16.0, 0.0]))
    np.testing.assert_allclose(rates, [4 / 5, 11 / 20, 3 / 4])


def test_mean_counts_the_expected_rate_as_two_votes() -> None:
    """Six hits of eight and two votes at 1/2 are seven of ten."""
    assert population_of(np.array([4.0, 2.0]), np.array([5.0, 3.0]), expected=1 / 2).mean == pytest.approx(7 / 10)


def test_nobody_is_as_expected() -> None:
    """Without annotators, or without votes, the rate is the expected one."""
    assert population_of(np.array([]), np.array([]), expected=3 / 4).mean == 3 / 4
    assert population_of(np.zeros(3), np.zeros(3), expected=3 / 4) == Population(3 / 4, 2 * WEAKEST)


def test_one_annotator_says_little_of_the_others() -> None:
    """From one annotator alone nobody can know how much they differ: the population stays weak."""
    assert population_of(np.array([90.0]), np.array([100.0]), expected=3 / 4).strength == 2 * WEAKEST


def test_equal_annotators_make_a_strong_population() -> None:
    """Annotators who do not differ at all pull everybody as hard as allowed."""
    assert population_of(np.full(10, 80.0), np.full(10, 100.0), expected=3 / 4).strength == STRONGEST


def test_opposite_annotators_make_a_weak_population() -> None:
    """Where half is always right and half never, the population says nothing of anybody."""
    hits = np.array([100.0, 0.0] * 5)
    assert population_of(hits, np.full(10, 100.0), expected=1 / 2).strength == WEAKEST


def test_strength_is_that_of_the_beta_distribution_drawn_from() -> None:
    """Rates drawn from a beta distribution of strength 20 at 3/4 are recognised."""
    generator = np.random.default_rng(5)
    hits = generator.binomial(200, generator.beta(15, 5, size=2000)).astype(float)
    population = population_of(hits, np.full(2000, 200.0), expected=1 / 2)
    assert population.mean == pytest.approx(3 / 4, abs=0.01)
    assert population.strength == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("off", [-1e-15, 0.0, 1e-15])
def test_rounding_does_not_decide_the_strength(off: float) -> None:
    """Annotators of one vote each tell nothing of their differences, whichever way their votes were rounded."""
    hits = np.array([1.0, 0.0, 1.0, 1.0])
    assert population_of(hits, np.full(4, 1.0 + off), expected=1 / 2).strength == STRONGEST


@given(st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(0, 1e4)), max_size=10), st.floats(0.01, 0.99))
def test_population_stays_within_its_bounds(rates: list[tuple[float, float]], expected: float) -> None:
    """Whatever rates a model estimates, also ones outside [0, 1], the population is a usable prior."""
    rate, votes = np.array(rates).reshape(-1, 2).T
    population = population_of(rate * votes, votes, expected=expected)
    assert 0 < population.mean < 1
    assert WEAKEST <= population.strength <= STRONGEST
