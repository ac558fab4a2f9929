"""Copying, on simulated crowds and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from made_votes import any_votes, chosen, few_examples, simulated_choices

from consensus.core.arrays import Floats, Keys
from consensus.core.people import copying as module
from consensus.core.people.answers import answers_of
from consensus.core.people.copying import Copying, find_copying
from consensus.core.people.leave_one_out import others_of
from consensus.core.votes.votes import Votes


def found_in(votes: Votes, trust: Floats | None = None, moment: Keys | None = None) -> Copying:
    """The pairs of a crowd whose members count alike."""
    weight = np.ones(votes.n_annotators) if trust is None else trust
    answers = answers_of(votes)
    return find_copying(answers, others_of(answers, weight), weight, moment)


def of_pair(found: Copying, first: int, second: int) -> int:
    """Row of a pair."""
    return int(np.flatnonzero((found.first == first) & (found.second == second))[0])


def copied(votes: Votes, source: int, copier: int) -> Votes:
    """The same votes, but one gives the answers of another wherever that one answered."""
    label = votes.label.copy()
    answers = {int(votes.task[row]): label[row] for row in np.flatnonzero(votes.annotator == source)}
    for row in np.flatnonzero(votes.annotator == copier):
        label[row] = answers.get(int(votes.task[row]), label[row])
    return replace(votes, label=label)


def test_odd_answers_are_counted_by_hand() -> None:
    """Four of six say cat on two tasks; the two who say dog share both, and one of them once says owl alone."""
    said: dict[tuple[int, int], int | str] = {(task, who): 0 for task in range(3) for who in range(6)}
    said |= {(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1, (2, 0): 2}
    found = found_in(chosen(said, 3))
    row = of_pair(found, 0, 1)
    assert (found.odd[row], found.shared[row], found.later[row]) == (3, 2, -1)
    row = of_pair(found, 1, 0)
    assert (found.odd[row], found.shared[row]) == (2, 2)
    row = of_pair(found, 0, 2)
    assert (found.odd[row], found.shared[row]) == (3, 0)
    assert found.p_value[row] == 1
    assert 4 not in found.first


def test_who_copies_is_found_and_nobody_else() -> None:
    """Simulated: eight annotators, 200 tasks, one copies another; the p-value of the pair is alone far out."""
    votes, _ = simulated_choices(np.full(8, 0.75), 200, 4, 8, seed=6)
    before = found_in(votes)
    assert before.p_value.min() * len(before.p_value) > 0.5
    found = found_in(copied(votes, 2, 5))
    both = {of_pair(found, 2, 5), of_pair(found, 5, 2)}
    assert (found.p_value[list(both)] < 1e-6).all()
    rest = [row for row in range(len(found.p_value)) if row not in both]
    assert found.p_value[rest].min() * len(found.p_value) > 0.05


def test_a_shared_confusion_is_no_copying() -> None:
    """Simulated: two of eight take every cat for a dog; their own habit explains what they share."""
    votes, truth = simulated_choices(np.full(8, 0.9), 200, 4, 8, seed=7)
    confused = np.isin(votes.annotator, [0, 1]) & (truth[votes.task] == 0)
    found = found_in(replace(votes, label=np.where(confused, 1, votes.label).astype(np.int32)))
    row = of_pair(found, 0, 1)
    assert found.shared[row] > 30
    assert found.p_value[row] > 0.5


def test_who_answered_later_is_counted() -> None:
    """Of two shared odd answers the second annotator gave one after the first."""
    said: dict[tuple[int, int], int | str] = {(task, who): 0 for task in range(2) for who in range(5)}
    said |= {(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1}
    moment = np.zeros(10, dtype=np.int64)
    moment[[0, 1, 5, 6]] = [10, 20, 40, 30]
    found = found_in(chosen(said, 2), moment=moment)
    assert found.later[of_pair(found, 0, 1)] == 1
    assert found.later[of_pair(found, 1, 0)] == 1


def test_crowded_questions_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question with more answers than the limit makes no pairs."""
    monkeypatch.setattr(module, "MOST_ANSWERS", 3)
    said: dict[tuple[int, int], int | str] = {(0, who): int(who > 2) for who in range(4)}
    said |= {(1, 4): 1, (1, 5): 0, (1, 6): 0}
    found = found_in(chosen(said, 2))
    assert set(found.first.tolist()) | set(found.second.tolist()) == {4, 5, 6}


@given(any_votes())
@few_examples
def test_any_votes_have_p_values(votes: Votes) -> None:
    """Also where nobody is trusted: probabilities, and no more shared than odd."""
    for trust in (None, np.zeros(votes.n_annotators)):
        found = found_in(votes, trust)
        assert ((found.p_value >= 0) & (found.p_value <= 1)).all()
        assert (found.shared <= found.odd).all()
        assert (found.first != found.second).all()
