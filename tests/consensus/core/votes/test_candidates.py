import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import SKIP, any_votes, chosen, few_examples, fitted, gold_of, listed_of, votes_of

from consensus.core.votes.candidates import as_questions, gold_of_questions, over_labels
from consensus.core.votes.classifications import Classifications, Listed, classify
from consensus.core.votes.votes import Votes

Rows = list[tuple[int, int, int, int]]


def rows(votes: Votes) -> Rows:
    """Votes as (task, annotator, label, vote), in order."""
    columns = (votes.task, votes.annotator, votes.label, votes.vote)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def those(pairs: list[tuple[int, int]], n_labels: int) -> Classifications:
    """Classifications of (task, label), in order."""
    task, label = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    nothing = np.zeros(len(task), dtype=bool)
    return Classifications(task, label, nothing, nothing, n_labels)


def test_a_choice_is_a_yes_and_a_no_to_what_others_chose() -> None:
    """Where 5 and 9 were chosen, each annotator says yes to one and no to the other; a skip says nothing."""
    votes = chosen({(0, 0): 5, (0, 1): 9, (0, 2): 5, (1, 0): 7, (1, 1): SKIP}, n_labels=100)
    assert rows(as_questions(votes)) == [
        (0, 0, 5, 1),
        (0, 0, 9, -1),
        (0, 1, 5, -1),
        (0, 1, 9, 1),
        (0, 2, 5, 1),
        (0, 2, 9, -1),
        (1, 0, 7, 1),
    ]


@few_examples
@given(any_votes(choices=("single",)))
def test_questions_are_those_of_asking_one_by_one(votes: Votes) -> None:
    """Each annotator answers each label that anybody chose for the task."""
    expected: Rows = []
    chose = [(task, by, label) for task, by, label, _ in rows(votes) if label >= 0]
    for task, by, label in chose:
        for asked in {other for at, _, other in chose if at == task}:
            expected.append((task, by, asked, 1 if asked == label else -1))
    assert rows(as_questions(votes)) == sorted(expected)


def test_gold_of_questions() -> None:
    """Where 5 is right it is, and 9 is wrong; where only 7 is wrong, 8 stays open; a right 3 that is not asked."""
    asked = those([(0, 5), (0, 9), (1, 7), (1, 8), (2, 4), (3, 1)], 100)
    gold = gold_of_questions(gold_of([(0, 5, True), (1, 7, False), (2, 3, True)]), asked.keys, 100)
    found = zip(gold.task.tolist(), gold.label.tolist(), gold.right.tolist(), strict=True)
    assert list(found) == [(0, 5, True), (0, 9, False), (1, 7, False), (2, 4, False)]


def test_what_questions_leave_goes_to_the_other_labels_evenly() -> None:
    """Of five labels two have 0.6 and 0.1: the other three share 0.3; a task nobody asked about is even."""
    questions = those([(0, 1), (0, 3)], 5)
    everything = those([(task, label) for task in range(2) for label in range(5)], 5)
    found = over_labels(np.array([0.6, 0.1]), questions, everything)
    np.testing.assert_allclose(found, [0.1, 0.6, 0.1, 0.1, 0.1, *[0.2] * 5])


def test_more_than_one_is_scaled_down() -> None:
    """Questions of 0.9 and 0.6 are 3/5 and 2/5, and nothing is left for others."""
    questions = those([(0, 0), (0, 1)], 3)
    found = over_labels(np.array([0.9, 0.6]), questions, those([(0, 0), (0, 1), (0, 2)], 3))
    np.testing.assert_allclose(found, [3 / 5, 2 / 5, 0])


def test_less_than_one_is_scaled_up_where_every_label_was_asked_about() -> None:
    """Questions of 0.3 and 0.1 to the only two labels are 3/4 and 1/4."""
    questions = those([(0, 0), (0, 1)], 2)
    np.testing.assert_allclose(over_labels(np.array([0.3, 0.1]), questions, questions), [3 / 4, 1 / 4])


@few_examples
@given(st.lists(st.dictionaries(st.integers(0, 3), st.floats(1e-6, 1)), min_size=1, max_size=4), st.integers(4, 6))
def test_over_all_labels_the_answers_sum_to_one(answers: list[dict[int, float]], n_labels: int) -> None:
    """Whatever is answered, each task's labels have shares in [0, 1] of 1, asked ones in the answers' order."""
    pairs = sorted((task, label) for task, asked in enumerate(answers) for label in asked)
    posterior = np.array([answers[task][label] for task, label in pairs])
    everything = those([(task, label) for task in range(len(answers)) for label in range(n_labels)], n_labels)
    found = over_labels(posterior, those(pairs, n_labels), everything).reshape(-1, n_labels)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    for task, asked in enumerate(answers):
        ranks = sorted(asked, key=lambda label: asked[label])
        assert (np.diff(found[task, ranks]) >= -1e-12).all()


def test_seventy_labels_are_the_questions_asked_by_hand() -> None:
    """What is believed of 70 labels is what is believed of the questions, spread over the labels."""
    answers = {(task, by): (task * 7 + (by == 4) * task) % 70 for task in range(20) for by in range(5)}
    votes, gold = chosen(answers, 70), gold_of([(3, 21, True), (4, 28, False)])
    rows_of = classify(votes, listed_of())
    whole = fitted(votes, gold=gold)
    asked = as_questions(votes)
    none = np.zeros(0, dtype=np.int32)
    questions = classify(asked, Listed(none, none, none.astype(bool)))
    parts = fitted(asked, gold=gold_of_questions(gold, questions.keys, 70))
    expected = over_labels(parts.posterior, questions, rows_of)
    np.testing.assert_allclose(whole.posterior, expected, atol=1e-12)
    np.testing.assert_allclose(whole.model.trust, parts.model.trust, atol=1e-12)
    for task in range(20):
        assert (whole.variance[rows_of.task == task] == parts.variance[questions.task == task].max()).all()


@pytest.mark.parametrize("answers", [{}, {(0, 0): SKIP}])
def test_without_a_choice_nothing_is_asked(answers: dict[tuple[int, int], str]) -> None:
    """No votes, or skips alone, ask nothing; each label of a skipped task is as likely as another."""
    votes = chosen(answers, 70, n_tasks=1, n_annotators=1)
    assert len(as_questions(votes)) == 0
    belief = fitted(votes)
    assert belief.posterior.tolist() == pytest.approx([1 / 70] * 70 * len(answers))


def test_a_given_label_of_another_task_is_even_too() -> None:
    """A listed label of a task without votes has its even share."""
    votes = votes_of("single", [(0, 0, 4, 1), (0, 1, 4, 1)], 2, 2, 80)
    listed = listed_of([(1, 9, True)])
    rows_of, belief = classify(votes, listed), fitted(votes, listed=listed)
    assert belief.posterior[rows_of.task == 1].tolist() == pytest.approx([1 / 80])
    assert belief.posterior[:80].argmax() == 4
