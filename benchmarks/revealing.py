"""Votes revealed one by one: who is asked of what next, and how right the engine is after each step."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from data_sets import CrowdSet
from metrics import accuracy
from numpy.typing import NDArray
from side_by_side import OURS, rows_of

from consensus.core.arrays import Codes, Flags, Floats
from consensus.core.decide.policies import POLICIES
from consensus.core.decide.scoring import Scored, score
from consensus.core.routing.information_gain import accuracy_of, information_gain
from consensus.core.routing.open_classifications import StoredClassifications, open_rows
from consensus.core.votes.classifications import Gold, Listed
from consensus.core.votes.votes import Votes

STEP = 0.02
"""Share of the votes after which everything is scored anew."""
FEWEST = 1
"""Votes that every item gets before any gets more: of an item without a vote nothing is known."""
LOAD = 2.0
"""How many times their even share of a step somebody may be asked, where we say who is asked."""


@dataclass(eq=False)
class Desk:
    """What is known of a set while its votes are revealed.

    Attributes
    ----------
    votes : Votes
        All of them.
    row : (n_items, n_annotators) int
        Position of each vote, -1 where there is none.
    left : (n_items, n_annotators) bool
        Votes that are not revealed yet.
    order : (n_votes,) int
        A random order of the votes.
    """

    crowd: CrowdSet
    votes: Votes
    row: NDArray[np.intp]
    left: Flags
    order: NDArray[np.intp]
    random: np.random.Generator

    @property
    def answered(self) -> NDArray[np.intp]:
        """(n_items,) int: votes of each item so far."""
        return (self.row >= 0).sum(axis=1) - self.left.sum(axis=1)

    @property
    def too_few(self) -> bool:
        """Whether some item could have a vote more and has fewer than decide anything."""
        return bool(((self.answered < FEWEST) & self.left.any(axis=1)).any())

    def reveal(self, rows: NDArray[np.intp]) -> None:
        """Note votes as revealed."""
        self.left[self.crowd.item[rows], self.crowd.annotator[rows]] = False


@dataclass(frozen=True, eq=False)
class View:
    """What the engine says of the votes so far.

    Attributes
    ----------
    belief : (n_items, n_classes) float64
    trust : (n_annotators,) float64
    undecided : (n_items,) bool
        Whether the product would ask for another vote.
    """

    belief: Floats
    trust: Floats
    undecided: Flags


@dataclass(frozen=True, eq=False)
class Trace:
    """One run over a set.

    Attributes
    ----------
    share, accuracy : (n_steps,) float64
        Share of the votes that were revealed, and the accuracy then.
    stopped : (float, float)
        The same where nothing that is undecided has a vote left: there the product stops.
    """

    share: Floats
    accuracy: Floats
    stopped: tuple[float, float]


Choose = Callable[[Desk, View, int], NDArray[np.intp]]
"""From what is known and how many votes are wanted to which are revealed next; at least one."""


def at_random(desk: Desk, _view: View, count: int) -> NDArray[np.intp]:
    """Whatever vote comes next in a random order."""
    return _hidden(desk, desk.order)[:count]


def in_turn(desk: Desk, _view: View, count: int) -> NDArray[np.intp]:
    """Round-robin: the items with the fewest votes first, in a random order, from anybody."""
    rows = _one_each(desk)
    answered = desk.answered[desk.crowd.item[rows]]
    return rows[answered == answered.min()][:count]


def most_informative(desk: Desk, view: View, count: int) -> NDArray[np.intp]:
    """Ours: a vote for each, then where one is expected to tell most, from anybody."""
    if desk.too_few:
        return in_turn(desk, view, count)
    gain = _gain(view) * desk.left
    rows = _one_each(desk)
    item = desk.crowd.item[rows]
    worth = gain[item].sum(axis=1) / desk.left[item].sum(axis=1)
    return rows[_best_open(view, item, worth)][:count]


def from_whom(desk: Desk, view: View, count: int) -> NDArray[np.intp]:
    """Ours: the same, but each asked of the annotator whose vote tells most and who is not overloaded."""
    if desk.too_few:
        return in_turn(desk, view, count)
    gain = np.where(desk.left, _gain(view), -1.0) + 1e-9 * desk.random.random(desk.left.shape)
    open_items = np.flatnonzero(desk.left.any(axis=1))
    room = np.ceil(LOAD * count * desk.left.sum(axis=0) / desk.left.sum())
    rows = []
    for item in open_items[_best_open(view, open_items, gain[open_items].max(axis=1))][:count]:
        free = desk.left[item] & (room > 0)
        who = int(np.where(free if free.any() else desk.left[item], gain[item], -1.0).argmax())
        room[who] -= 1
        rows.append(desk.row[item, who])
    return np.array(rows)


STRATEGIES: dict[str, Choose] = {
    "random": at_random,
    "round-robin": in_turn,
    "route": most_informative,
    "route, from whom": from_whom,
}
"""Peers first; `route` says which task, as Label Studio serves it to whoever comes, `from whom` also to whom."""


def simulate(crowd: CrowdSet, strategy: str, seed: int, step: float = STEP) -> Trace:
    """Reveal all votes of a set in an order, and score after each step.

    Parameters
    ----------
    strategy : str
        A key of `STRATEGIES`.
    step : float
        Share of the votes between two scorings.
    """
    desk = _desk(crowd, seed)
    with_truth, n_votes = crowd.truth >= 0, len(crowd.item)
    size = max(1, round(n_votes * step))
    view = _unknown(crowd)
    share, right, stopped = [], [], None
    while desk.left.any():
        left = size
        while left > 0 and desk.left.any():
            rows = STRATEGIES[strategy](desk, view, left)
            desk.reveal(rows)
            left -= len(rows)
        scored = _score(desk)
        view = _view(crowd, scored)
        share.append(1 - desk.left.sum() / n_votes)
        right.append(accuracy(view.belief[with_truth], crowd.truth[with_truth]))
        if stopped is None and not (view.undecided & desk.left.any(axis=1)).any():
            stopped = share[-1], right[-1]
    return Trace(np.array(share), np.array(right), stopped or (share[-1], right[-1]))


def _desk(crowd: CrowdSet, seed: int) -> Desk:
    random = np.random.default_rng(seed)
    row = np.full((crowd.n_items, crowd.n_annotators), -1, dtype=np.intp)
    row[crowd.item, crowd.annotator] = np.arange(len(crowd.item))
    return Desk(crowd, crowd.votes, row, row >= 0, random.permutation(len(crowd.item)), random)


def _hidden(desk: Desk, order: NDArray[np.intp]) -> NDArray[np.intp]:
    return order[desk.left[desk.crowd.item[order], desk.crowd.annotator[order]]]


def _one_each(desk: Desk) -> NDArray[np.intp]:
    """Return one hidden vote of each item that has one: the first in the random order."""
    hidden = _hidden(desk, desk.order)
    _, first = np.unique(desk.crowd.item[hidden], return_index=True)
    return hidden[np.sort(first)]


def _gain(view: View) -> Floats:
    return information_gain(view.belief, accuracy_of(view.trust, view.belief.shape[1]))


def _best_open(view: View, item: Codes | NDArray[np.intp], worth: Floats) -> NDArray[np.intp]:
    """Order items by what a vote is worth: the undecided ones, as the product serves no others; if none, all."""
    some_open = view.undecided[item]
    best = np.argsort(-worth, kind="stable")
    return best[some_open[best]] if some_open.any() else best


def _score(desk: Desk) -> Scored:
    revealed = np.sort(desk.row[(desk.row >= 0) & ~desk.left])
    task, label = (column.ravel() for column in desk.crowd.classifications)
    none = np.zeros(0, dtype=np.int32)
    return score(
        desk.votes.rows(revealed),
        Listed(task, label, np.zeros(len(task), dtype=bool)),
        Gold(none, none, none.astype(bool)),
        np.full(desk.crowd.n_annotators, np.nan),
        OURS,
    )


def _view(crowd: CrowdSet, scored: Scored) -> View:
    row = rows_of(crowd, scored)
    belief = scored.posterior[row]
    belief = np.column_stack([1 - belief[:, 0], belief[:, 0]]) if crowd.asks_yes_no else belief
    total = belief.sum(axis=1, keepdims=True)
    belief = np.where(total > 0, belief / np.maximum(total, 1e-300), 1 / belief.shape[1])
    return View(belief, scored.trust, _undecided(crowd, scored)[row].any(axis=1))


def _undecided(crowd: CrowdSet, scored: Scored) -> Flags:
    rows, lines = scored.classifications, POLICIES[OURS].thresholds
    stored = StoredClassifications(
        rows.task,
        rows.label,
        rows.given,
        scored.counts.yes,
        scored.counts.no,
        scored.confidence,
        scored.upper,
        scored.posterior,
        scored.report,
        crowd.votes.n_labels,
        crowd.votes.choice == "single" and crowd.votes.n_labels > 1,
    )
    return open_rows(stored, lines.reject, fewest_votes=lines.fewest_votes)


def _unknown(crowd: CrowdSet) -> View:
    even = np.full((crowd.n_items, crowd.n_classes), 1 / crowd.n_classes)
    return View(even, np.full(crowd.n_annotators, 0.5), np.ones(crowd.n_items, dtype=bool))
