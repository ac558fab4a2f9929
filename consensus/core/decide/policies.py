"""Policies: how votes and trust become a confidence and a decision. A table of small functions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Flags, Floats, in_blocks
from consensus.core.decide.thresholds import Thresholds
from consensus.core.model.fit import ModelName
from consensus.core.votes.classifications import Tally
from consensus.core.wilson import wilson_interval

LABEL_AI_PRIOR_POSITIVE, LABEL_AI_PRIOR_TOTAL = 5.0, 10.0


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a policy may look at; every column has one row per classification.

    Attributes
    ----------
    given : (n,) bool
        Whether the task came with the label.
    counts : Tally
        Votes.
    weigh : callable
        Adds votes up, each with the weight of its annotator: from (n_annotators,) float64 to a Tally.
    trust : (n_annotators,) float64
    posterior, variance : (n,) float64
        What the policy's model believes, and the variance of its log-odds.
    """

    given: Flags
    counts: Tally
    weigh: Callable[[Floats], Tally]
    trust: Floats
    posterior: Floats
    variance: Floats


@dataclass(frozen=True, eq=False)
class Decision:
    """What a policy says of each classification: columns of (n,).

    Attributes
    ----------
    confidence : float64
        Lower bound, in [0, 1], that the classification is right.
    upper : float64
        Upper bound of the same, in [0, 1].
    posterior : float64
        Probability, in [0, 1], that it is.
    """

    confidence: Floats
    upper: Floats
    posterior: Floats
    voted: Flags
    confirmed: Flags
    rejected: Flags
    controversial: Flags


@dataclass(frozen=True)
class Policy:
    """A way to decide, and the thresholds that suit it.

    Attributes
    ----------
    largest_trust : float
        The largest trust that may be set by hand.
    model : {"default", "dawid-skene"}
        What the trust and the posterior come from.
    """

    decide: Callable[[Evidence, Thresholds], Decision]
    thresholds: Thresholds
    largest_trust: float = 1.0
    model: ModelName = "default"


def decide_label_ai(evidence: Evidence, thresholds: Thresholds) -> Decision:
    """Wilson lower bound of (5 + trust of yes) / (10 + trust of yes, no and unsure), z = 1.96."""
    weights = evidence.weigh(evidence.trust)
    positive = LABEL_AI_PRIOR_POSITIVE + weights.yes
    total = LABEL_AI_PRIOR_TOTAL + weights.yes + weights.no + weights.unsure
    confidence, upper = wilson_interval(positive, total)
    counts = evidence.counts
    return Decision(
        confidence=confidence,
        upper=upper,
        posterior=evidence.posterior,
        voted=counts.yes + counts.no + counts.unsure > 0,
        confirmed=confidence >= thresholds.confirm,
        rejected=confidence < thresholds.reject,
        controversial=(total > thresholds.controversial_votes)
        & (confidence > thresholds.controversial_low)
        & (confidence < thresholds.controversial_high),
    )


def decide_majority(evidence: Evidence, thresholds: Thresholds) -> Decision:
    """Share of yes among yes and no, every vote counting the same; a tie is nobody's majority."""
    counts = evidence.counts
    share = _share(counts, evidence.posterior)
    return _settle(evidence, thresholds, share, (share, share), strictly=True)


def decide_wilson(evidence: Evidence, thresholds: Thresholds) -> Decision:
    """Wilson interval of the trust-weighted share of yes.

    The effective number of votes is (sum of trust)^2 / (sum of squared trust) over the yes and no votes
    (L. Kish, *Survey Sampling*, Wiley 1965, section 11.7): as many as there are where all are trusted alike, fewer
    where not.
    """
    weights, squares = evidence.weigh(evidence.trust), evidence.weigh(evidence.trust**2)
    total, square = weights.yes + weights.no, squares.yes + squares.no
    effective_votes = np.where(square > 0, total**2 / np.where(square > 0, square, 1.0), 0.0)
    share = _share(weights, evidence.posterior)
    return _settle(evidence, thresholds, share, wilson_interval(share * effective_votes, effective_votes))


def decide_by_posterior(evidence: Evidence, thresholds: Thresholds) -> Decision:
    """Wilson interval of the posterior p, with the number of votes that its uncertainty is worth.

    A proportion p known from n votes has variance p (1 - p) / n. The model knows p with variance
    (p (1 - p))^2 v, where v is the variance of its log-odds from not knowing the annotators exactly, so
    n = 1 / (p (1 - p) v). The lower bound is the confidence; the upper bound must fall below `reject` to reject.
    Unsure votes say nothing here. Where nobody said anything there is no vote's worth: the interval is [0, 1].
    """
    lower, upper = in_blocks(_bounds, evidence.posterior, evidence.variance)
    without_vote = (evidence.variance <= 0) & (evidence.counts.yes + evidence.counts.no == 0)
    lower[without_vote], upper[without_vote] = 0.0, 1.0
    return _settle(evidence, thresholds, evidence.posterior, (lower, upper))


def _bounds(posterior: Floats, variance: Floats) -> tuple[Floats, Floats]:
    information = posterior * (1 - posterior) * variance
    effective_votes = 1 / np.maximum(information, 1e-12)
    return wilson_interval(posterior * effective_votes, effective_votes)


def _settle(
    evidence: Evidence,
    thresholds: Thresholds,
    posterior: Floats,
    bounds: tuple[Floats, Floats],
    *,
    strictly: bool = False,
) -> Decision:
    """Decide by the bounds of an interval; strictly: a bound on a line is not beyond it."""
    (lower, upper), counts = bounds, evidence.counts
    answered = counts.yes + counts.no
    enough = answered >= max(thresholds.fewest_votes, 1)
    beyond, below = (np.greater, np.less) if strictly else (np.greater_equal, np.less_equal)
    confirmed = enough & beyond(lower, thresholds.confirm)
    rejected = enough & below(upper, thresholds.reject) & ~confirmed
    return Decision(
        confidence=lower,
        upper=upper,
        posterior=posterior,
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


def _share(tally: Tally, otherwise: Floats) -> Floats:
    """Share of yes; where nothing with a weight was said, what the model believes."""
    total = tally.yes + tally.no
    return np.where(total > 0, tally.yes / np.where(total > 0, total, 1.0), otherwise)


POLICIES: dict[str, Policy] = {
    "default": Policy(
        decide_by_posterior,
        Thresholds(confirm=0.80, reject=0.20, controversial_votes=5, fewest_votes=2),
    ),
    "majority": Policy(decide_majority, Thresholds(confirm=0.5, reject=0.5, controversial_votes=2)),
    "wilson": Policy(decide_wilson, Thresholds(confirm=0.5, reject=0.5, controversial_votes=5, fewest_votes=2)),
    "dawid-skene": Policy(
        decide_by_posterior,
        Thresholds(confirm=0.80, reject=0.20, controversial_votes=5, fewest_votes=2),
        model="dawid-skene",
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
