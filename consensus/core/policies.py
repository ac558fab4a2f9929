"""Policies: how votes and trust become a confidence and a decision. A table of small functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from consensus.core.arrays import Flags, Floats
from consensus.core.belief import Belief
from consensus.core.classifications import Tally
from consensus.core.thresholds import Thresholds
from consensus.core.wilson import wilson_interval

LABEL_AI_PRIOR_POSITIVE, LABEL_AI_PRIOR_TOTAL = 5.0, 10.0
ITEM_VARIANCE = 1.0
"""Variance of a classification's log-odds beyond what not knowing the annotators explains: items differ in
difficulty and annotators share mistakes. A constant, so that nobody is confirmed on the strength of a model
alone."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a policy may look at; every column has one row per classification.

    Attributes
    ----------
    given : (n,) bool
        Whether the task came with the label.
    counts : Tally
        Votes.
    weights : Tally
        Votes, each weighing its annotator's trust.
    belief : Belief
        The model's posterior, and the variance of its log-odds.
    """

    given: Flags
    counts: Tally
    weights: Tally
    belief: Belief


@dataclass(frozen=True, eq=False)
class Decision:
    """What a policy says of each classification: columns of (n,).

    Attributes
    ----------
    confidence : float64
        Lower bound, in [0, 1], that the classification is right.
    voted, confirmed, rejected, controversial : bool
    """

    confidence: Floats
    voted: Flags
    confirmed: Flags
    rejected: Flags
    controversial: Flags


@dataclass(frozen=True)
class Policy:
    """A way to decide, and the thresholds that suit it."""

    decide: Callable[[Evidence, Thresholds], Decision]
    thresholds: Thresholds
    largest_trust: float
    """The largest trust that may be set by hand."""


def decide_label_ai(evidence: Evidence, thresholds: Thresholds) -> Decision:
    """Wilson lower bound of (5 + trust of yes) / (10 + trust of yes, no and unsure), z = 1.96."""
    weights = evidence.weights
    positive = LABEL_AI_PRIOR_POSITIVE + weights.yes
    total = LABEL_AI_PRIOR_TOTAL + weights.yes + weights.no + weights.unsure
    confidence, _ = wilson_interval(positive, total)
    counts = evidence.counts
    return Decision(
        confidence=confidence,
        voted=counts.yes + counts.no + counts.unsure > 0,
        confirmed=confidence >= thresholds.confirm,
        rejected=confidence < thresholds.reject,
        controversial=(total > thresholds.controversial_votes)
        & (confidence > thresholds.controversial_low)
        & (confidence < thresholds.controversial_high),
    )


def decide_default(evidence: Evidence, thresholds: Thresholds) -> Decision:
    """Wilson interval of the posterior p, with the number of votes that its uncertainty is worth.

    A proportion p known from n votes has variance p (1 - p) / n. The model knows p with variance
    (p (1 - p))^2 v, where v is the variance of its log-odds, so n = 1 / (p (1 - p) v). The lower bound is the
    confidence; the upper bound must fall below `reject` to reject. Unsure votes say nothing here.
    """
    posterior, counts = evidence.belief.posterior, evidence.counts
    information = posterior * (1 - posterior) * (evidence.belief.variance + ITEM_VARIANCE)
    effective_votes = 1 / np.maximum(information, 1e-12)
    lower, upper = wilson_interval(posterior * effective_votes, effective_votes)
    answered = counts.yes + counts.no
    enough = answered >= max(thresholds.fewest_votes, 1)
    confirmed, rejected = enough & (lower >= thresholds.confirm), enough & (upper <= thresholds.reject)
    return Decision(
        confidence=lower,
        voted=answered > 0,
        confirmed=confirmed,
        rejected=rejected,
        # A label that nobody chose and that was not given is nobody's question.
        controversial=(answered >= thresholds.controversial_votes)
        & (evidence.given | (counts.yes > 0))
        & ~confirmed
        & ~rejected
        & (lower > thresholds.controversial_low)
        & (lower < thresholds.controversial_high),
    )


PolicyName = Literal["default", "label-ai"]

POLICIES: dict[str, Policy] = {
    "default": Policy(
        decide_default,
        Thresholds(confirm=0.90, reject=0.10, controversial_votes=5, fewest_votes=2),
        largest_trust=1.0,
    ),
    "label-ai": Policy(
        decide_label_ai,
        Thresholds(
            confirm=0.90,
            reject=0.08,
            controversial_votes=100,
            controversial_low=0.3,
            controversial_high=0.6,
        ),
        largest_trust=1e6,
    ),
}
