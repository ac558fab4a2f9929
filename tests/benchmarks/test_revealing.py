"""Votes revealed one by one, on small made sets."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("crowdkit", reason="crowd-kit is not installed (extra benchmarks)")

from data_sets import CrowdSet
from made_sets import made_set
from revealing import FEWEST, STRATEGIES, Desk, View, from_whom, in_turn, most_informative, simulate
from routing import share_needed


def desk(crowd: CrowdSet, hidden: int = 48) -> Desk:
    """A desk on which the last so many votes of a set are hidden."""
    row = np.full((crowd.n_items, crowd.n_annotators), -1)
    row[crowd.item, crowd.annotator] = np.arange(len(crowd.item))
    left = row >= len(crowd.item) - hidden
    order = np.arange(len(crowd.item))
    return Desk(crowd, crowd.votes, row, left, order, np.random.default_rng(0))


def view(belief: list[list[float]], trust: list[float], undecided: list[bool]) -> View:
    """What the engine says of the items."""
    return View(np.array(belief), np.array(trust), np.array(undecided))


def answered(items: int, votes: int = 2) -> CrowdSet:
    """A set of four annotators in which the first so many votes of every item come first."""
    crowd = made_set(n_items=items)
    first = np.argsort(crowd.annotator >= votes, kind="stable")
    return replace(crowd, item=crowd.item[first], annotator=crowd.annotator[first], answer=crowd.answer[first])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_order_ends_with_all_votes(strategy: str) -> None:
    """The last figure is that of all votes, whatever came first, and each step reveals its share."""
    trace = simulate(made_set(), strategy, seed=1, step=0.25)
    assert trace.share.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert trace.accuracy[-1] == 1.0
    assert trace.stopped[0] in trace.share


def test_round_robin_gives_every_item_a_vote_before_any_second() -> None:
    """Of those with the fewest votes as many as are wanted; not more than there are."""
    crowd = made_set(n_items=3)
    at = desk(crowd, hidden=12)
    rows = in_turn(at, view([[1 / 3] * 3] * 3, [0.5] * 4, [True] * 3), 9)
    assert sorted(crowd.item[rows].tolist()) == [0, 1, 2]
    at.reveal(rows[:2])
    assert crowd.item[in_turn(at, view([[1 / 3] * 3] * 3, [0.5] * 4, [True] * 3), 9)].tolist() == [2]


def test_ours_gives_the_fewest_votes_first() -> None:
    """Where some item has fewer than decide anything, what the engine says does not count."""
    crowd = answered(3, votes=FEWEST - 1)
    at = desk(crowd, hidden=12 - 3 * (FEWEST - 1))
    seen_votes = view([[1.0, 0, 0], [0.4, 0.3, 0.3], [1.0, 0, 0]], [0.9] * 4, [False, True, False])
    for choose in (most_informative, from_whom):
        assert sorted(crowd.item[choose(at, seen_votes, 3)].tolist()) == [0, 1, 2]


def test_ours_asks_of_the_least_certain_first_and_of_the_decided_last() -> None:
    """A decided item is not asked of, however little is known of it, until no other has a vote left."""
    crowd = answered(3)
    at = desk(crowd, hidden=6)
    belief = [[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0.34, 0.33, 0.33]]
    seen_votes = view(belief, [0.9, 0.9, 0.5, 0.6], [True, True, False])
    assert crowd.item[most_informative(at, seen_votes, 3)].tolist() == [1, 0]
    rows = from_whom(at, seen_votes, 1)
    assert (crowd.item[rows].tolist(), crowd.annotator[rows].tolist()) == ([1], [3])
    nothing_open = replace(seen_votes, undecided=np.zeros(3, dtype=bool))
    assert crowd.item[most_informative(at, nothing_open, 3)].tolist() == [2, 1, 0]


def test_nobody_is_asked_more_than_twice_their_share() -> None:
    """The best of three has a third of what is left: of six wanted two thirds, four; the next best gets two."""
    crowd = answered(8, votes=1)
    at = desk(crowd, hidden=24)
    seen_votes = view([[0.4, 0.3, 0.3]] * 8, [0.5, 0.2, 0.6, 0.9], [True] * 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("revealing.FEWEST", 0)
        who = crowd.annotator[from_whom(at, seen_votes, 6)].tolist()
    assert who == [3] * 4 + [2] * 2


def test_the_share_needed_is_that_from_which_the_curve_stays() -> None:
    """A peak before does not count; half a point less is enough."""
    grid = np.array([0.25, 0.5, 0.75, 1.0])
    assert share_needed(grid, np.array([0.9, 0.8, 0.895, 0.9])) == 0.75
    assert share_needed(grid, np.array([0.9, 0.9, 0.9, 0.9])) == 0.25
