"""What a model believes: of each classification and of each annotator."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats

CERTAIN = 35.0
"""Log-odds beyond which a double cannot tell a probability from 0 or 1."""

DIGITS = 10
"""Decimals of log-odds that are kept between rounds, lest a draw be decided by the rounding of sums."""

STEP = 0.5
"""How far a round moves towards what it learned: a full step can swing between two answers for ever."""


@dataclass(frozen=True, eq=False)
class Gold:
    """Classifications whose truth is known.

    Attributes
    ----------
    task, label : (n,) int32
        Codes as in the votes.
    right : (n,) bool
        Whether the label is right for the task. For a single-choice control the right labels suffice.
    """

    task: Codes
    label: Codes
    right: Flags


@dataclass(frozen=True, eq=False)
class Belief:
    """The outcome of fitting a model to votes.

    Attributes
    ----------
    posterior : (n_classifications,) float64
        Probability that the label is right, in [0, 1].
    variance : (n_classifications,) float64
        Variance of the posterior's log-odds that comes from not knowing the annotators exactly.
    trust : (n_annotators,) float64
        Chance-corrected, in [0, 1]: 0 is as good as guessing, 1 is always right.
    evidence : (n_annotators,) float64
        Effective number of votes behind the trust.
    """

    posterior: Floats
    variance: Floats
    trust: Floats
    evidence: Floats


def sigmoid(log_odds: Floats) -> Floats:
    """Return the probability of the log-odds, clipped where doubles end."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -CERTAIN, CERTAIN))))


def log_odds(probability: Floats, complement: Floats) -> Floats:
    """Return log(probability / complement), clipped to where doubles end."""
    tiny = np.exp(-CERTAIN)
    odds = np.log(np.maximum(probability, tiny)) - np.log(np.maximum(complement, tiny))
    return np.asarray(np.clip(odds, -CERTAIN, CERTAIN))
