from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from made_votes import SKIP, any_votes, chosen, few_examples, votes_of

from consensus.core.votes.votes import Votes, asked_only, encode, latest, spelled_out
from consensus.errors import VotesError


def rows_of(votes: Votes) -> list[tuple[int, ...]]:
    """The rows as (task, annotator, label, vote)."""
    return list(
        zip(*(column.tolist() for column in (votes.task, votes.annotator, votes.label, votes.vote)), strict=True)
    )


def test_encode_puts_known_names_first() -> None:
    """Known names get the first codes whether they occur or not, the others follow as they appear."""
    codes, names = encode(["c", "a", "d", "c"], first=["b", "a"])
    assert codes.tolist() == [2, 1, 3, 2]
    assert names.tolist() == ["b", "a", "c", "d"]


def test_encode_takes_a_known_name_once() -> None:
    """A known name that is listed twice has one code, within the names."""
    codes, names = encode(["a", "b"], first=["a", "a", "b"])
    assert (codes.tolist(), names.tolist()) == ([0, 1], ["a", "b"])


def test_encode_nothing() -> None:
    """No values have no codes and no names."""
    codes, names = encode([])
    assert (codes.dtype, codes.tolist(), names.tolist()) == (np.int32, [], [])


def test_latest_choice_of_a_single_choice_replaces_the_earlier() -> None:
    """Of three choices of an annotator on a task the last stays, wherever others voted in between."""
    rows = [(0, 0, 1, 1), (0, 1, 1, 1), (0, 0, -1, 0), (1, 0, 2, 1), (0, 0, 2, 1)]
    votes, replaced = latest(votes_of("single", rows, 2, 2, 3))
    assert rows_of(votes) == [(0, 1, 1, 1), (1, 0, 2, 1), (0, 0, 2, 1)]
    assert replaced == 2


@pytest.mark.parametrize("last", [1, 0, -1])
def test_latest_vote_on_one_question_replaces_the_earlier(last: int) -> None:
    """With one row a question, only rows on the same label replace each other."""
    rows = [(0, 0, 0, -last), (0, 0, 1, 1), (0, 0, 0, last)]
    votes, replaced = latest(votes_of("each", rows, 1, 1, 2))
    assert (rows_of(votes), replaced) == ([(0, 0, 1, 1), (0, 0, 0, last)], 1)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 0], [1, 0]),
        ([0, 1, -1], [-1]),
        ([-1, 0, 1], [0, 1]),
        ([0, -1, 1, 2], [1, 2]),
        ([-1, 0, -1], [-1]),
    ],
)
def test_latest_of_a_multiple_choice(labels: list[int], expected: list[int]) -> None:
    """Labels add up, a skip takes the earlier ones back, and a label after a skip takes the skip back."""
    rows = [(0, 0, label, 0 if label < 0 else 1) for label in labels] + [(0, 1, 2, 1)]
    votes, replaced = latest(votes_of("multiple", rows, 1, 2, 3))
    assert votes.label.tolist() == [*expected, 2]
    assert replaced == len(labels) - len(expected)


@few_examples
@given(any_votes())
def test_latest_of_distinct_votes_changes_nothing(votes: Votes) -> None:
    """Votes that do not repeat stay as they are, in their order."""
    kept, replaced = latest(votes)
    assert (rows_of(kept), replaced) == (rows_of(votes), 0)


@few_examples
@given(any_votes())
def test_repeated_votes_count_once(votes: Votes) -> None:
    """Votes said twice over are the votes said once."""
    twice = votes.rows(np.tile(np.arange(len(votes), dtype=np.int32), 2))
    kept, replaced = latest(twice)
    assert (rows_of(kept), replaced) == (rows_of(votes), len(votes))


def test_spelled_out_writes_the_implied_votes() -> None:
    """Two labels chosen of three are yes, yes and no; nothing fitted is three no; a skip is three unsure."""
    rows = [(0, 0, 2, 1), (0, 0, 0, 1), (0, 1, -1, -1), (1, 0, -1, 0)]
    spelled = spelled_out(votes_of("multiple", rows, 2, 2, 3))
    assert spelled.choice == "each"
    assert rows_of(spelled) == [
        *[(0, 0, 0, 1), (0, 0, 1, -1), (0, 0, 2, 1)],
        *[(0, 1, 0, -1), (0, 1, 1, -1), (0, 1, 2, -1)],
        *[(1, 0, 0, 0), (1, 0, 1, 0), (1, 0, 2, 0)],
    ]


@given(any_votes(choices=("multiple",)))
@few_examples
def test_asked_only_is_the_part_of_spelled_out_that_somebody_asks_for(votes: Votes) -> None:
    """Of each task the labels that somebody chose, and those that are named, here label 0 of task 0."""
    asked = {(int(task), int(label)) for task, label in zip(votes.task, votes.label, strict=True) if label >= 0}
    zero = np.zeros(1, dtype=np.int32)
    expected = [row for row in rows_of(spelled_out(votes)) if (row[0], row[2]) in asked | {(0, 0)}]
    assert sorted(rows_of(asked_only(votes, zero, zero))) == sorted(expected)


def test_sizes_count_names_without_votes() -> None:
    """Tasks, annotators and labels count whether they occur in a vote or not."""
    votes = chosen({(0, 0): 1, (0, 1): SKIP}, n_labels=4, n_tasks=3, n_annotators=5)
    assert (len(votes), votes.n_tasks, votes.n_annotators, votes.n_labels) == (2, 3, 5, 4)


@pytest.mark.parametrize(
    ("choice", "row", "message"),
    [
        ("each", (0, 0, -1, 1), "'label' lies outside its 2 names"),
        ("single", (0, 0, 2, 1), "'label' lies outside its 2 names"),
        ("single", (0, 0, -2, 0), "'label' lies outside its 2 names"),
        ("single", (1, 0, 0, 1), "'task' lies outside its 1 names"),
        ("single", (0, -1, 0, 1), "'annotator' lies outside its 1 names"),
        ("each", (0, 0, 0, 2), "neither yes"),
        ("each", (0, 0, 0, -2), "neither yes"),
        ("single", (0, 0, 0, -1), "a label is chosen with yes"),
        ("multiple", (0, 0, 0, 0), "a label is chosen with yes"),
        ("multiple", (0, 0, -1, 1), "a submission without a label"),
        ("double", (0, 0, 0, 1), "choice is 'double'; use one of single, multiple, each"),
    ],
)
def test_rows_that_mean_nothing_are_refused(choice: str, row: tuple[int, int, int, int], message: str) -> None:
    """A code without a name, a vote without a meaning or an unknown choice is refused by its name."""
    with pytest.raises(VotesError, match=message):
        votes_of(choice, [row], 1, 1, 2)  # type: ignore[arg-type]


def test_columns_of_different_length_are_refused() -> None:
    """A column that lacks a row is refused, with the lengths."""
    votes = chosen({(0, 0): 1, (0, 1): 0}, n_labels=2)
    with pytest.raises(VotesError, match=r"differ in length: .*'vote': 1"):
        replace(votes, vote=votes.vote[:1])


def test_latest_of_very_many_names() -> None:
    """Where tasks, annotators and labels are too many for one number to tell them apart, the last vote counts."""
    most = np.iinfo(np.int32).max
    many = np.broadcast_to(np.array("x", dtype=object), most)
    columns = [
        np.array(column, dtype=np.int32) for column in ([most - 1, 0, most - 1], [most - 1] * 3, [most - 1] * 3)
    ]
    votes, replaced = latest(Votes("each", *columns, np.array([1, 1, -1], dtype=np.int8), many, many, many))
    assert (votes.task.tolist(), votes.vote.tolist(), replaced) == ([0, most - 1], [1, -1], 1)
