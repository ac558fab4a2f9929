from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_label_matrices import any_possible, any_said, confusion_from, drawn_confusion, matrix_from
from made_votes import few_examples
from plain_loops import Known, counted, independent, learned, shares, voiced, with_gold

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.em import (
    ExpectedCounts,
    MapMatrices,
    counts_after,
    e_step,
    em,
    expected_counts,
    vote_shares,
)
from consensus.core.votes import support
from consensus.core.votes.label_matrix import LabelMatrix

Whole = tuple[list[dict[int, int]], int, int]


def to_learn(n_annotators: int) -> Floats:
    """Trust that is all to be learned."""
    return np.full(n_annotators, np.nan)


def over(parts: Iterable[LabelMatrix]) -> MapMatrices:
    """Go through parts one after the other."""
    kept = list(parts)
    return lambda function: map(function, kept)


def known_of(confusion: ConfusionMatrices) -> Known:
    """Rates as lists."""
    return Known(confusion.table.tolist(), confusion.prevalence.tolist(), [], [], 0.0, 0.0)


def crowd(n_items: int, n_annotators: int, n_classes: int) -> list[dict[int, int]]:
    """Simulated votes of everybody on every item, right in about 3 of 4."""
    generator = np.random.default_rng(n_items)
    truth = generator.integers(n_classes, size=n_items)
    wrong = (truth[:, None] + generator.integers(1, n_classes, (n_items, n_annotators))) % n_classes
    said = np.where(generator.random((n_items, n_annotators)) < 0.75, truth[:, None], wrong)
    return [dict(enumerate(row)) for row in said.tolist()]


def test_posterior_by_hand() -> None:
    """Votes right in 3 of 4 and in 2 of 3, for two classes apart: odds 3/1 against 2/1, so 3/5; twice that 6/7."""
    confusion = confusion_from([[[3 / 4, 1 / 4], [1 / 4, 3 / 4]], [[2 / 3, 1 / 3], [1 / 3, 2 / 3]]])
    label_matrix = matrix_from([{0: 0, 1: 1}, {0: 0, 1: 0}, {}], 2, 2)
    np.testing.assert_allclose(e_step(label_matrix, confusion)[:, 0], [3 / 5, 6 / 7, 1 / 2])


def test_shares_by_hand() -> None:
    """Two of three votes are 2/3; no vote is even."""
    label_matrix = matrix_from([{0: 1, 1: 1, 2: 0}, {}], 3, 2)
    np.testing.assert_allclose(vote_shares(label_matrix), [[1 / 3, 2 / 3], [1 / 2, 1 / 2]])


def test_sums_by_hand() -> None:
    """Two votes on an item of class 1 with 3/4 count by parts; a vote alone counts its item and nobody's votes."""
    label_matrix = matrix_from([{0: 1, 1: 0}, {0: 0}, {}], 2, 2)
    found = expected_counts(label_matrix, np.array([[1 / 4, 3 / 4], [1.0, 0.0], [1 / 2, 1 / 2]]))
    np.testing.assert_allclose(found.table, [[[0, 1 / 4], [0, 3 / 4]], [[1 / 4, 0], [3 / 4, 0]]])
    np.testing.assert_allclose(found.rows, [5 / 4, 3 / 4])


def test_gold_takes_the_place_of_the_belief() -> None:
    """Of a belief of 1/2, 1/4, 1/4 gold leaves class 2, or classes 1 and 2 as they were to one another."""
    belief = np.tile([1 / 2, 1 / 8, 3 / 8], (2, 1))
    found = expected_counts(matrix_from([{0: 0, 1: 0}] * 2, 2, 3, {0: [2], 1: [1, 2]}), belief)
    np.testing.assert_allclose(found.table[0, :, 0], [0, 1 / 4, 1 + 3 / 4])


def test_gold_against_all_votes_counts_each_vote_once() -> None:
    """Where all say what gold rules out, the two other classes are true with 1/2 each."""
    label_matrix = matrix_from([{0: 0, 1: 0}], 2, 3, {0: [1, 2]})
    found = expected_counts(label_matrix, vote_shares(label_matrix))
    assert found.rows.tolist() == [0, 1 / 2, 1 / 2]
    assert found.table[0].tolist() == [[0, 0, 0], [1 / 2, 0, 0], [1 / 2, 0, 0]]


@few_examples
@given(any_said(), st.integers(0, 99), st.data())
def test_a_round_is_that_of_counting_one_by_one(whole: Whole, seed: int, data: st.DataObject) -> None:
    """The belief of each item and what it counts are those of multiplying and adding vote by vote."""
    said, n_annotators, n_classes = whole
    gold = data.draw(any_possible(len(said), n_classes))
    confusion = drawn_confusion(n_annotators, n_classes, seed)
    label_matrix = matrix_from(said, n_annotators, n_classes, gold)
    beliefs = [independent(one, known_of(confusion)) for one in said]
    found = e_step(label_matrix, confusion)
    np.testing.assert_allclose(found, beliefs, atol=1e-12)
    np.testing.assert_allclose(vote_shares(label_matrix), [shares(one, n_classes) for one in said])
    votes, of_class = counted(said, beliefs, gold, n_annotators)
    through_all = expected_counts(label_matrix, found)
    for sums in (counts_after(label_matrix, confusion), through_all):
        np.testing.assert_allclose(sums.table, votes, atol=1e-12)
        np.testing.assert_allclose(sums.rows, of_class, atol=1e-12)
    taught = [
        with_gold(belief, gold[at]) if at in gold else voiced(one, belief)
        for at, (one, belief) in enumerate(zip(said, beliefs, strict=True))
    ]
    np.testing.assert_allclose(found, taught, atol=1e-12)


def test_a_support_that_takes_too_much_room_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """All classes of all rows are gone through instead, with the same rates; so it is where a part is not kept."""
    quick, plain, lent = (matrix_from(crowd(60, 5, 3), 5, 3, {0: [1], 31: [0, 2]}) for _ in range(3))
    expected = em(over([quick]), to_learn(5))
    monkeypatch.setattr(support, "MOST_ENTRIES", 0)
    for label_matrix in (plain, replace(lent, kept=False)):
        np.testing.assert_allclose(em(over([label_matrix]), to_learn(5)).table, expected.table, atol=1e-9)
    assert [label_matrix.support is None for label_matrix in (quick, plain)] == [False, True]


def test_very_many_votes_on_a_row_leave_a_posterior() -> None:
    """Of three thousand votes the likelihoods are smaller than a number can be, and their ratio is not."""
    said = [{by: int(by > 0) for by in range(3000)}]
    confusion = drawn_confusion(3000, 2, 0)
    label_matrix = matrix_from(said, 3000, 2)
    expected = expected_counts(label_matrix, e_step(label_matrix, confusion))
    np.testing.assert_allclose(counts_after(label_matrix, confusion).rows, expected.rows, atol=1e-12)


@few_examples
@given(any_said(), st.lists(st.none() | st.floats(0, 1), min_size=5, max_size=5), st.data())
def test_rates_are_those_of_learning_one_by_one(
    whole: Whole, trust: list[float | None], data: st.DataObject
) -> None:
    """All rounds together end where plain loops do, with gold and with trust set by hand."""
    said, n_annotators, n_classes = whole
    gold = data.draw(any_possible(len(said), n_classes))
    by_hand = trust[:n_annotators]
    fixed = np.array([np.nan if one is None else one for one in by_hand])
    found = em(over([matrix_from(said, n_annotators, n_classes, gold)]), fixed)
    expected = learned(said, gold, by_hand, n_classes)
    np.testing.assert_allclose(found.table, expected.table, atol=1e-9)
    np.testing.assert_allclose(found.prevalence, expected.prevalence, atol=1e-9)
    np.testing.assert_allclose(found.accuracy, expected.accuracy, atol=1e-9)
    np.testing.assert_allclose(found.evidence, expected.evidence, atol=1e-9)


@pytest.mark.parametrize("n_parts", [2, 3, 7])
def test_parts_teach_what_the_whole_does(n_parts: int) -> None:
    """Items cut into parts have the same sums and the same rates, whichever part the gold is in."""
    label_matrix = matrix_from(crowd(60, 5, 3), 5, 3, {0: [1], 31: [0, 2], 59: [2]})
    parts = list(label_matrix.split(n_parts))
    whole = expected_counts(label_matrix, vote_shares(label_matrix))
    each = [expected_counts(part, vote_shares(part)) for part in parts]
    np.testing.assert_allclose(sum(each[1:], each[0]).votes, whole.votes, atol=1e-9)
    in_parts, at_once = em(over(parts), to_learn(5)), em(over([label_matrix]), to_learn(5))
    np.testing.assert_allclose(in_parts.table, at_once.table, atol=1e-9)
    np.testing.assert_allclose(in_parts.prevalence, at_once.prevalence, atol=1e-9)


def rounds_of(label_matrix: LabelMatrix, start: ConfusionMatrices | None) -> tuple[ConfusionMatrices, int]:
    """What is learned, and how often the items were gone through."""
    calls = []

    def counting(function: Callable[[LabelMatrix], ExpectedCounts]) -> list[ExpectedCounts]:
        calls.append(function)
        return [function(label_matrix)]

    return em(counting, to_learn(label_matrix.n_annotators), start), len(calls)


def test_a_warm_start_ends_sooner_at_the_same() -> None:
    """From what was learned before a few votes more, rounds are fewer than half, and rates are about the same."""
    said = crowd(200, 6, 4)
    before, _ = rounds_of(matrix_from(said[:197], 6, 4), None)
    label_matrix = matrix_from(said, 6, 4)
    (cold, rounds), (warm, fewer) = rounds_of(label_matrix, None), rounds_of(label_matrix, before)
    assert fewer < rounds / 2
    assert warm.strength == before.strength
    np.testing.assert_allclose(warm.table, cold.table, atol=2e-3)


def test_a_start_keeps_its_strength() -> None:
    """Learned from rates of another strength, the strength would move on from run to run."""
    label_matrix = matrix_from(crowd(200, 6, 4), 6, 4)
    cold, _ = rounds_of(label_matrix, None)
    assert rounds_of(label_matrix, replace(cold, strength=7.0))[0].strength == 7


def test_a_vote_alone_teaches_nothing() -> None:
    """Who votes alone on thirty items has the rates of somebody who did not vote."""
    said = crowd(30, 4, 3) + [{4: 0}] * 30
    found = em(over([matrix_from(said, 6, 3)]), to_learn(6))
    assert found.evidence[4].tolist() == [0, 0, 0]
    assert found.table[4].tolist() == found.table[5].tolist()


def test_gold_that_leaves_two_classes_does_not_let_a_vote_alone_confirm_itself() -> None:
    """Not even where gold says of thirty items that they are not of class 2, which one voter never said."""
    said = crowd(30, 4, 3) + [{4: 0}] * 30
    gold = {at: [0, 1] for at in range(30, 60)}
    found = em(over([matrix_from(said, 6, 3, gold)]), to_learn(6))
    assert found.table[4].tolist() == found.table[5].tolist()
