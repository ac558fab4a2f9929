import numpy as np
from scipy.special import digamma as digamma_of_scipy
from scipy.special import gammaln

from consensus.core.model.log_gamma import BLOCK, digamma, log_gamma


def test_the_logs_are_those_of_scipy() -> None:
    """From tiny to huge numbers, over more than one block and in any shape."""
    numbers = 10 ** np.linspace(-12, 8, 3 * BLOCK + 2).reshape(2, -1)
    np.testing.assert_allclose(log_gamma(numbers), gammaln(numbers), rtol=1e-13, atol=1e-13)


def test_the_derivatives_are_those_of_scipy() -> None:
    """From small to huge numbers."""
    numbers = 10 ** np.linspace(-3, 8, 1000)
    np.testing.assert_allclose(digamma(numbers), digamma_of_scipy(numbers), rtol=1e-12, atol=1e-12)


def test_one_number_or_none() -> None:
    """A number alone has a log, and no numbers have none."""
    assert np.isclose(float(log_gamma(5.0)), np.log(24), rtol=1e-14)
    assert log_gamma(np.zeros((0, 3))).shape == (0, 3)
