import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.belief import CERTAIN, log_odds, sigmoid


def test_sigmoid_of_known_odds() -> None:
    """Even odds are 1/2; odds of 3 to 1 are 3/4, against 1/4."""
    expected = [1 / 2, 3 / 4, 1 / 4]
    np.testing.assert_allclose(sigmoid(np.log([1, 3, 1 / 3])), expected, rtol=1e-12)


def test_sigmoid_ends_where_doubles_end() -> None:
    """Infinite odds neither warn nor reach below the smallest probability kept."""
    low, high = sigmoid(np.array([-np.inf, np.inf]))
    assert low == pytest.approx(np.exp(-CERTAIN))
    assert high == pytest.approx(1, abs=1e-15)


@given(st.floats(-30, 30))
def test_log_odds_undo_the_sigmoid(odds: float) -> None:
    """The log-odds of a probability and its complement are those it was made of."""
    there, back = sigmoid(np.array([odds])), sigmoid(np.array([-odds]))
    assert log_odds(there, back)[0] == pytest.approx(odds, abs=1e-9)


@pytest.mark.parametrize(("probability", "expected"), [(0.0, -CERTAIN), (1.0, CERTAIN)])
def test_log_odds_of_certainty_are_finite(probability: float, expected: float) -> None:
    """Probabilities of 0 and 1 have the largest log-odds kept, without a warning."""
    assert log_odds(np.array([probability]), np.array([1 - probability]))[0] == expected
