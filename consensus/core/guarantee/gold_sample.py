"""What a random sample of gold tasks proves of the tasks it was drawn from, in the worst case."""

import math

import numpy as np

from consensus.core.arrays import Floats

STEPS = 10_000
"""Numbers of wrong tasks that are looked at; with more tasks, what lies between them is bounded."""


def worst_share(size: int, gold: int, forgiven: int) -> float:
    """Largest expected share of wrong tasks in a report that is made only where the gold in it looks good.

    Of `size` tasks K are wrong, nobody knows how many; `gold` of them, drawn at random, are looked at, and the
    others are reported if at most `forgiven` of the gold are wrong. The expected share of wrong tasks in the
    report, which is 0 where none is made, is exactly K/size * P(X <= forgiven): X is hypergeometric, the
    wrong ones among `gold` drawn from size - 1 tasks of which K - 1 are wrong. Returned is the maximum over K.

    Parameters
    ----------
    size : int
        Tasks, gold ones included.
    gold : int
        At most `size`; where all are gold, nothing is left to be wrong.
    forgiven : int
        From 0.

    Returns
    -------
    float
        In [0, 1]. With more than `STEPS` tasks an upper bound, at most 0.2 % above it for a million tasks.

    Examples
    --------
    Two tasks, one of them gold and right, the other reported: wrong by 1/2 if one of them is wrong.

    >>> worst_share(2, 1, 0)
    0.5
    """
    if gold >= size:
        return 0.0
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])
    wrong = np.unique(np.geomspace(1, size, STEPS).astype(np.int64)) if size > STEPS else np.arange(1, size + 1)
    passes = np.zeros(len(wrong))
    for drawn in range(min(forgiven, gold) + 1):
        possible = (wrong > drawn) & (gold - drawn <= size - wrong)
        rest_wrong = wrong[possible] - 1
        ways = _choices(factorial, rest_wrong, drawn) + _choices(factorial, size - 1 - rest_wrong, gold - drawn)
        all_ways = _choices(factorial, np.array([size - 1]), gold)
        passes[possible] += np.exp(ways - all_ways)
    # With more wrong ones the report is made less often, so that the first of each step bounds the others.
    most = np.append(wrong[1:] - 1, size)
    return float(np.max(most / size * np.minimum(passes, 1.0)))


def most_forgiven(size: int, gold: int, alpha: float) -> int:
    """How many of the gold tasks may be wrong for the others to be reported, or -1 if there are too few of them.

    Parameters
    ----------
    size, gold : int
        As for `worst_share`.
    alpha : float
        Largest expected share of wrong tasks, in (0, 1).

    Examples
    --------
    >>> most_forgiven(100, 3, 0.10), most_forgiven(100, 4, 0.10)
    (-1, 0)
    """
    forgiven = -1
    while forgiven < gold and worst_share(size, gold, forgiven + 1) <= alpha:
        forgiven += 1
    return forgiven


def fewest_gold(size: int, alpha: float) -> int:
    """Fewest gold tasks among `size` tasks with which anything can be reported.

    Examples
    --------
    >>> fewest_gold(100_000, 0.05)
    7
    """
    # With every gold task less can go wrong, and with 1 / alpha of them at most alpha.
    low, high = 0, min(size, math.ceil(1 / alpha))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if worst_share(size, middle, 0) <= alpha else (middle, high)
    return high


def _choices(factorial: Floats, size: np.typing.NDArray[np.int64], drawn: int) -> Floats:
    """Logarithm of the number of ways to draw some of each size, from the logarithms of the factorials."""
    return np.asarray(factorial[size] - factorial[drawn] - factorial[size - drawn])
