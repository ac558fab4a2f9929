import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_label_matrices import any_said, matrix_from
from made_votes import NOTHING, SKIP, any_votes, chosen, few_examples, gold_of, listed_of, votes_of

from consensus.core.votes.classifications import classify
from consensus.core.votes.label_matrix import RIGHT, WRONG, LabelMatrix, label_matrix_of, one_hot, softmax
from consensus.core.votes.votes import Votes


def matrix_of(votes: Votes, gold: list[tuple[int, int, bool]] | None = None) -> LabelMatrix:
    """The label matrix of votes with nothing listed."""
    return label_matrix_of(votes, classify(votes, listed_of()), gold_of(gold or []))[0]


def said(label_matrix: LabelMatrix) -> list[dict[int, int]]:
    """What each annotator said of each item, read off the matrix."""
    found = label_matrix.one_hot.toarray().reshape(
        len(label_matrix), label_matrix.n_annotators, label_matrix.n_classes
    )
    return [{int(by): int(what) for by, what in np.argwhere(one)} for one in found]


def test_label_matrix_of_a_single_choice_are_the_tasks() -> None:
    """Each choice of a label is in its place; a skip and an empty submission say nothing."""
    votes = chosen({(0, 0): 2, (0, 1): 0, (2, 1): 1, (2, 0): SKIP, (1, 0): NOTHING}, n_labels=3)
    label_matrix = matrix_of(votes)
    assert said(label_matrix) == [{0: 2, 1: 0}, {}, {1: 1}]
    assert label_matrix.votes_per_row.tolist() == [2, 0, 1]
    assert (label_matrix.n_annotators, label_matrix.n_classes) == (2, 3)


def test_label_matrix_of_questions_are_the_classifications() -> None:
    """Yes is the class right and no is wrong; unsure says nothing; rows are ordered by task, then label."""
    votes = votes_of("each", [(1, 0, 0, 1), (0, 1, 1, -1), (0, 0, 1, 1), (0, 0, 0, 0)], 2, 2, 2)
    assert said(matrix_of(votes)) == [{}, {0: RIGHT, 1: WRONG}, {0: RIGHT}]


@few_examples
@given(any_votes(choices=("single", "each")), st.randoms(use_true_random=False))
def test_order_of_the_votes_does_not_matter(votes: Votes, random: st.DataObject) -> None:
    """Shuffled rows are laid out as the same items."""
    order = np.random.default_rng(random.randint(0, 2**32)).permutation(len(votes))  # type: ignore[attr-defined]
    assert said(matrix_of(votes.rows(order))) == said(matrix_of(votes))


@few_examples
@given(any_said(), st.integers(1, 5))
def test_parts_put_together_are_the_whole(whole: tuple[list[dict[int, int]], int, int], n_parts: int) -> None:
    """However often items are cut, each is in one part, in order, with its number and its gold."""
    votes, n_annotators, n_classes = whole
    possible = {at: [at % n_classes] for at in range(0, len(votes), 2)}
    parts = list(matrix_from(votes, n_annotators, n_classes, possible).split(n_parts))
    assert len(parts) == n_parts
    assert [one for part in parts for one in said(part)] == votes
    assert [part.first for part in parts] == np.cumsum([0, *map(len, parts)])[:-1].tolist()
    found = {
        part.first + int(at): np.flatnonzero(left).tolist()
        for part in parts
        for at, left in zip(part.gold, part.possible, strict=True)
    }
    assert found == possible


def test_parts_have_about_as_many_votes_each() -> None:
    """Items of 4, 1, 1, 1 and 1 votes are cut behind the first, not in the middle."""
    votes = [dict.fromkeys(range(4), 0), *[{0: 0}] * 4]
    assert [len(part) for part in matrix_from(votes, 4, 2).split(2)] == [1, 4]


def test_a_vote_is_judged_by_others_or_by_gold() -> None:
    """One vote alone is not judged, two are; gold judges one alone if it leaves one class, or else nobody."""
    label_matrix = matrix_from([{0: 0}, {0: 0, 1: 2}, {0: 0}, {0: 0}, {}], 2, 3, {2: [1], 3: [0, 1]})
    assert label_matrix.informative.tolist() == [False, True, True, False, False]


def test_right_labels_are_the_gold_of_a_single_choice() -> None:
    """A right label leaves only itself, whatever else is called wrong; wrong ones leave the others."""
    votes = chosen({(0, 0): 0}, n_labels=3, n_tasks=4)
    label_matrix = matrix_of(votes, [(0, 1, True), (0, 2, False), (2, 0, False), (2, 1, False), (3, 1, False)])
    assert label_matrix.gold.tolist() == [0, 2, 3]
    assert label_matrix.possible.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 1]]


def test_gold_that_calls_every_label_wrong_says_nothing() -> None:
    """A task that no label suits has no true class to teach."""
    votes = chosen({(0, 0): 0, (1, 0): 1}, n_labels=2)
    assert matrix_of(votes, [(0, 0, False), (0, 1, False), (1, 0, True)]).gold.tolist() == [1]


def test_gold_of_questions_is_right_or_wrong() -> None:
    """Of something said twice the last word counts; gold of what is not asked is left out."""
    votes = votes_of("each", [(0, 0, 0, 1), (1, 0, 1, 1)], 3, 1, 2)
    rows = [(1, 1, True), (0, 0, True), (0, 0, False), (2, 0, True), (0, 1, True)]
    label_matrix = matrix_of(votes, rows)
    assert label_matrix.gold.tolist() == [0, 1]
    assert label_matrix.possible.tolist() == [[1, 0], [0, 1]]


def test_one_hot_sorts_by_item() -> None:
    """Entries in any order end up in their cells, also where an item has none."""
    item, column = np.array([2, 0, 2], dtype=np.int32), np.array([1, 3, 0], dtype=np.int32)
    assert one_hot(item, column, 4, 4).toarray().tolist() == [[0, 0, 0, 1], [0] * 4, [1, 1, 0, 0], [0] * 4]


def test_softmax_of_odds() -> None:
    """Odds of 3 and 6 to 1 are 3, 6 and 1 of 10, the first class in front."""
    np.testing.assert_allclose(softmax(np.log([[3.0, 6.0]])), [[1 / 10, 3 / 10, 6 / 10]])


@pytest.mark.parametrize("n_classes", [1, 2, 5])
@pytest.mark.parametrize("score", [-1e4, 0.0, 1e4])
def test_softmax_of_huge_odds_is_finite(n_classes: int, score: float) -> None:
    """Odds beyond what a double holds neither overflow nor warn, and rows sum to 1; one class is certain."""
    found = softmax(np.full((2, n_classes - 1), score))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    best = 0 if score < 0 else n_classes - 1
    assert found[0, best] == found.max()
