"""The minimum of a function of one number, without the whole of scipy.optimize, which takes long to load."""

import math
from collections.abc import Callable

SECTION = (3 - math.sqrt(5)) / 2
"""Of the longer side, where the golden section cuts."""

PRECISION = math.sqrt(2.2e-16)
"""Relative to its place, what a minimum can be known to: near it a function is flat."""


def minimum_between(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Find where a function with one valley is lowest, by parabolas and golden sections.

    Parameters
    ----------
    function : callable
    low, high : float
        Where to look; the function is not called at these two.
    tolerance : float
        How far off the result may be.

    References
    ----------
    R. P. Brent, *Algorithms for Minimization without Derivatives*, Prentice-Hall 1973, chapter 5.

    Examples
    --------
    >>> round(minimum_between(lambda x: (x - 2) ** 2, 0.0, 5.0, 1e-6), 6)
    2.0
    """
    lowest = low + SECTION * (high - low)
    value = function(lowest)
    # The places of the second and third lowest value that are known.
    second, third = (lowest, value), (lowest, value)
    step = before_last = 0.0
    while True:
        middle = (low + high) / 2
        least = PRECISION * abs(lowest) + tolerance / 3
        if abs(lowest - middle) <= 2 * least - (high - low) / 2:
            return lowest
        numerator, denominator = _parabola((lowest, value), second, third)
        if (
            abs(before_last) > least
            and abs(numerator) < abs(denominator * before_last / 2)
            and denominator * (low - lowest) < numerator < denominator * (high - lowest)
        ):
            before_last, step = step, numerator / denominator
            if min(lowest + step - low, high - lowest - step) < 2 * least:
                step = math.copysign(least, middle - lowest)
        else:
            before_last = (low if lowest >= middle else high) - lowest
            step = SECTION * before_last
        place = lowest + math.copysign(max(abs(step), least), step)
        there = function(place)
        if there <= value:
            low, high = (lowest, high) if place >= lowest else (low, lowest)
            third, second = second, (lowest, value)
            lowest, value = place, there
            continue
        low, high = (place, high) if place < lowest else (low, place)
        if there <= second[1] or second[0] == lowest:
            third, second = second, (place, there)
        elif there <= third[1] or third[0] in (lowest, second[0]):
            third = place, there


def _parabola(
    first: tuple[float, float], second: tuple[float, float], third: tuple[float, float]
) -> tuple[float, float]:
    """Return how far from the first of three points the parabola through them is lowest, as a fraction."""
    to_second, to_third = first[0] - second[0], first[0] - third[0]
    by_second, by_third = to_second * (first[1] - third[1]), to_third * (first[1] - second[1])
    numerator, denominator = to_third * by_third - to_second * by_second, 2 * (by_third - by_second)
    return (-numerator, denominator) if denominator > 0 else (numerator, -denominator)
