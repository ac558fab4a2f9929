"""Agreement: published worked examples, and the coefficients of other libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import any_votes, chosen, few_examples, simulated_choices, votes_of
from nltk.metrics.agreement import AnnotationTask
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from consensus.core.people.agreement import about_answer, agreement, cohen, krippendorff_alpha
from consensus.core.people.answers import Answers, answers_of
from consensus.core.people.pairs import pairs_of

RELIABILITY = """
    1 2 3 3 2 1 4 1 2 . . .
    1 2 3 3 2 2 4 1 2 5 . 3
    . 3 3 3 2 3 4 2 2 5 1 .
    1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Krippendorff's "data C": four observers, twelve units, five values, some missing."""


def of_table(table: str) -> Answers:
    """Answers from a table with a line per annotator, a column per task, labels from 1 and dots for none."""
    lines = [line.split() for line in table.strip().splitlines()]
    said = {
        (task, annotator): int(label) - 1
        for annotator, line in enumerate(lines)
        for task, label in enumerate(line)
        if label != "."
    }
    return answers_of(chosen(said, 5))


def test_alpha_of_the_published_example() -> None:
    """Krippendorff (2011), section C: nominal alpha 0.743 from 40 values of 11 units; one unit has one value."""
    found, _ = agreement(of_table(RELIABILITY))
    assert round(found.alpha, 3) == 0.743
    assert (found.questions, found.answers) == (11, 40)
    assert krippendorff_alpha(of_table(RELIABILITY)) == found.alpha


def test_alpha_of_two_annotators_and_two_labels_is_the_published_one() -> None:
    """Krippendorff (2011), section A: ten units, alpha 0.095."""
    found, _ = agreement(of_table("1 2 1 1 1 1 1 1 2 1\n2 2 2 1 1 2 1 1 1 1"))
    assert round(found.alpha, 3) == 0.095


def test_alpha_of_two_annotators_and_five_labels_is_the_published_one() -> None:
    """Krippendorff (2011), section B: twelve units, alpha 0.692."""
    found, _ = agreement(of_table("1 1 2 2 4 3 3 3 5 4 4 1\n2 1 2 2 2 3 3 3 5 4 4 4"))
    assert round(found.alpha, 3) == 0.692


def test_fleiss_kappa_is_the_published_one() -> None:
    """Fourteen raters, ten subjects, five categories: 0.210, the example of Wikipedia's "Fleiss' kappa"."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    said = {
        (task, annotator): label
        for task, row in enumerate(counts)
        for annotator, label in enumerate(np.repeat(np.arange(5), row).tolist())
    }
    assert round(agreement(answers_of(chosen(said, 5)))[0].fleiss, 3) == 0.210


def test_cohens_kappa_by_hand() -> None:
    """Of 50 tasks 20 are yes for both and 15 no for both: (0.7 - 0.5) / (1 - 0.5) = 0.4."""
    both = [(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15
    said = {(task, annotator): label for task, pair in enumerate(both) for annotator, label in enumerate(pair)}
    pairs = cohen(answers_of(chosen(said, 2)))
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.questions.tolist()) == ([0], [1], [50])
    assert pairs.kappa == pytest.approx([0.4])


@given(any_votes(annotators=2))
@few_examples
def test_alpha_agrees_with_another_library(votes: object) -> None:
    """NLTK's alpha, whatever is missing; NaN where only one answer was ever given."""
    answers = answers_of(votes)  # type: ignore[arg-type]
    found, _ = agreement(answers)
    size = np.bincount(answers.question, minlength=answers.n_questions)[answers.question]
    kept = [
        (str(who), str(what), str(said))
        for who, what, said, n in zip(answers.annotator, answers.question, answers.answer, size, strict=True)
        if n > 1
    ]
    if len({said for *_, said in kept}) < 2:
        assert np.isnan(found.alpha)
    else:
        assert found.alpha == pytest.approx(AnnotationTask(data=kept).alpha())


def test_fleiss_kappa_and_cohens_agree_with_other_libraries() -> None:
    """That of statsmodels where everybody answers everything; scikit-learn for each pair."""
    votes, _ = simulated_choices(np.array([0.9, 0.7, 0.5, 0.3]), 200, 3, 4, seed=1)
    answers = answers_of(votes)
    table = np.empty((200, 4), dtype=int)
    table[answers.question, answers.annotator] = answers.answer
    found, pairs = agreement(answers)
    assert found.fleiss == pytest.approx(fleiss_kappa(aggregate_raters(table)[0]))
    expected = [
        cohen_kappa_score(table[:, one], table[:, other])
        for one, other in zip(pairs.first, pairs.second, strict=True)
    ]
    assert pairs.kappa == pytest.approx(expected)
    assert found.cohen == pytest.approx(np.mean(expected))
    assert (found.pairs, found.compared) == (6, 1200)


def test_pairs_of_a_label_are_of_yes_or_no() -> None:
    """Whether a label was chosen: scikit-learn's kappa of the two columns of yes and no."""
    votes, _ = simulated_choices(np.array([0.9, 0.6]), 100, 4, 2, seed=2)
    answers = answers_of(votes)
    table = np.empty((100, 2), dtype=int)
    table[answers.question, answers.annotator] = answers.answer
    found = cohen(about_answer(answers, 1))
    assert found.kappa == pytest.approx([cohen_kappa_score(table[:, 0] == 1, table[:, 1] == 1)])


@pytest.mark.parametrize("answers", [{}, {(0, 0): 1}, {(0, 0): 1, (1, 1): 1}, {(0, 0): 1, (0, 1): 1}])
def test_nothing_to_compare_is_no_number(answers: dict[tuple[int, int], int | str]) -> None:
    """No answers, one answer, no question with two, one label only: not a number, and never a warning."""
    found, _ = agreement(answers_of(chosen(answers, 2)))
    assert np.isnan([found.alpha, found.fleiss, found.cohen]).all()
    assert found.pairs == 0


def test_unsure_is_no_answer() -> None:
    """A skipped task and an unsure verification are left out; yes and no stay."""
    each = votes_of("each", [(0, 0, 0, 1), (0, 1, 0, 0), (0, 2, 0, -1)], 1, 3, 1)
    assert answers_of(each).annotator.tolist() == [0, 2]
    single = chosen({(0, 0): 0, (0, 1): "skip"}, 2)
    assert answers_of(single).annotator.tolist() == [0]


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(1, 8))
@few_examples
def test_pairs_come_once_however_they_are_portioned(questions: list[int], portion: int) -> None:
    """Every two rows of a question, the earlier first, none twice."""
    question = np.array(sorted(questions), dtype=np.int32)
    found = [
        pair
        for one, other in pairs_of(question, portion)
        for pair in zip(one.tolist(), other.tolist(), strict=True)
    ]
    expected = [
        (one, other)
        for one in range(len(question))
        for other in range(one + 1, len(question))
        if question[one] == question[other]
    ]
    assert found == expected
