"""Scoring in parts gives the numbers of scoring at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate, pairwise
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import any_votes, chosen, few_examples, gold_of, listed_of, simulated_choices, to_learn

from consensus.core.arrays import Floats
from consensus.core.decide.partitions import Partition
from consensus.core.decide.scoring import Scored, fit_partitions, score
from consensus.core.model import dependence
from consensus.core.model.em import MapMatrices
from consensus.core.votes.classifications import MANY_ROWS, Gold, Listed, lists_all
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize
from consensus.core.votes.votes import Votes
from consensus.errors import VotesError


@dataclass(frozen=True, eq=False)
class InMemory:
    """Partitions in a list."""

    empty: Votes
    partitions: list[Partition]
    n_tasks: int
    n_votes: int

    def map(self, function: Callable[[Partition], Any]) -> Iterable[Any]:
        """Call a function with each partition."""
        return map(function, self.partitions)

    def label_matrices(self, function: Callable[[Partition], LabelMatrix]) -> tuple[MapMatrices, MatrixSize]:
        """Keep label matrices, whose rows count on from partition to partition."""
        made = [function(partition) for partition in self.partitions]
        firsts = accumulate((len(label_matrix) for label_matrix in made), initial=0)
        kept = [replace(label_matrix, first=first) for label_matrix, first in zip(made, firsts, strict=False)]
        return lambda of_matrix: map(of_matrix, kept), reduce(add, [label_matrix.size for label_matrix in kept])


def cut(votes: Votes, listed: Listed, gold: Gold, cuts: list[int]) -> InMemory:
    """Cut votes into parts at these tasks."""

    def of(rows: Any, first: int, stop: int, **names: Any) -> Any:  # noqa: ANN401 - votes, what is listed, gold
        there = (rows.task >= first) & (rows.task < stop)
        columns = [name for name in ("annotator", "label", "vote", "given", "right") if hasattr(rows, name)]
        values = {name: getattr(rows, name)[there] for name in columns}
        return replace(rows, task=(rows.task[there] - first).astype(np.int32), **values, **names)

    bounds = [0, *sorted(cuts), votes.n_tasks]
    parts = [
        Partition(
            of(votes, first, stop, task_names=votes.task_names[first:stop]),
            of(listed, first, stop),
            of(gold, first, stop),
            lists_all(votes),
        )
        for first, stop in pairwise(bounds)
    ]
    return InMemory(of(votes, 0, 0, task_names=votes.task_names[:0]), parts, votes.n_tasks, len(votes))


def assert_same(
    votes: Votes, listed: Listed, gold: Gold, cuts: list[int], policy: str = "default", trust: Floats | None = None
) -> None:
    """All columns of all parts, one below the other, are those of the whole."""
    fixed = to_learn(votes) if trust is None else trust
    whole = score(votes, listed, gold, fixed, policy)
    parts = cut(votes, listed, gold, cuts)
    scorer = fit_partitions(parts, fixed, policy)
    found: list[Scored] = list(parts.map(scorer.score))
    for column in ("confidence", "posterior"):
        joined = np.concatenate([getattr(one, column) for one in found])
        np.testing.assert_allclose(joined, getattr(whole, column), rtol=0, atol=1e-9)
    assert np.concatenate([one.report for one in found]).tolist() == whole.report.tolist()
    assert np.sum([one.votes_by_annotator for one in found], axis=0).tolist() == whole.votes_by_annotator.tolist()
    for one in found:
        np.testing.assert_allclose(one.trust, whole.trust, rtol=0, atol=1e-9)


@few_examples
@given(
    any_votes(),
    st.sampled_from(["default", "label-ai", "majority", "wilson", "dawid-skene"]),
    st.sets(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), max_size=6),
    st.lists(st.integers(0, 5), max_size=3),
)
def test_parts_are_scored_like_the_whole(
    votes: Votes, policy: str, rows: set[tuple[int, int, bool]], cuts: list[int]
) -> None:
    """Wherever the tasks are cut and whatever is given, each policy says the same; empty parts do no harm."""
    listed = listed_of(row for row in sorted(rows) if row[0] < votes.n_tasks and row[1] < votes.n_labels)
    cuts = [min(at, votes.n_tasks) for at in cuts]
    assert_same(votes, listed, gold_of(), cuts, policy)


def test_gold_and_trust_by_hand_hold_in_their_parts() -> None:
    """Gold teaches from the part that it is in, and trust set by hand holds in all."""
    votes, truth = simulated_choices(np.linspace(0.4, 0.9, 6), 40, 3, per_task=4, seed=1)
    gold = gold_of((task, int(truth[task]), True) for task in range(5, 25))
    trust = np.array([0.9, *[np.nan] * 5])
    assert_same(votes, listed_of(), gold, [10, 20, 33], trust=trust)


def test_the_same_items_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only some items are looked at for the correlation, those of the parts are those of the whole."""
    monkeypatch.setattr(dependence, "SAMPLE", 1_000)
    votes, _ = simulated_choices(np.linspace(0.4, 0.9, 6), 3_000, 2, per_task=2, seed=2)
    assert dependence.every_for(MatrixSize(3_000, 6_000, 2)) == 3
    assert_same(votes, listed_of(), gold_of(), [100, 1_234])


def test_labels_are_left_out_by_the_size_of_the_whole() -> None:
    """Many labels on many tasks are left out though each part alone is small."""
    n_tasks = MANY_ROWS // 200 + 10
    answers = {(task, by): task % 3 for task in range(n_tasks) for by in range(1)}
    votes = chosen(answers, 200, n_tasks=n_tasks)
    assert_same(votes, listed_of([(0, 5, True)]), gold_of(), [n_tasks // 2])


def test_given_labels_speak_as_they_do_in_the_whole() -> None:
    """A part in which all that is listed is given hears the witness, if another part has a candidate."""
    votes = chosen({(task, by): 0 for task in range(20) for by in range(2)}, 2)
    each = replace(votes, choice="each")
    listed = listed_of([(task, 0, task < 15) for task in range(20)])
    assert_same(each, listed, gold_of(), [10])


def test_policy_and_trust_are_checked_before_the_work() -> None:
    """An unknown policy and a trust out of its range are refused."""
    parts = cut(chosen({(0, 0): 0, (0, 1): 1}, 2), listed_of(), gold_of(), [])
    with pytest.raises(VotesError, match="policy 'none' is unknown"):
        fit_partitions(parts, np.full(2, np.nan), "none")
    with pytest.raises(VotesError, match="trust of annotator 'a1' is 2; for policy default"):
        fit_partitions(parts, np.array([np.nan, 2.0]))
