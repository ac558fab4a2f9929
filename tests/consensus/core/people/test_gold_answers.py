"""Answers where it is known what is right."""

import numpy as np
import pytest

from consensus.core.people.gold_answers import gold_answers
from consensus.core.votes.classifications import Gold
from consensus.core.votes.votes import NO, NO_LABEL, UNSURE, YES, Choice, Votes

Rows = list[tuple[int, int, int, int]]


def counted(choice: Choice, rows: Rows, gold: list[tuple[int, int, bool]]) -> list[tuple[int, int]]:
    """Answers and right ones of each of three annotators; rows of task, annotator, label, vote."""
    names = np.array(["a", "b", "c"], dtype=object)
    task, annotator, label, vote = np.array(rows).T
    codes = (column.astype(np.int32) for column in (task, annotator, label))
    votes = Votes(choice, *codes, vote.astype(np.int8), names, names, names)
    known_task, known_label, right = (np.array(column) for column in zip(*gold, strict=True))
    known = Gold(known_task.astype(np.int32), known_label.astype(np.int32), right.astype(bool))
    return list(zip(*(column.tolist() for column in gold_answers(votes, known)), strict=True))


def test_of_a_single_choice_the_right_label_counts() -> None:
    """Unsure is no answer; without gold there is no question."""
    rows = [(0, 0, 1, YES), (0, 1, 2, YES), (0, 2, NO_LABEL, UNSURE), (1, 0, 0, YES)]
    assert counted("single", rows, [(0, 1, True)]) == [(1, 1), (1, 0), (0, 0)]


def test_of_a_multiple_choice_all_labels_count() -> None:
    """One too many or too few is wrong, and none is an answer."""
    gold = [(0, 0, True), (0, 1, True), (0, 2, False)]
    rows = [(0, 0, 0, YES), (0, 0, 1, YES), (0, 1, 0, YES), (0, 2, NO_LABEL, NO)]
    assert counted("multiple", rows, gold) == [(1, 1), (1, 0), (1, 0)]
    assert counted("multiple", rows, [(0, 0, False)]) == [(1, 0), (1, 0), (1, 1)]


def test_of_yes_and_no_each_label_is_a_question() -> None:
    """No is right where the label is wrong."""
    rows = [(0, 0, 0, NO), (0, 1, 0, YES), (0, 2, 1, YES), (1, 0, 0, YES), (1, 1, 0, UNSURE)]
    assert counted("each", rows, [(0, 0, False), (1, 0, True)]) == [(2, 2), (1, 0), (0, 0)]


@pytest.mark.parametrize("choice", ["single", "multiple", "each"])
def test_without_votes_on_gold_nobody_has_answered(choice: Choice) -> None:
    """Their votes are on other tasks."""
    assert counted(choice, [(0, 0, 0, YES)], [(1, 0, True)]) == [(0, 0)] * 3
