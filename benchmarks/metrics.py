"""How right a belief is, and how honest: functions of (n_items, n_classes) beliefs and (n_items,) true classes.

Items without a known truth are left out by the caller.
"""

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats

SAME = 1e-9
"""Beliefs that differ by less are tied."""
FLOOR = 1e-6
"""The least belief that the log loss charges: a method that is sure of the wrong class pays -log of it."""


def hits(belief: Floats, truth: Codes) -> Floats:
    """(n,): 1 where the most believed class is right, 1/k where it is one of k tied at the top, else 0.

    Examples
    --------
    >>> hits(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([0, 1])).tolist()
    [0.5, 1.0]
    """
    tops = belief >= belief.max(axis=1, keepdims=True) - SAME
    return np.asarray(_of_truth(tops, truth) / tops.sum(axis=1))


def squared_errors(belief: Floats, truth: Codes) -> Floats:
    """(n,): the sum over the classes of (belief - truth)^2, in [0, 2]. Their mean is the Brier score.

    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> squared_errors(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 1])).tolist()
    [0.5, 0.0]
    """
    wrong = belief.copy()
    wrong[np.arange(len(truth)), truth] -= 1
    return np.asarray((wrong**2).sum(axis=1))


def surprises(belief: Floats, truth: Codes) -> Floats:
    """(n,): -log(belief in the true class), beliefs below `FLOOR` raised to it. Their mean is the log loss.

    Examples
    --------
    >>> surprises(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0])).round(4).tolist()
    [0.6931, -0.0]
    """
    return np.asarray(-np.log(np.clip(_of_truth(belief, truth), FLOOR, 1.0)))


def accuracy(belief: Floats, truth: Codes) -> float:
    """Return the mean of `hits`."""
    return float(hits(belief, truth).mean())


def brier(belief: Floats, truth: Codes) -> float:
    """Return the mean of `squared_errors`."""
    return float(squared_errors(belief, truth).mean())


def log_loss(belief: Floats, truth: Codes) -> float:
    """Return the mean of `surprises`."""
    return float(surprises(belief, truth).mean())


def smoothed(weights: Floats, pseudo_votes: float) -> Floats:
    """Turn weights of votes into shares, after adding some votes that are spread evenly over the classes.

    Examples
    --------
    >>> smoothed(np.array([[3.0, 0.0]]), 1.0).tolist()
    [[0.875, 0.125]]
    """
    raised = weights + pseudo_votes / weights.shape[1]
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def calibration_error(stated: Floats, right: Flags, bins: int = 10) -> float:
    """Expected calibration error: mean distance of what is stated from the share right, in bins of equal width.

    Naeini, Cooper and Hauskrecht, AAAI 2015, doi:10.1609/aaai.v29i1.9602.

    Parameters
    ----------
    stated : (n,) float64
        Probabilities.
    right : (n,) bool
    """
    bin_of = bins_of(stated, bins)
    off = np.bincount(bin_of, stated - right, minlength=bins)
    return float(np.abs(off).sum() / max(len(stated), 1))


def bins_of(stated: Floats, bins: int) -> Codes:
    """Return the bin of each probability, of bins of equal width; 1 falls into the last one."""
    return np.minimum((stated * bins).astype(np.int32), bins - 1)


def share_right(stated: Floats, right: Flags, at_least: float) -> tuple[float, float]:
    """Return the share right among what is stated with at least a confidence (NaN: of none), and how much that is.

    Examples
    --------
    >>> share_right(np.array([0.95, 0.9, 0.2, 0.1]), np.array([True, False, False, True]), 0.9)
    (0.5, 0.5)
    """
    chosen = stated >= at_least
    return float(right[chosen].mean()) if chosen.any() else float("nan"), float(chosen.mean())


def _of_truth(columns: Floats | Flags, truth: Codes) -> Floats | Flags:
    return columns[np.arange(len(truth)), truth]
