"""Policies majority and wilson: those that count votes."""

from dataclasses import replace

import numpy as np
import pytest
from made_evidence import by, confidence_of, evidence_of, tally_of
from statsmodels.stats.proportion import proportion_confint

from consensus.core.decide.policies import POLICIES, Decision
from consensus.core.wilson import wilson_interval

MAJORITY, WILSON = POLICIES["majority"], POLICIES["wilson"]


def weighed(trust_of_yes: list[float], trust_of_no: list[float]) -> Decision:
    """What policy wilson says where each vote has its trust."""
    yes, no = np.array(trust_of_yes), np.array(trust_of_no)
    side = np.append(np.ones(len(yes)), np.zeros(len(no))) == 1
    counts = tally_of(len(yes), len(no))
    evidence = replace(
        evidence_of(counts, lambda weight: tally_of(weight[side].sum(), weight[~side].sum()), posterior=0.3),
        trust=np.append(yes, no),
    )
    return WILSON.decide(evidence, WILSON.thresholds)


@pytest.mark.parametrize(
    ("yes", "no", "confirmed", "rejected", "controversial"),
    [
        (1, 0, True, False, False),
        (2, 1, True, False, False),
        (1, 1, False, False, True),
        (1, 2, False, True, False),
        (0, 1, False, True, False),
        (0, 0, False, False, False),
    ],
)
def test_majority(yes: int, no: int, confirmed: bool, rejected: bool, controversial: bool) -> None:  # noqa: FBT001
    """More than half confirms, less rejects, a tie is controversial; one vote is a majority, none is not."""
    decision = by(MAJORITY, yes, no, unsure=9)
    found = (decision.confirmed, decision.rejected, decision.controversial, decision.voted)
    assert [flag.tolist() for flag in found] == [[confirmed], [rejected], [controversial], [yes + no > 0]]


def test_majority_is_the_share_of_yes() -> None:
    """Three of four are 3/4, as confidence and as posterior; without an answer both are the model's."""
    assert (by(MAJORITY, 3, 1).confidence[0], by(MAJORITY, 3, 1, 5).posterior[0]) == (3 / 4, 3 / 4)
    nobody = MAJORITY.decide(evidence_of(tally_of(0, 0, 2), posterior=0.3), MAJORITY.thresholds)
    assert (nobody.confidence[0], nobody.posterior[0]) == (0.3, 0.3)


def test_wilson_of_equal_trust_is_wilson_of_the_counts() -> None:
    """However much all are trusted, 4 of 5 are 4 of 5; statsmodels gives the same interval."""
    low, _ = proportion_confint(4, 5, method="wilson")
    for trust in (1.0, 0.2):
        decision = weighed([trust] * 4, [trust])
        assert decision.posterior.tolist() == [pytest.approx(4 / 5)]
        assert confidence_of(decision) == pytest.approx(low, abs=1e-4)


def test_wilson_counts_effective_votes() -> None:
    """Trust 1 for yes, and 1/2 twice for no: share 1/2 of 2 ^ 2 / (1 + 1/4 + 1/4) = 8/3 votes."""
    decision = weighed([1.0], [0.5, 0.5])
    lower, _ = wilson_interval(np.array([4 / 3]), np.array([8 / 3]))
    assert decision.posterior.tolist() == [1 / 2]
    assert confidence_of(decision) == pytest.approx(lower[0], abs=1e-12)


@pytest.mark.parametrize(("votes", "decided"), [(3, False), (4, True)])
def test_wilson_decides_on_four_unanimous_votes(votes: int, decided: bool) -> None:  # noqa: FBT001
    """The lower bound of n of n, n / (n + 1.96 ^ 2), reaches 1/2 from n = 3.84; of none of n it mirrors."""
    assert weighed([0.7] * votes, []).confirmed.tolist() == [decided]
    assert weighed([], [0.7] * votes).rejected.tolist() == [decided]


def test_wilson_without_trust_is_undecided() -> None:
    """Votes that nobody trusts leave the posterior to the model, and the interval at all of [0, 1]."""
    decision = weighed([0.0] * 9, [])
    assert (decision.posterior[0], confidence_of(decision)) == (0.3, 0)
    assert not (decision.confirmed | decision.rejected).any()
