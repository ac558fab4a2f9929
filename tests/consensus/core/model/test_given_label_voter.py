import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import any_votes, chosen, few_examples, listed_of, scored, votes_of

from consensus.core.model.given_label_voter import can_vote, votes_on, with_given_labels
from consensus.core.votes.classifications import MANY_ROWS, classify
from consensus.core.votes.votes import Votes


def given_votes(votes: Votes, rows: list[tuple[int, int, bool]]) -> list[tuple[int, int, int]] | None:
    """The votes of the given labels, as (task, label, vote)."""
    listed = listed_of(rows)
    classifications = classify(votes, listed)
    voted = votes_on(votes, classifications, listed)
    if not can_vote(votes.choice, int(voted.sum()), int(classifications.given[voted].sum())):
        return None
    everybody = with_given_labels(votes, classifications, voted)
    added = everybody.rows(everybody.annotator == votes.n_annotators)
    assert len(added) == len(everybody) - len(votes)
    return list(zip(added.task.tolist(), added.label.tolist(), added.vote.tolist(), strict=True))


def test_given_labels_voter_chooses_the_one_given_label_of_a_single_choice() -> None:
    """Where a task came with one label the voter chose it; with none, two or a candidate it is silent."""
    votes = chosen({(0, 0): 0}, n_labels=3, n_tasks=4)
    rows = [(0, 1, True), (0, 0, False), (1, 2, True), (2, 0, True), (2, 1, True), (3, 0, False)]
    assert given_votes(votes, rows) == [(0, 1, 1), (1, 2, 1)]


def test_given_labels_voter_chooses_all_given_labels_of_a_multiple_choice() -> None:
    """Where several labels may be right the voter chose each given one."""
    votes = chosen({(0, 0): 0}, n_labels=3, choice="multiple")
    assert given_votes(votes, [(0, 1, True), (0, 2, True), (0, 0, False)]) == [(0, 1, 1), (0, 2, 1)]


def test_given_labels_voter_answers_questions_of_listed_tasks() -> None:
    """A given label is yes and another question of the same task no; other tasks it knows nothing of."""
    votes = votes_of("each", [(0, 0, 0, 1), (0, 0, 1, 1), (1, 0, 0, 1)], 2, 1, 2)
    assert given_votes(votes, [(0, 0, True)]) == [(0, 0, 1), (0, 1, -1)]


@pytest.mark.parametrize("rows", [[], [(0, 0, True)], [(0, 0, False)]])
def test_given_labels_that_always_say_the_same_of_questions_have_no_vote(
    rows: list[tuple[int, int, bool]],
) -> None:
    """Where only given labels are asked about, or none is, the given labels say nothing."""
    assert given_votes(votes_of("each", [(0, 0, 0, 1)], 1, 1, 1), rows) is None


@few_examples
@given(any_votes(), st.sets(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), max_size=8))
def test_given_labels_voter_is_no_annotator(votes: Votes, rows: set[tuple[int, int, bool]]) -> None:
    """Whatever is listed, the counts are those of the votes, and all numbers are probabilities."""
    listed = listed_of(row for row in sorted(rows) if row[0] < votes.n_tasks and row[1] < votes.n_labels)
    result, without = scored(votes, listed=listed), scored(votes)
    assert len(result.trust) == votes.n_annotators
    assert result.counts.yes.sum() == without.counts.yes.sum()
    assert result.counts.no.sum() == without.counts.no.sum()
    for column in (result.confidence, result.posterior, result.trust):
        assert ((column >= 0) & (column <= 1)).all()


@pytest.mark.parametrize("choice", ["single", "multiple"])
@pytest.mark.parametrize("n_labels", [2, 3, 5])
def test_given_label_without_votes_is_as_sure_as_given_labels_are(choice: str, n_labels: int) -> None:
    """Where half the given labels are wrong, one that nobody voted on is neither certain nor impossible."""
    answers = {(task, by): task % n_labels for task in range(20) for by in range(4)}
    votes = chosen(answers, n_labels, choice=choice, n_tasks=22)  # type: ignore[arg-type]
    wrong = [(task, (task + (task // n_labels) % 2) % n_labels, True) for task in range(22)]
    result = scored(votes, listed=listed_of(wrong))
    assert result.report[-2:].tolist() == ["NoVotes", "NoVotes"]
    assert ((result.posterior[-2:] > 0.1) & (result.posterior[-2:] < 0.9)).all()


def test_reliable_given_label_decides_a_draw() -> None:
    """Where the given labels were right all along, the given one of two labels with a vote each is believed."""
    answers = {(task, by): task % 3 for task in range(20) for by in range(4)} | {(20, 0): 0, (20, 1): 1}
    given_labels = listed_of([(task, task % 3, True) for task in range(20)] + [(20, 1, True)])
    result = scored(chosen(answers, 3), listed=given_labels)
    assert result.posterior.reshape(21, 3)[20].argmax() == 1
    assert np.isclose(result.trust[0], result.trust[1], atol=0.2)


def test_given_labels_voter_of_many_tasks_leaves_each_posterior_in_its_place() -> None:
    """Where given labels are on so many tasks that not all labels are listed, a task's posterior sums to 1."""
    n_tasks = MANY_ROWS // 200 + 1_000
    answers = {(task, by): task % 3 for task in range(10) for by in range(3)}
    wrong_on_each_fifth = listed_of([(task, (task + (task % 5 == 0)) % 3, True) for task in range(n_tasks)])
    result = scored(chosen(answers, 200, n_tasks=n_tasks), listed=wrong_on_each_fifth)
    of_task = result.posterior[result.classifications.task == 4]
    assert (of_task.size, int(of_task.argmax())) == (200, 1)
    assert np.isclose(of_task.sum(), 1)
