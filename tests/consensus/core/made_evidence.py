"""Evidence on one classification, for the tests of policies."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from consensus.core.decide.policies import Decision, Evidence, Policy
from consensus.core.votes.classifications import Tally

GIVEN, NOT_GIVEN = np.array([True]), np.array([False])


def tally_of(yes: float, no: float = 0, unsure: float = 0) -> Tally:
    """The votes on one classification."""
    return Tally(np.array([float(yes)]), np.array([float(no)]), np.array([float(unsure)]))


def evidence_of(
    counts: Tally,
    weights: Callable[[np.ndarray], Tally] | None = None,
    posterior: float = 0.5,
    variance: float = 0.0,
    given: np.ndarray = NOT_GIVEN,
) -> Evidence:
    """Evidence of one classification by annotators of trust 1, unless the votes are weighed otherwise."""
    return Evidence(
        given, counts, weights or (lambda _: counts), np.ones(1), np.array([posterior]), np.array([variance])
    )


def by(policy: Policy, yes: float, no: float = 0, unsure: float = 0, **lines: float) -> Decision:
    """What a policy that counts votes says of votes of trust 1."""
    return policy.decide(evidence_of(tally_of(yes, no, unsure)), replace(policy.thresholds, **lines))


def confidence_of(decision: Decision) -> float:
    """The one confidence."""
    return float(decision.confidence[0])
