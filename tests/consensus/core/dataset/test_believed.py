"""Which label is believed, on items whose votes can be counted by hand."""

import pytest

from common.contract import MACHINE_ACCOUNT
from consensus.core.dataset.believed import Candidate, Decision, Item, believe

CAT = Candidate("cat", given=True, no=3, confidence=0.02, upper=0.2, posterior=0.1, report="MisClassified")
DOG = Candidate("dog", yes=3, confidence=0.82, upper=0.95, posterior=0.9, report="Discovered")
VOTED = "2026-01-01T00:00:00Z"
OWNER = "owner@example.com"


def reported(report: str, *, given: bool = True, votes: int = 2, label: str = "cat") -> Candidate:
    """A classification in a report."""
    return Candidate(label, given, yes=votes, confidence=0.5, upper=0.9, posterior=0.7, report=report)


def summary(item: Item, choice: str = "single", *, keep_doubtful: bool = False) -> list[tuple[str, str]] | str:
    """The labels of an item, and by what each; or why it has none."""
    labels, left_out = believe(item, choice, keep_doubtful=keep_doubtful)  # type: ignore[arg-type]
    return left_out.reason if left_out else [(each.label, each.decided_by) for each in labels]


def decided(*labels: str, verdict: str = "accepted", by: str = OWNER, **more: object) -> Decision:
    """A decision."""
    return Decision(labels, verdict, by, "2026-02-01T00:00:00Z", "b1", **more)  # type: ignore[arg-type]


def test_what_the_votes_confirm_replaces_what_they_call_wrong() -> None:
    """The proposal of a MisClassified label is its label as soon as it is confirmed."""
    labels, _ = believe(Item(1, (CAT, DOG), voted_at=VOTED), "single")
    assert [(each.label, each.basis, each.at, each.given, each.changed) for each in labels] == [
        ("dog", "votes", VOTED, ("cat",), True)
    ]


@pytest.mark.parametrize("report", ["NoVotes", "Controversial", ""])
def test_a_given_label_is_kept_while_nobody_has_decided(report: str) -> None:
    """Neither confirmed nor called wrong, it is as it came."""
    assert summary(Item(1, (reported(report),))) == [("cat", "given")]


def test_a_given_label_that_is_confirmed_is_the_votes() -> None:
    """It is no longer merely given."""
    assert summary(Item(1, (reported("AllConfirmed"),))) == [("cat", "votes")]


def test_a_label_called_wrong_is_left_out_without_another() -> None:
    """A second label that is not confirmed does not do."""
    weak = Candidate("dog", yes=1, posterior=0.6)
    assert summary(Item(1, (CAT, weak))) == "the votes call the given label wrong, and no other is confirmed"
    assert summary(Item(1, (CAT, weak)), keep_doubtful=True) == [("dog", "doubtful")]
    assert summary(Item(1, (CAT,)), "each", keep_doubtful=True) == [("cat", "doubtful")]


def test_an_item_without_any_label_says_whether_somebody_looked() -> None:
    """The votes confirm none, or there are none."""
    assert "no vote" in summary(Item(1))
    assert "confirm none" in summary(Item(1, (Candidate("dog", unsure=1),)))
    assert "confirm none" in summary(Item(1, (Candidate("dog", unsure=1),)), keep_doubtful=True)


def test_a_decision_that_stands_wins_over_the_votes() -> None:
    """A person's decision is certain, and says in which batch it was."""
    labels, _ = believe(Item(1, (CAT, DOG), decided("owl", verdict="corrected")), "single")
    [owl] = labels
    assert (owl.label, owl.basis, owl.decided_by, owl.batch) == ("owl", "person", OWNER, "b1")
    assert (owl.candidate.confidence, owl.candidate.upper, owl.candidate.posterior) == (1, 1, 1)
    assert owl.candidate.yes == owl.candidate.no == 0
    assert summary(Item(1, (CAT, DOG), decided("cat", verdict="confirmed"))) == [("cat", OWNER)]


@pytest.mark.parametrize("verdict", ["rejected", "unusable"])
def test_what_a_reviewer_did_not_take_is_left_out(verdict: str) -> None:
    """With the name and the reason."""
    item = Item(1, (DOG,), decided("", verdict=verdict, reason="too dark"))
    assert summary(item) == f"{verdict}: {OWNER}: too dark"


def test_a_machine_is_named_with_its_version_and_its_score_is_the_confidence() -> None:
    """Where people voted on the label, their confidence stays."""
    decision = decided("cat", by=MACHINE_ACCOUNT, model_version="m3", score=0.97)
    [fresh] = believe(Item(1, (reported("NoVotes", votes=0),), decision), "single")[0]
    assert (fresh.basis, fresh.decided_by) == ("machine", f"{MACHINE_ACCOUNT} (m3)")
    assert fresh.candidate.confidence == fresh.candidate.posterior == 0.97
    [voted] = believe(Item(1, (reported("", votes=2),), decision), "single")[0]
    assert (voted.candidate.confidence, voted.candidate.yes) == (0.5, 2)


def test_ground_truth_is_the_persons_who_set_it() -> None:
    """A report that is settled has both bounds at 1."""
    settled = Candidate("dog", confidence=1.0, upper=1.0, posterior=1.0, report="Discovered")
    item = Item(1, (CAT, settled), voted_at=VOTED, settled_by=(OWNER, "2026-03-01T00:00:00Z"))
    [dog] = believe(item, "single")[0]
    assert (dog.basis, dog.decided_by, dog.at) == ("person", OWNER, "2026-03-01T00:00:00Z")


def test_of_a_multiple_choice_all_labels_hold() -> None:
    """Confirmed ones join the given ones that are not wrong; a decision names them all."""
    eggs, cilia = reported("", label="eggs"), reported("Discovered", given=False, label="cilia")
    item = Item(1, (CAT, eggs, cilia))
    assert summary(item, "multiple") == [("cilia", "votes"), ("eggs", "given")]
    both = Item(1, (CAT, eggs, cilia), decided("eggs", "cat"))
    assert summary(both, "multiple") == [("cat", OWNER), ("eggs", OWNER)]


def test_of_labels_that_are_as_probable_the_first_by_name_holds() -> None:
    """A tie depends on no order."""
    pair = reported("Discovered", given=False, label="b"), reported("Discovered", given=False, label="a")
    assert summary(Item(1, pair)) == summary(Item(1, pair[::-1])) == [("a", "votes")]
