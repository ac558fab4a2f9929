"""Suspicions and their reasons in words, on simulated crowds."""

import re
from dataclasses import replace

import numpy as np
from hypothesis import given
from made_votes import any_votes, few_examples, simulated_choices

from consensus.core.people.answers import answers_of
from consensus.core.people.suspicion import KINDS, Assessment, assess, without_names
from consensus.core.votes.votes import Votes

NOBODY = np.zeros(0, dtype=np.int32)


def assessment(votes: Votes, moment: np.ndarray | None = None) -> Assessment:
    """Judged by the votes alone, with equal trust."""
    return assess(votes, answers_of(votes), np.ones(votes.n_annotators), NOBODY, np.zeros(0), moment)


def crowd(first: float, n_tasks: int = 200) -> Votes:
    """Eight annotators of whom all but the first are right in 85 of 100 cases."""
    votes, _ = simulated_choices(np.array([first] + [0.85] * 7), n_tasks, 4, 8, seed=9)
    return votes


def kinds(found: Assessment) -> list[list[str]]:
    """Kinds of suspicion by annotator."""
    return [[one.kind for one in suspicions] for suspicions in found.suspicions]


def test_an_honest_crowd_is_not_suspected() -> None:
    """Nobody, of any kind."""
    assert kinds(assessment(crowd(0.5))) == [[]] * 8


def test_spam_is_explained() -> None:
    """Who guesses is suspected of spam alone; the sentence has the figures."""
    found = assessment(crowd(0.25))
    assert kinds(found) == [["spam"], *[[]] * 7]
    reason = found.suspicions[0][0].reason
    assert reason.startswith("agrees with 2")
    assert "of the others on 200 answers, where the typical annotator reaches 6" in reason
    assert reason.endswith("looks at fewer than 33% of the questions (p < 0.0001)")


def test_who_is_never_right_is_contrary() -> None:
    """Worse than guessing: something is misunderstood."""
    found = assessment(crowd(0.0))
    assert kinds(found) == [["contrary"], *[[]] * 7]
    assert "are the question or the labels misunderstood?" in found.suspicions[0][0].reason


def test_always_the_same_answer_is_named() -> None:
    """It is spam, too; the label is in the sentence."""
    votes = crowd(0.85)
    found = assessment(replace(votes, label=np.where(votes.annotator == 0, 2, votes.label).astype(np.int32)))
    assert kinds(found) == [["spam", "same answer"], *[[]] * 7]
    assert found.suspicions[0][1].reason.startswith("answers 'l2' in 100% of 200 cases, where the typical")


def test_too_fast_is_explained() -> None:
    """One second where the others take ten."""
    votes = crowd(0.85)
    who = np.repeat(np.arange(8), 20).astype(np.int32)
    found = assess(votes, answers_of(votes), np.ones(8), who, np.where(who == 0, 1.0, 10.0))
    assert kinds(found) == [["too fast"], *[[]] * 7]
    reason = found.suspicions[0][0].reason
    assert reason.startswith("20 of 20 annotations took less than 33% of the others' time: 1.0 s in the median ")


def test_copying_names_the_other_and_who_was_later() -> None:
    """With times only the later one of the two is suspected; without them both are, and the sentence says so."""
    votes = crowd(0.7)
    label = votes.label.copy()
    label[votes.annotator == 3] = label[votes.annotator == 0]
    votes = replace(votes, label=label)
    without = assessment(votes)
    assert [who for who, suspected in enumerate(kinds(without)) if suspected == ["copying"]] == [0, 3]
    assert "; who copied whom, or both from elsewhere, is open (p < 0.0001)" in without.suspicions[0][0].reason
    later = assessment(votes, np.where(votes.annotator == 3, 5, 1).astype(np.int64))
    assert kinds(later) == [[], [], [], ["copying"], *[[]] * 4]
    reason = later.suspicions[3][0].reason
    assert reason.startswith("shares with a0 ")
    assert without_names(reason) == reason.replace("with a0 ", "with another annotator ")
    assert "are to be expected and answered later (p < 0.0001)" in reason


def test_a_group_of_copiers_is_one_suspicion_each() -> None:
    """Three who hold the same answers: one sentence each, that counts the others."""
    votes = crowd(0.7)
    label = votes.label.copy()
    for copier in (1, 2):
        label[votes.annotator == copier] = label[votes.annotator == 0]
    found = assessment(replace(votes, label=label))
    assert kinds(found)[:3] == [["copying"]] * 3
    assert found.suspicions[0][0].reason.endswith("; likewise with 1 more")
    assert not re.search(r"\ba\d", without_names(found.suspicions[0][0].reason))


def test_no_name_makes_a_reason_name_the_other() -> None:
    """Not one that has the words of the reason, or ends lines; what names nobody stays as it is."""
    for name in ("a 1 of 2 answers x@example.com", "a\n@example.com", "shares with"):
        rest = "3 of 4 answers that most others reject, where 1.0 are to be expected"
        assert without_names(f"shares with {name} {rest}") == f"shares with another annotator {rest}"
    assert without_names("agrees with 20% of the others") == "agrees with 20% of the others"


@given(any_votes())
@few_examples
def test_few_votes_suspect_nobody(votes: Votes) -> None:
    """Whatever the votes of five annotators on five tasks are."""
    found = assessment(votes, np.arange(len(votes)))
    assert len(found.suspicions) == votes.n_annotators
    assert {one.kind for suspicions in found.suspicions for one in suspicions} <= set(KINDS)
    if votes.choice == "single":
        assert kinds(found) == [[]] * votes.n_annotators
