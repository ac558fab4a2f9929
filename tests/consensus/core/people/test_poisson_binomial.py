"""Tails of sums, against exact distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import few_examples
from scipy.stats import binom, poisson_binom
from statsmodels.stats.multitest import multipletests

from consensus.core.people.poisson_binomial import Entries, high_tail, holm


def tail_of(came: list[int], probability: list[float], together: int = 1) -> float:
    """The tail of one group of rows that come or do not."""
    size = len(came)
    entries = Entries(np.arange(size), np.ones(size), np.array(probability, dtype=float))
    return float(
        high_tail(np.zeros(size, dtype=np.int32), np.array(came, dtype=float), entries, 1, together, step=1)[0]
    )


@pytest.mark.parametrize(("hits", "flips"), [(9, 10), (40, 50), (70, 100), (560, 1000)])
def test_the_tail_of_a_coin_is_about_the_exact_one(hits: int, flips: int) -> None:
    """Within a tenth of the binomial tail, also far out."""
    found = tail_of([1] * hits + [0] * (flips - hits), [0.5] * flips)
    assert found == pytest.approx(binom.sf(hits - 1, flips, 0.5), rel=0.1)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0.05, 0.95)), min_size=1, max_size=40))
@few_examples
def test_a_tail_is_not_understated(rows: list[tuple[int, float]]) -> None:
    """Of unequal coins: never below nine tenths of the exact tail, and a probability."""
    came, probability = [row[0] for row in rows], [row[1] for row in rows]
    found = tail_of(came, probability)
    assert 0 <= found <= 1
    assert found >= 0.9 * poisson_binom(probability).sf(sum(came) - 1) - 1e-12


def test_all_that_could_come_is_the_product() -> None:
    """0.5 * 0.25 * 0.2 = 1/40."""
    assert tail_of([1, 1, 1], [0.5, 0.25, 0.2]) == pytest.approx(1 / 40, rel=1e-3)


def test_what_was_to_be_expected_is_no_news() -> None:
    """Half of the flips, none of them, and no flips at all."""
    assert tail_of([1, 0], [0.5, 0.5]) == 1
    assert tail_of([0, 0], [0.5, 0.5]) == 1
    assert tail_of([], []) == 1


def test_rows_that_come_together_count_as_one() -> None:
    """Two flips that depend on each other in whatever way: as unlikely as one of them."""
    assert tail_of([1, 1], [0.25, 0.25], together=2) == pytest.approx(0.25, rel=1e-3)


def test_groups_are_apart() -> None:
    """Each group has its own tail; one without rows has none."""
    entries = Entries(np.arange(3), np.ones(3), np.array([0.5, 0.5, 0.1]))
    found = high_tail(np.array([0, 0, 2], dtype=np.int32), np.ones(3), entries, 3)
    assert found == pytest.approx([0.25, 1, 0.1], rel=1e-3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
@few_examples
def test_holms_adjustment_is_that_of_statsmodels(values: list[float]) -> None:
    """The same numbers, in the same order, with what was not tested left out."""
    expected = multipletests(values, method="holm")[1]
    found = holm(np.array([np.nan, *values]))
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx(expected)
