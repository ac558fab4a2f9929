import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import NOTHING, SKIP, any_votes, chosen, few_examples, listed_of, votes_of

from consensus.core.votes.classifications import FEW_LABELS, MANY_ROWS, classify, lists_all, pack, tally
from consensus.core.votes.votes import NO, NO_LABEL, UNSURE, YES, Votes, spelled_out

weights = st.lists(st.floats(0, 3), min_size=5, max_size=5)


def brute_force_tally(votes: Votes, weight: list[float]) -> dict[tuple[int, int], list[float]]:
    """Every voted (task, label) to its weight of yes, no and unsure, vote by vote."""
    added: dict[tuple[int, int], list[float]] = {}
    rows = list(zip(votes.task, votes.annotator, votes.label, votes.vote, strict=True))
    if votes.choice == "each":
        for task, annotator, label, vote in rows:
            counts = added.setdefault((int(task), int(label)), [0, 0, 0])
            counts[[YES, NO, UNSURE].index(vote)] += weight[annotator]
        return added
    for task, annotator in {(int(row[0]), int(row[1])) for row in rows}:
        mine = [(label, vote) for of_task, by, label, vote in rows if (of_task, by) == (task, annotator)]
        for label in range(votes.n_labels):
            counts = added.setdefault((task, label), [0, 0, 0])
            if (label, YES) in mine:
                counts[0] += weight[annotator]
            elif (NO_LABEL, UNSURE) in mine:
                counts[2] += weight[annotator]
            else:
                counts[1] += weight[annotator]
    return added


@few_examples
@given(any_votes(), weights)
def test_tally_is_the_sum_vote_by_vote(votes: Votes, weight: list[float]) -> None:
    """The columns are what adding one vote after the other gives, and the rows are the voted ones."""
    found = classify(votes, listed_of())
    added = tally(votes, found, np.array(weight))
    expected = brute_force_tally(votes, weight)
    rows = list(zip(found.task.tolist(), found.label.tolist(), strict=True))
    assert rows == sorted(expected)
    table = np.array([expected[row] for row in rows]).reshape(-1, 3)
    np.testing.assert_allclose(np.stack([added.yes, added.no, added.unsure], axis=1), table, atol=1e-8)


@few_examples
@given(any_votes(choices=("multiple",)), weights)
def test_implied_votes_count_as_spelled_out_ones(votes: Votes, weight: list[float]) -> None:
    """Adding a multiple choice up is the same before and after its implied votes are written out."""
    found, spelled = classify(votes, listed_of()), spelled_out(votes)
    again = classify(spelled, listed_of())
    assert again.keys.tolist() == found.keys.tolist()
    implied, written = tally(votes, found, np.array(weight)), tally(spelled, again, np.array(weight))
    for column in ("yes", "no", "unsure"):
        np.testing.assert_allclose(getattr(implied, column), getattr(written, column), atol=1e-8)


@few_examples
@given(any_votes())
def test_equal_weights_of_one_count(votes: Votes) -> None:
    """Weights of 1 and no weights are the same, to the last bit: whole numbers."""
    found = classify(votes, listed_of())
    counted, weighed = tally(votes, found), tally(votes, found, np.ones(votes.n_annotators))
    for column in ("yes", "no", "unsure"):
        assert getattr(counted, column).tolist() == getattr(weighed, column).tolist()
        assert (getattr(counted, column) % 1 == 0).all()


def test_single_choice_counts() -> None:
    """Two for a, one for b, one skip and one for nothing are counted on all three labels."""
    votes = chosen({(0, 0): 0, (0, 1): 0, (0, 2): 1, (0, 3): SKIP, (0, 4): NOTHING}, n_labels=3)
    added = tally(votes, classify(votes, listed_of()))
    assert (added.yes.tolist(), added.no.tolist(), added.unsure.tolist()) == ([2, 1, 0], [2, 3, 4], [1, 1, 1])


def test_rounding_leaves_no_trace_of_a_vote() -> None:
    """Where all chose the label, weights that do not add up exactly leave exactly no weight of no."""
    weight = np.array([0.1, 0.2, 0.3, 0.7, 0.123456789])
    votes = chosen({(0, annotator): 0 for annotator in (4, 2, 0, 3, 1)}, n_labels=2)
    added = tally(votes, classify(votes, listed_of()), weight)
    assert added.no[0] == 0
    assert added.no[1] == pytest.approx(weight.sum())


def test_listed_rows_join_the_voted_ones() -> None:
    """Listed rows are added in order; given and listed are known of each row, whether voted or not."""
    votes = votes_of("each", [(1, 0, 1, 1), (0, 0, 1, -1)], 3, 1, 2)
    found = classify(votes, listed_of([(2, 0, True), (1, 1, False), (0, 0, False)]))
    assert list(zip(found.task.tolist(), found.label.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 1), (2, 0)]
    assert found.given.tolist() == [False, False, False, True]
    assert found.listed.tolist() == [True, False, True, True]
    assert found.keys.tolist() == [0, 1, 3, 4]
    assert len(found) == 4


@pytest.mark.parametrize("last", [True, False])
def test_last_row_counts_where_a_classification_is_listed_twice(last: bool) -> None:  # noqa: FBT001
    """A candidate that is listed again as given is given, and the other way round."""
    found = classify(chosen({}, n_labels=2, n_tasks=1), listed_of([(0, 1, not last), (0, 1, last)]))
    assert (found.given.tolist(), found.listed.tolist()) == ([last], [True])


def test_of_very_many_labels_those_that_nobody_chose_are_left_out() -> None:
    """One task more than can be written out; few labels are always written out."""
    n_labels = MANY_ROWS // 1_000
    answers: dict[tuple[int, int], int | str] = {(task, 0): task % n_labels for task in range(1_001)}
    listed = listed_of([(0, 7, True)])
    many = chosen({**answers, (1_000, 1): SKIP}, n_labels)
    rows = classify(many, listed)
    assert len(rows) == 1_001 + 1
    counts = tally(many, rows)
    assert [counts.yes[1], counts.no[1], counts.unsure[-1]] == [0, 1, 1]
    assert lists_all(chosen(dict(list(answers.items())[:1_000]), n_labels))
    assert lists_all(chosen({(task, 0): 0 for task in range(MANY_ROWS // FEW_LABELS + 1)}, FEW_LABELS))


def test_rows_of_finds_each_row() -> None:
    """Each (task, label) is found at its row, in any order and more than once."""
    found = classify(chosen({(0, 0): 1, (2, 0): 0}, n_labels=3), listed_of([(1, 2, True)]))
    ask = np.array([2, 1, 0, 2], dtype=np.int32), np.array([1, 2, 0, 1], dtype=np.int32)
    assert found.rows_of(*ask).tolist() == [5, 3, 0, 5]


def test_pack_does_not_overflow_its_codes() -> None:
    """Two billion tasks of ten thousand labels have keys of their own."""
    task, label = np.array([2_000_000_000], dtype=np.int32), np.array([9_999], dtype=np.int32)
    assert pack(task, label, 10_000).tolist() == [2_000_000_000 * 10_000 + 9_999]


@pytest.mark.parametrize("choice", ["single", "multiple", "each"])
def test_nothing_at_all(choice: str) -> None:
    """Without votes, labels and lists there are no rows, and adding them up is no fault."""
    votes = votes_of(choice, [], 0, 0, 0)  # type: ignore[arg-type]
    found = classify(votes, listed_of())
    assert len(found) == 0
    assert tally(votes, found).yes.tolist() == []
