import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from consensus.core.model.minimum import minimum_between

VALLEYS: dict[str, Callable[[float], float]] = {
    "round": lambda x: (x - 1) ** 2,
    "sharp": lambda x: abs(x - 1),
    "uneven": lambda x: math.exp(x) - 3 * x,
    "falling": lambda x: -x,
    "flat": lambda _: 0.0,
}


@pytest.mark.parametrize("valley", VALLEYS)
@given(low=st.floats(-3, 3), width=st.floats(0.01, 5), tolerance=st.sampled_from([1e-1, 1e-3, 1e-6]))
def test_the_minimum_is_that_of_scipy(valley: str, low: float, width: float, tolerance: float) -> None:
    """Whatever the function looks like, the minimum is found to the tolerance, as scipy.optimize finds it."""
    calls = []

    def function(x: float) -> float:
        calls.append(x)
        return VALLEYS[valley](float(x))

    lowest = minimum_between(function, low, low + width, tolerance)
    n_calls = len(calls)
    options = {"xatol": tolerance}
    expected = minimize_scalar(function, bounds=(low, low + width), method="bounded", options=options)
    assert lowest == pytest.approx(expected.x, abs=tolerance)
    assert n_calls <= expected.nfev + 2
