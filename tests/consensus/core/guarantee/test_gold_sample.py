from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import few_examples

from consensus.core.guarantee.gold_sample import fewest_gold, most_forgiven, worst_share


@given(
    st.integers(2, 7).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1), st.integers(0, 3)))
)
@few_examples
def test_worst_share_is_that_of_all_draws_of_the_worst_set(sizes: tuple[int, int, int]) -> None:
    """Counted draw by draw: the first K tasks are wrong, the others are reported if few of the drawn are."""
    size, gold, forgiven = sizes
    shares = []
    for wrong in range(size + 1):
        seen = [sum(task < wrong for task in drawn) for drawn in combinations(range(size), gold)]
        shares.append(sum((wrong - k) / (size - gold) for k in seen if k <= forgiven) / comb(size, gold))
    assert worst_share(size, gold, forgiven) == pytest.approx(max(shares), abs=1e-12)


def test_where_all_is_gold_nothing_is_left_to_be_wrong() -> None:
    """The share of nothing is 0."""
    assert worst_share(3, 3, 0) == 0
    assert most_forgiven(3, 3, 0.01) == 3


def test_large_samples_of_large_sets() -> None:
    """Where the set is endless the share with nothing forgiven is that of p (1 - p)^n at p = 1 / (n + 1)."""
    assert worst_share(1_000_000, 50, 0) == pytest.approx((1 / 51) * (50 / 51) ** 50, rel=2e-3)


@pytest.mark.parametrize(("alpha", "expected"), [(0.01, 37), (0.05, 7), (0.10, 4)])
def test_fewest_gold_is_the_first_number_that_forgives_none(alpha: float, expected: int) -> None:
    """One less is too little."""
    assert fewest_gold(10_000, alpha) == expected
    assert [most_forgiven(10_000, n, alpha) for n in (expected - 1, expected)] == [-1, 0]


def test_of_a_small_set_all_must_be_gold() -> None:
    """One wrong task of 20 is more than 1 %, and any that is not gold may be it."""
    assert fewest_gold(20, 0.01) == 20
