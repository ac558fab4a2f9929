"""The log of the gamma function, and its derivative, without scipy.special, which takes long to load."""

import numpy as np

from consensus.core.arrays import Floats

SHIFT = 7
"""From here on the series has all digits."""

SERIES = 1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360
"""Of the odd powers of 1/x."""

BLOCK = 16_384
"""Numbers that stay in a cache with all that is made of them."""


def log_gamma(x: Floats | float) -> Floats:
    """Return the log of the gamma function of positive numbers, to 13 digits.

    Stirling's series is the better the larger x is, so it is taken at x + 7:
    gamma(x) = gamma(x + 7) / (x (x + 1) ... (x + 6)).

    Examples
    --------
    >>> np.exp(log_gamma(np.array([3.0, 5.0]))).round(9).tolist()
    [2.0, 24.0]
    """
    of = np.asarray(x, dtype=np.float64)
    logs = np.empty(of.shape)
    for start in range(0, of.size, BLOCK):
        block = slice(start, start + BLOCK)
        logs.ravel()[block] = _stirling(of.ravel()[block])
    return logs


def digamma(x: Floats) -> Floats:
    """Return the derivative of the log of the gamma function at positive numbers, to 13 digits.

    Examples
    --------
    >>> np.round(digamma(np.array([3.0])) - digamma(np.array([2.0])), 9).tolist()
    [0.5]
    """
    large = x + SHIFT
    square = 1 / (large * large)
    series = np.zeros_like(large)
    for number, coefficient in reversed(list(enumerate(SERIES))):
        series += (2 * number + 1) * coefficient
        series *= square
    return np.asarray(np.log(large) - 1 / (2 * large) - series - sum(1 / (x + number) for number in range(SHIFT)))


def _stirling(x: Floats) -> Floats:
    product = x.copy()
    for number in range(1, SHIFT):
        product *= x + number
    large = x + SHIFT
    square = 1 / (large * large)
    series = np.full_like(large, SERIES[-1])
    for coefficient in SERIES[-2::-1]:
        series *= square
        series += coefficient
    logs = (large - 0.5) * np.log(large) - np.log(product) - large
    return np.asarray(logs + 0.5 * np.log(2 * np.pi) + series / large)
