"""Starting from what was learned last time."""

import numpy as np
import pytest
from made_votes import gold_of, listed_of, names, scored, simulated_choices

from consensus.core.model import em as learning
from consensus.core.model import fit as fitting
from consensus.core.votes import label_matrix
from consensus.core.votes.classifications import Suggestions


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one at each round of learning the usual model."""
    monkeypatch.setattr(fitting, "other_models", lambda *_: ())
    found: list[int] = []
    original = learning.counts_after
    monkeypatch.setattr(learning, "counts_after", lambda *given: found.append(1) or original(*given))
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


def test_without_news_nothing_moves_at_all() -> None:
    """The same votes again give the same numbers to the last digit, given labels, gold and all."""
    votes, truth = simulated_choices(np.linspace(0.6, 0.95, 8), 200, 3, per_task=4, seed=4)
    given = listed_of([(task, int(label), True) for task, label in enumerate(truth)])
    beside = {"listed": given, "gold": gold_of([(task, int(truth[task]), True) for task in range(9)])}
    first = scored(votes, **beside)
    assert first.start.annotators.tolist() == [*votes.annotator_names, "given labels"]
    second = scored(votes, start=first.start, **beside)
    third = scored(votes, start=second.start, **beside)
    for again in (second, third):
        assert again.confidence.tolist() == first.confidence.tolist()
        assert again.trust.tolist() == first.trust.tolist()
        assert again.start.votes == len(votes)


def test_many_more_votes_are_learned_from_scratch(rounds: list[int]) -> None:
    """Since the last time from scratch a tenth of the votes may come, run by run, and no more."""
    votes, _ = simulated_choices(np.linspace(0.5, 0.9, 10), 200, 3, per_task=5, seed=8)
    some = [votes.rows(np.arange(size)) for size in (900, 950, 1000)]
    start = scored(some[0]).start
    names_now = votes.annotator_names, start.classes
    assert start.for_now(*names_now, 950) is not None
    second = scored(some[1], start=start).start
    assert second.votes == 900
    assert second.for_now(*names_now, 1000) is None
    rounds.clear()
    third = scored(some[2], start=second)
    assert third.posterior.tolist() == scored(some[2]).posterior.tolist()
    assert third.start.votes == 1000


@pytest.mark.parametrize("change", ["policy", "gold", "given labels", "model", "trust"])
def test_with_more_than_other_votes_all_is_learned_from_scratch(change: str) -> None:
    """What another policy, gold, given labels, a model or trust set by hand left behind does not stay."""
    votes, truth = simulated_choices(np.linspace(0.5, 0.95, 8), 120, 3, per_task=4, seed=6)
    of_truth = [(task, int(label), True) for task, label in enumerate(truth)]
    tasks = np.arange(120, dtype=np.int32)
    changes = {
        "policy": {"policy": "dawid-skene"},
        "gold": {"gold": gold_of(of_truth[:40])},
        "given labels": {"listed": listed_of(of_truth)},
        "model": {"suggestions": Suggestions(tasks, truth.astype(np.int32), np.linspace(0.5, 1.0, 120))},
        "trust": {"trust": np.array([0.9, *[np.nan] * 7])},
    }
    plain, changed = scored(votes), scored(votes, **changes[change])
    assert scored(votes, start=changed.start).trust.tolist() == plain.trust.tolist()
    assert scored(votes, start=plain.start, **changes[change]).trust.tolist() == changed.trust.tolist()


def test_annotators_are_found_by_name() -> None:
    """Rows follow the names of now; somebody new gets the mean, somebody who left none."""
    votes, _ = simulated_choices(np.array([0.9, 0.6, 0.7]), 100, 2, per_task=3, seed=5)
    start = scored(votes).start
    found = start.for_now(np.array(["a2", "new", "a0"], dtype=object), names("l", 2), len(votes))
    assert found is not None
    before = start.confusion
    assert found.confusion.table[[0, 2]].tolist() == before.table[[2, 0]].tolist()
    assert found.confusion.table[1] == pytest.approx(before.table.mean(axis=0))
    assert found.confusion.evidence[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("classes", [["l0"], ["l1", "l0"], ["l0", "l1", "l2"]])
def test_other_labels_start_afresh(classes: list[str]) -> None:
    """What was learned of other labels, or in another order, says nothing."""
    votes, _ = simulated_choices(np.array([0.9, 0.6]), 50, 2, per_task=2, seed=5)
    other = np.array(classes, dtype=object)
    assert scored(votes).start.for_now(votes.annotator_names, other, len(votes)) is None


def test_questions_start_from_questions_about_other_labels() -> None:
    """Where yes and no are asked the classes are wrong and right, whatever labels there are."""
    votes, _ = simulated_choices(np.array([0.9, 0.6, 0.8]), 60, 70, per_task=3, seed=6)
    assert scored(votes).start.classes.tolist() == ["wrong", "right"]


def test_what_speaks_beside_the_annotators_counts_for_how_labels_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where given labels make one confusion matrix too many, classes and rates both are those of yes and no."""
    monkeypatch.setattr(label_matrix, "MOST_RATES", 4 * 3 * 3)  # of four annotators and three labels
    votes, truth = simulated_choices(np.array([0.9, 0.8, 0.7, 0.6]), 60, 3, per_task=3, seed=7)
    given = listed_of([(task, int(label), True) for task, label in enumerate(truth)])
    for listed, classes in ((listed_of(), ["l0", "l1", "l2"]), (given, ["wrong", "right"])):
        start = scored(votes, listed=listed).start
        assert start.classes.tolist() == classes
        assert start.confusion.table.shape[1] == len(classes)
