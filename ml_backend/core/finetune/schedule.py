"""Learning rates over a run, as a function of the step alone: a resumed run needs to keep nothing of it."""

import math

WARM_UP = 0.05  # share of the steps


def cosine(step: int, steps: int, warm_up: float = WARM_UP) -> float:
    """Give what share of the learning rate a step has: up in a line, then down along half a cosine.

    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, arXiv:1608.03983 (without
    restarts); Goyal et al., Accurate, large minibatch SGD, 2017, arXiv:1706.02677 (the warm-up).

    Parameters
    ----------
    step : int
        From 0.
    steps : int
        Of the whole run, at least 1.
    warm_up : float
        Share of the steps that go up, in [0, 1).

    Returns
    -------
    float
        In (0, 1].

    Examples
    --------
    >>> [round(cosine(step, 4, warm_up=0), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    >>> cosine(0, 100), cosine(4, 100), cosine(5, 100)
    (0.2, 1.0, 1.0)
    """
    up = math.ceil(warm_up * steps)
    if step < up:
        return (step + 1) / up
    return (1 + math.cos(math.pi * (step - up) / max(steps - up, 1))) / 2
