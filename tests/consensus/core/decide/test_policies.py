import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_evidence import GIVEN, NOT_GIVEN, by, confidence_of, evidence_of, tally_of

from consensus.core.decide.policies import POLICIES, Decision
from consensus.core.decide.thresholds import Thresholds
from consensus.core.wilson import wilson_interval

LABEL_AI, DEFAULT = POLICIES["label-ai"], POLICIES["default"]


def label_ai(yes: float, no: float = 0, unsure: float = 0, **lines: float) -> Decision:
    """What policy label-ai says of votes of trust 1."""
    return by(LABEL_AI, yes, no, unsure, **lines)


def default(
    posterior: float, variance: float = 0, yes: int = 3, no: int = 2, unsure: int = 0, **lines: float
) -> Decision:
    """What the default policy says of a posterior."""
    evidence = evidence_of(tally_of(yes, no, unsure), posterior=posterior, variance=variance)
    return DEFAULT.decide(evidence, replace(DEFAULT.thresholds, **lines))


def test_a_belief_that_nobody_voted_for_has_no_lower_bound() -> None:
    """What prevalence alone says is a posterior and no confidence; a given label that speaks lends it one."""
    assert confidence_of(default(0.66, yes=0, no=0)) == 0
    assert confidence_of(default(0.66, variance=0.5, yes=0, no=0)) > 0
    assert confidence_of(default(0.66, yes=3, no=2)) == pytest.approx(0.66, abs=1e-5)


def test_label_ai_has_the_published_lines() -> None:
    """Confirm at .90, reject below .08, controversial over 100 votes between .3 and .6."""
    expected = Thresholds(0.90, 0.08, controversial_votes=100, controversial_low=0.3, controversial_high=0.6)
    assert LABEL_AI.thresholds == expected


def test_label_ai_without_a_vote() -> None:
    """Five of ten assumed votes have a lower bound of 0.2365895936; nothing is decided."""
    decision = label_ai(0)
    assert confidence_of(decision) == pytest.approx(0.2365895936, abs=5e-11)
    assert not (decision.voted | decision.confirmed | decision.rejected | decision.controversial).any()


@pytest.mark.parametrize(("yes", "no", "unsure"), [(3, 1, 2), (0, 7, 0), (0.25, 0, 0.5), (1000, 0, 0)])
def test_label_ai_is_wilson_of_the_weights(yes: float, no: float, unsure: float) -> None:
    """Positive is 5 + yes, total is 10 + yes + no + unsure."""
    lower, _ = wilson_interval(np.array([5.0 + yes]), np.array([10.0 + yes + no + unsure]))
    assert confidence_of(label_ai(yes, no, unsure)) == lower[0]


@pytest.mark.parametrize(("votes", "confirmed"), [(102, False), (103, True)])
def test_label_ai_confirms_from_103_unanimous_votes(votes: int, confirmed: bool) -> None:  # noqa: FBT001
    """102 unanimous votes of trust 1 do not reach .90, 103 do."""
    decision = label_ai(votes)
    assert decision.confirmed.tolist() == [confirmed]
    assert (confidence_of(decision) >= 0.90) is confirmed


def test_label_ai_rejects_below_but_not_at_the_line() -> None:
    """Confidence below .08 rejects, a confidence on the line does not; 17 votes of no are not enough, 18 are."""
    assert [bool(label_ai(0, no).rejected[0]) for no in (17, 18)] == [False, True]
    at = confidence_of(label_ai(0, 21))
    assert label_ai(0, 21, reject=at).rejected.tolist() == [False]
    assert label_ai(0, 21, reject=np.nextafter(at, 1)).rejected.tolist() == [True]


def test_label_ai_confirms_at_the_line() -> None:
    """A confidence on the line confirms, one just below does not."""
    at = confidence_of(label_ai(110, 2))
    assert label_ai(110, 2, confirm=at).confirmed.tolist() == [True]
    assert label_ai(110, 2, confirm=np.nextafter(at, 1)).confirmed.tolist() == [False]


@pytest.mark.parametrize(
    ("yes", "no", "unsure", "controversial"),
    [(45, 45, 0, False), (46, 45, 0, True), (45, 45, 1, True), (20, 71, 0, False), (75, 16, 0, False)],
)
def test_label_ai_controversial(yes: int, no: int, unsure: int, controversial: bool) -> None:  # noqa: FBT001
    """It takes a total over 100, ten assumed votes and unsure included, and a confidence inside the band."""
    assert label_ai(yes, no, unsure).controversial.tolist() == [controversial]


def test_label_ai_band_is_open() -> None:
    """A confidence on either end of the band is not controversial."""
    at = confidence_of(label_ai(50, 50))
    assert label_ai(50, 50, controversial_low=at).controversial.tolist() == [False]
    assert label_ai(50, 50, controversial_high=at).controversial.tolist() == [False]
    inside = {"controversial_low": np.nextafter(at, 0), "controversial_high": np.nextafter(at, 1)}
    assert label_ai(50, 50, **inside).controversial.tolist() == [True]


def test_label_ai_counts_unsure_as_a_vote_without_trust_too() -> None:
    """Whoever said unsure voted, also with a trust of 0 that leaves the confidence alone."""
    evidence = evidence_of(tally_of(0, 0, 1), lambda _: tally_of(0))
    decision = LABEL_AI.decide(evidence, LABEL_AI.thresholds)
    assert decision.voted.tolist() == [True]
    assert confidence_of(decision) == confidence_of(label_ai(0))


@given(*[st.floats(0, 1e6)] * 3, st.floats(0.01, 100))
def test_label_ai_moves_with_the_votes(yes: float, no: float, unsure: float, more: float) -> None:
    """The bound is in [0, 1], rises with yes, and falls with no exactly as with unsure."""
    before = confidence_of(label_ai(yes, no, unsure))
    assert 0 <= before <= 1
    assert confidence_of(label_ai(yes + more, no, unsure)) >= before - 1e-12
    assert confidence_of(label_ai(yes, no + more, unsure)) <= before + 1e-12
    assert confidence_of(label_ai(yes, no + more, unsure)) == pytest.approx(
        confidence_of(label_ai(yes, no, unsure + more)), abs=1e-9
    )


def test_label_ai_reports_the_models_posterior() -> None:
    """The posterior beside the confidence is what the model believes."""
    decision = LABEL_AI.decide(evidence_of(tally_of(3), posterior=0.8), LABEL_AI.thresholds)
    assert decision.posterior.tolist() == [0.8]


def test_default_has_its_lines() -> None:
    """Confirm at 4 to 1, reject at 1 to 4, from two votes, controversial from five; dawid-skene has the same."""
    assert DEFAULT.thresholds == Thresholds(4 / 5, 1 / 5, controversial_votes=5, fewest_votes=2)
    assert POLICIES["dawid-skene"].thresholds == DEFAULT.thresholds
    assert POLICIES["dawid-skene"].decide is DEFAULT.decide
    assert {name: policy.model for name, policy in POLICIES.items() if policy.model != "default"} == {
        "dawid-skene": "dawid-skene"
    }


@pytest.mark.parametrize(
    ("posterior", "variance", "effective_votes"),
    [(1 / 2, 1, 4), (1 / 2, 1 / 4, 16), (9 / 10, 1, 100 / 9), (1 / 10, 3, 100 / 27)],
)
def test_default_is_wilson_of_the_effective_votes(
    posterior: float, variance: float, effective_votes: float
) -> None:
    """A posterior p with variance v of its log-odds is worth 1 / (p (1 - p) v) votes."""
    total = np.array([effective_votes])
    lower, _ = wilson_interval(posterior * total, total)
    assert confidence_of(default(posterior, variance)) == pytest.approx(lower[0], abs=1e-12)


def test_default_without_doubt_is_the_posterior() -> None:
    """Where the annotators are known exactly, both bounds are the posterior."""
    assert confidence_of(default(0.8)) == pytest.approx(0.8, abs=1e-5)
    assert default(0.8).posterior.tolist() == [0.8]


def test_default_confirms_at_the_line() -> None:
    """A lower bound on the line confirms, one just below does not."""
    at = confidence_of(default(0.99, 0.5))
    assert default(0.99, 0.5, confirm=at).confirmed.tolist() == [True]
    assert default(0.99, 0.5, confirm=np.nextafter(at, 1)).confirmed.tolist() == [False]


def test_default_rejects_by_the_upper_bound() -> None:
    """Rejecting a label is confirming its opposite at the mirrored line."""
    lines = {"confirm": 0.8, "reject": 0.2}
    for posterior in np.linspace(0.001, 0.999, 201):
        this, opposite = default(posterior, 0.5, **lines), default(1 - posterior, 0.5, **lines)
        assert this.rejected.tolist() == opposite.confirmed.tolist()
    assert confidence_of(default(0.2, 1, reject=0.1)) < 0.1
    assert default(0.2, 1, reject=0.1).rejected.tolist() == [False]


@pytest.mark.parametrize(("posterior", "yes", "no"), list(itertools.product([0.0, 0.5, 1.0], [0, 1], [0, 1])))
def test_default_decides_nothing_on_one_word(posterior: float, yes: int, no: int) -> None:
    """Unsure is no vote here: it takes a yes or a no to be voted on, and two of them to confirm or reject."""
    decision = default(posterior, yes=yes, no=no, unsure=9)
    assert decision.voted.tolist() == [yes + no > 0]
    assert decision.confirmed.tolist() == [yes + no == 2 and posterior == 1]
    assert decision.rejected.tolist() == [yes + no == 2 and posterior == 0]


@pytest.mark.parametrize(("yes", "no", "unsure", "controversial"), [(2, 2, 9, False), (3, 2, 0, True)])
def test_default_controversial_from_five_answers(yes: int, no: int, unsure: int, controversial: bool) -> None:  # noqa: FBT001
    """What five answers leave undecided is controversial; unsure is no answer."""
    assert default(0.5, yes=yes, no=no, unsure=unsure).controversial.tolist() == [controversial]


@pytest.mark.parametrize(("given_label", "controversial"), [(GIVEN, True), (NOT_GIVEN, False)])
def test_default_a_label_that_nobody_chose_is_controversial_only_if_given(
    given_label: np.typing.NDArray[np.bool_],
    controversial: bool,  # noqa: FBT001
) -> None:
    """What was turned down by all and came from nobody is nobody's question."""
    decision = DEFAULT.decide(evidence_of(tally_of(0, 9), posterior=0.4, given=given_label), DEFAULT.thresholds)
    assert decision.controversial.tolist() == [controversial]


@pytest.mark.parametrize("posterior", [0.001, 0.999])
def test_default_is_not_controversial_once_decided(posterior: float) -> None:
    """What is confirmed or rejected is not controversial."""
    decision = default(posterior)
    assert (decision.confirmed | decision.rejected).all()
    assert not decision.controversial.any()


@given(st.floats(0, 1), st.floats(0, 1e6))
def test_default_is_bounded_and_less_sure_with_doubt(posterior: float, variance: float) -> None:
    """The bound is in [0, posterior] and doubt about the annotators only lowers it."""
    sure, doubtful = confidence_of(default(posterior, variance)), confidence_of(default(posterior, 2 * variance))
    assert 0 <= doubtful <= sure + 1e-12
    assert sure <= posterior + 1e-9


@given(st.sampled_from(sorted(POLICIES)), st.integers(0, 9), st.integers(0, 9), st.floats(0, 1), st.floats(0, 9))
def test_no_policy_both_confirms_and_rejects(
    name: str, yes: int, no: int, posterior: float, variance: float
) -> None:
    """Whatever the votes, confidence and posterior are in [0, 1], and at most one of three things is decided."""
    policy = POLICIES[name]
    decision = policy.decide(evidence_of(tally_of(yes, no), None, posterior, variance), policy.thresholds)
    assert 0 <= confidence_of(decision) <= 1
    assert 0 <= decision.posterior[0] <= 1
    assert int(decision.confirmed[0]) + int(decision.rejected[0]) + int(decision.controversial[0]) <= 1
