import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from consensus.core.wilson import Z95, wilson_interval

shares = st.floats(0, 1)
trials = st.floats(0, 1e12)


def interval(positive: float, total: float, z: float = Z95) -> tuple[float, float]:
    """The interval of one proportion."""
    lower, upper = wilson_interval(np.array([positive]), np.array([total]), z)
    return float(lower[0]), float(upper[0])


@given(
    st.lists(st.tuples(shares, st.floats(1e-3, 1e6)), min_size=1, max_size=20), st.sampled_from([1.0, Z95, 3.0])
)
def test_interval_is_that_of_statsmodels(proportions: list[tuple[float, float]], z: float) -> None:
    """The bounds are those of an independent implementation, at the same z."""
    share, total = np.array(proportions).T
    expected = proportion_confint(share * total, total, alpha=2 * norm.sf(z), method="wilson")
    np.testing.assert_allclose(wilson_interval(share * total, total, z), np.clip(expected, 0, 1), atol=1e-9)


@given(shares, trials)
def test_bounds_are_in_order_around_the_share(share: float, total: float) -> None:
    """The bounds lie in [0, 1], the lower not above the share and the upper not below it."""
    lower, upper = interval(share * total, total)
    assert 0 <= lower <= share + 1e-9
    assert share - 1e-9 <= upper <= 1


@given(shares, st.floats(1e-6, 1e6))
def test_interval_of_the_complement_is_mirrored(share: float, total: float) -> None:
    """Counting the failures instead swaps the bounds."""
    lower, upper = interval(share * total, total)
    assert interval((1 - share) * total, total) == pytest.approx((1 - upper, 1 - lower), abs=1e-9)


@pytest.mark.parametrize(
    ("positive", "total", "expected"),
    [
        (0.0, 0.0, (0.0, 1.0)),
        (5.0, 10.0, (0.2365895936, 0.7634104064)),
        (10.0, 10.0, (10 / (10 + 1.96**2), 1.0)),
        (0.0, 10.0, (0.0, 1.96**2 / (10 + 1.96**2))),
    ],
)
def test_known_intervals(positive: float, total: float, expected: tuple[float, float]) -> None:
    """Nothing known is [0, 1]; all of ten is from 10 / (10 + z^2) to 1; five of ten is known to ten digits."""
    assert interval(positive, total) == pytest.approx(expected, abs=5e-11)


def test_next_to_no_trials_tell_next_to_nothing() -> None:
    """So few trials that their inverse has no square in doubles still give an interval."""
    lower, upper = interval(1e-200, 1e-200)
    assert lower == pytest.approx(0, abs=1e-12)
    assert upper == 1


def test_z_of_zero_is_the_share() -> None:
    """Without a margin both bounds are the share."""
    assert interval(3.0, 4.0, z=0.0) == (3 / 4, 3 / 4)
