"""Starting from what was learned last time."""

import numpy as np
import pytest
from made_votes import listed_of, names, scored, simulated_choices

from consensus.core import learning
from consensus.core.warm import Start


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one at each round of learning."""
    found: list[int] = []
    original = learning.sums_of
    monkeypatch.setattr(learning, "sums_of", lambda *given: found.append(1) or original(*given))
    return found


def test_a_run_after_a_few_new_votes_takes_fewer_rounds(rounds: list[int]) -> None:
    """From the last run's rates the same posterior is reached, to the tolerance, in less than half the rounds."""
    votes, _ = simulated_choices(np.linspace(0.4, 0.95, 20), 500, 4, per_task=5, seed=3)
    before = scored(votes.rows(np.arange(len(votes) - 10)))
    rounds.clear()
    cold = scored(votes)
    needed = len(rounds)
    rounds.clear()
    warm = scored(votes, start=before.start)
    assert len(rounds) * 2 < needed
    assert np.abs(warm.posterior - cold.posterior).max() < 5e-3


def test_given_labels_are_remembered_too() -> None:
    """The start holds what was learned of the given labels, after the annotators, and leads to the same."""
    votes, truth = simulated_choices(np.linspace(0.6, 0.95, 8), 200, 3, per_task=4, seed=4)
    given = listed_of([(task, int(label), True) for task, label in enumerate(truth)])
    cold = scored(votes, listed=given)
    assert cold.start.annotators.tolist() == [*votes.annotator_names, "given labels"]
    warm = scored(votes, listed=given, start=cold.start)
    assert np.abs(warm.posterior - cold.posterior).max() < 5e-3


def test_annotators_are_found_by_name() -> None:
    """Rows follow the names of now; somebody new gets the mean, somebody who left none."""
    votes, _ = simulated_choices(np.array([0.9, 0.6, 0.7]), 100, 2, per_task=3, seed=5)
    start = scored(votes).start
    found = start.for_now(np.array(["a2", "new", "a0"], dtype=object), names("l", 2))
    assert found is not None
    assert found.table[[0, 2]].tolist() == start.rates.table[[2, 0]].tolist()
    assert found.table[1] == pytest.approx(start.rates.table.mean(axis=0))
    assert found.evidence[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("classes", [["l0"], ["l1", "l0"], ["l0", "l1", "l2"]])
def test_other_labels_start_afresh(classes: list[str]) -> None:
    """What was learned of other labels, or in another order, says nothing."""
    votes, _ = simulated_choices(np.array([0.9, 0.6]), 50, 2, per_task=2, seed=5)
    assert scored(votes).start.for_now(votes.annotator_names, np.array(classes, dtype=object)) is None


def test_questions_start_from_questions_about_other_labels(rounds: list[int]) -> None:
    """Where yes and no are asked the classes are wrong and right, whatever labels there are now."""
    votes, _ = simulated_choices(np.array([0.9, 0.6, 0.8]), 60, 70, per_task=3, seed=6)
    start = scored(votes).start
    assert start.classes.tolist() == ["wrong", "right"]
    rounds.clear()
    first = Start(start.rates, start.annotators, start.classes)
    scored(votes, start=first)
    assert 0 < len(rounds) <= 5
