"""What one more vote is worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import few_examples
from scipy.stats import entropy

from consensus.core.arrays import Floats
from consensus.core.routing.information_gain import (
    accuracy_of,
    gain_by_task,
    gain_of_new_task,
    gain_of_questions,
    information_gain,
    mean_trust,
    open_questions,
)
from consensus.core.routing.open_classifications import StoredClassifications

EVENS = np.array([[0.5, 0.5]])


def stored(
    rows: list[tuple[int, int, float]], n_labels: int, votes: float = 1, *, one_of_many: bool = True
) -> StoredClassifications:
    """Rows of (task, label, posterior), all of them chosen by somebody and in no report."""
    table = np.array(rows, dtype=float).reshape(-1, 3)
    counts = np.full(len(table), votes)
    return StoredClassifications(
        task=table[:, 0].astype(np.int32),
        label=table[:, 1].astype(np.int32),
        given=np.zeros(len(table), dtype=bool),
        yes=counts,
        no=counts,
        confidence=table[:, 2] / 2,
        upper=np.ones(len(table)),
        posterior=table[:, 2],
        report=np.full(len(table), "", dtype=object),
        n_labels=n_labels,
        one_of_many=one_of_many,
    )


@st.composite
def any_posterior(draw: st.DrawFn) -> Floats:
    """One question's probabilities of 2 to 5 outcomes."""
    weight = np.array(draw(st.lists(st.floats(0.001, 1), min_size=2, max_size=5)))
    return (weight / weight.sum())[None, :]


@pytest.mark.parametrize(
    ("right", "bits"),
    [(0.5, 0.0), (0.75, 1 - entropy([0.75, 0.25], base=2)), (0.9, 0.5310044064107188), (1.0, 1.0)],
)
def test_a_question_at_evens_gets_what_a_noisy_channel_carries(right: float, bits: float) -> None:
    """Of a bit sent through a channel that errs with probability e arrives 1 - H(e)."""
    assert information_gain(EVENS, np.array([right]))[0, 0] == pytest.approx(bits, abs=1e-12)


def test_four_outcomes_and_somebody_always_right_tell_all_that_is_unknown() -> None:
    """The gain is the entropy of the posterior: here 1/2 + 1/4 * 2 + 2 * 1/8 * 3 = 7/4 bits."""
    gain = information_gain(np.array([[0.5, 0.25, 0.125, 0.125]]), np.array([1.0]))
    assert gain[0, 0] == pytest.approx(7 / 4)


@few_examples
@given(any_posterior(), st.floats(0, 1))
def test_the_gain_is_the_mutual_information_of_vote_and_truth(posterior: Floats, trust: float) -> None:
    """As scipy's entropies of the table of both and of its margins give it."""
    k = posterior.shape[1]
    right = accuracy_of(np.array([trust]), k)
    channel = np.full((k, k), (1 - right[0]) / (k - 1))
    np.fill_diagonal(channel, right[0])
    both = posterior.T * channel
    wanted = entropy(both.sum(axis=0), base=2) + entropy(both.sum(axis=1), base=2) - entropy(both.ravel(), base=2)
    assert information_gain(posterior, right)[0, 0] == pytest.approx(wanted, abs=1e-9)


@few_examples
@given(any_posterior(), st.lists(st.floats(0, 1), min_size=2, max_size=4))
def test_more_trust_tells_more(posterior: Floats, trust: list[float]) -> None:
    """And never more than there is to know."""
    k = posterior.shape[1]
    gain = information_gain(posterior, accuracy_of(np.sort(trust), k))[0]
    assert (np.diff(gain) >= -1e-12).all()
    assert gain[-1] <= entropy(posterior[0], base=2) + 1e-9


def test_what_is_less_certain_is_worth_more_and_what_is_known_nothing() -> None:
    """By anybody; and somebody who guesses tells nothing of anything."""
    gain = information_gain(np.array([[0.5, 0.5], [0.8, 0.2], [1.0, 0.0]]), accuracy_of(np.array([0.0, 0.6]), 2))
    assert gain[0, 1] > gain[1, 1] > gain[2, 1] == pytest.approx(0, abs=1e-12)
    assert gain[:, 0] == pytest.approx([0, 0, 0], abs=1e-12)


def test_trust_beyond_its_range_is_the_best_there_is() -> None:
    """Policy label-ai lets trust be 100; nobody is taken to be always right."""
    assert accuracy_of(np.array([-1.0, 100.0]), 4).tolist() == [0.25, 0.995]


def test_a_single_choice_is_one_question_a_task() -> None:
    """Its rows share the question, whichever of them are open; labels of the other tasks have their own."""
    made = stored([(0, 0, 0.75), (0, 1, 0.25), (2, 0, 0.5), (2, 1, 0.5)], 2)
    questions = open_questions(made, np.array([True, True, False, True]))
    assert (questions.task.tolist(), questions.row.tolist()) == ([0, 2], [0, 0, -1, 1])
    assert questions.posterior.tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_a_label_without_a_row_gets_an_even_share_of_what_is_left() -> None:
    """A task without votes has a row for the label that it came with alone."""
    made = stored([(0, 0, 0.2), (0, 1, 0.3), (0, 2, 0.5), (1, 0, 0.5)], 3)
    only = made.yes * [1, 1, 1, 0]
    made = StoredClassifications(**{**vars(made), "yes": only, "no": only})
    questions = open_questions(made, np.array([False, False, False, True]))
    assert questions.posterior.tolist() == [[0.5, 0.25, 0.25]]


def test_labels_that_do_not_exclude_each_other_are_a_question_each() -> None:
    """Their gains add up on the task, since one annotation answers all of them."""
    made = stored([(1, 0, 0.5), (1, 1, 0.5), (2, 0, 0.9), (2, 1, 0.9)], 2, one_of_many=False)
    questions = open_questions(made, np.array([True, True, False, True]))
    assert questions.row.tolist() == [0, 1, -1, 2]
    gain = gain_of_questions(questions, np.array([0.995, 0.5]))
    assert gain[:2, 1].tolist() == pytest.approx([1 - entropy([0.75, 0.25], base=2)] * 2)
    by_task = gain_by_task(questions, gain, 4)
    assert by_task.shape == (4, 2)
    assert by_task[:, 1].tolist() == pytest.approx([0, gain[0, 1] + gain[1, 1], gain[2, 1], 0])


def test_nothing_open_is_no_question() -> None:
    """Of no task and for nobody, too."""
    made = stored([(0, 0, 0.75), (0, 1, 0.25)], 2)
    questions = open_questions(made, np.zeros(2, dtype=bool))
    assert len(questions) == 0
    assert gain_by_task(questions, gain_of_questions(questions, np.array([0.5])), 1).tolist() == [[0.0]]
    assert gain_by_task(questions, gain_of_questions(questions, np.zeros(0)), 1).shape == (1, 0)


def test_a_new_task_is_taken_to_be_like_the_others() -> None:
    """Of a single choice one question with the labels' mean; else one for each label, as often as it is asked."""
    single = stored([(0, 0, 0.75), (0, 1, 0.25), (1, 0, 0.25), (1, 1, 0.75)], 2)
    bit = information_gain(EVENS, np.array([0.75]))[0, 0]
    assert gain_of_new_task(single, np.array([0.5])).tolist() == pytest.approx([bit])
    multiple = stored(
        [(0, 0, 0.5), (0, 1, 0.5), (1, 0, 0.5), (1, 1, 0.5), (2, 0, 0.5), (2, 1, 0.5)],
        2,
        votes=0,
        one_of_many=False,
    )
    assert gain_of_new_task(multiple, np.array([0.5])).tolist() == pytest.approx([2 * bit])
    verified = stored([(0, 0, 0.5), (1, 1, 0.5)], 2, one_of_many=False)
    assert gain_of_new_task(verified, np.array([0.5])).tolist() == pytest.approx([bit])


def test_somebody_unknown_is_the_average_annotator() -> None:
    """Each counted by their votes; without any, half way."""
    assert mean_trust(np.array([0.8, 0.2]), np.array([3.0, 1.0])) == pytest.approx(0.65)
    assert mean_trust(np.zeros(0), np.zeros(0)) == 0.5
