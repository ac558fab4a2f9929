"""What more votes bring: the engine, Dawid-Skene and the majority on random draws of the votes on each item."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from data_sets import CrowdSet
from metrics import hits, smoothed, squared_errors, surprises
from peers import PEERS
from side_by_side import OURS, belief_of, figure, score_set, table, yes_no

from consensus.core.arrays import Codes, Floats

CURVE_SET = "real-golden"
"""The set that has enough votes an item to show what fewer would have given."""
SIZES = (1, 2, 3, 5, 10, 20, 40, 78)
"""Votes an item; the last is all there are."""
DRAWS = 5
METHODS = (OURS, "DS", "MV")
LOSSES: dict[str, Callable[[Floats, Codes], Floats]] = {
    "error": lambda belief, truth: 1 - hits(belief, truth),
    "brier": squared_errors,
    "log_loss": surprises,
}
"""What must not grow; the error is 1 - accuracy."""
ERRORS_OF_MEAN = 2.0
"""A growth of the mean by less than so many standard errors is chance."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Losses by method and kind: (n_sizes, n_draws, n_known) float64."""

    losses: dict[str, dict[str, Floats]]

    def means(self) -> dict[str, dict[str, dict[str, float]]]:
        """Mean loss by method, kind and number of votes."""
        return {
            method: {
                kind: dict(zip(map(str, SIZES), loss.mean(axis=(1, 2)).tolist(), strict=True))
                for kind, loss in kinds.items()
            }
            for method, kinds in self.losses.items()
        }


def draw_votes(votes: CrowdSet, size: int, random: np.random.Generator) -> CrowdSet:
    """Keep some votes of each item, drawn at random; all of an item that has no more."""
    order = np.lexsort((random.random(len(votes.item)), votes.item))
    first = np.searchsorted(votes.item[order], votes.item[order])
    row = np.sort(order[np.arange(len(order)) - first < size])
    return replace(votes, item=votes.item[row], annotator=votes.annotator[row], answer=votes.answer[row])


def draw_curves(votes: CrowdSet, pseudo_votes: float, draws: int = DRAWS) -> Curves:
    """Run the three methods on every number of votes and every draw.

    Parameters
    ----------
    pseudo_votes : float
        That the majority's shares are smoothed with.
    """
    with_truth = votes.truth >= 0
    truth = votes.truth[with_truth]
    losses = {method: {kind: np.empty((len(SIZES), draws, len(truth))) for kind in LOSSES} for method in METHODS}
    for position, size in enumerate(SIZES):
        # Where no item has more votes, all draws are the same.
        for seed in range(draws if size < votes.tallies.sum(axis=1).max() else 1):
            some = draw_votes(votes, size, np.random.default_rng(seed))
            for method, belief in _beliefs(some, pseudo_votes).items():
                for kind, loss in LOSSES.items():
                    losses[method][kind][position, seed:] = loss(belief[with_truth], truth)
    return Curves(losses)


def _beliefs(votes: CrowdSet, pseudo_votes: float) -> dict[str, Floats]:
    return {
        OURS: belief_of(votes, score_set(votes)),
        "DS": PEERS["DS"].run(votes),
        "MV": smoothed(PEERS["MV"].run(votes), pseudo_votes),
    }


def bars_of_curves(curves: Curves) -> dict[str, dict[str, float]]:
    """Compare every number of votes with the best smaller one: the loss must not grow by more than chance.

    The standard error is that of the mean over the items of the change, each averaged over the draws.
    """
    bars = {}
    for kind, losses in curves.losses[OURS].items():
        by_item = losses.mean(axis=1)
        for position in range(1, len(SIZES)):
            best = by_item[:position].mean(axis=1).argmin()
            change = by_item[position] - by_item[best]
            error = float(change.std(ddof=1) / np.sqrt(len(change)))
            bars[f"{kind}, {SIZES[best]} to {SIZES[position]} votes"] = {
                "growth": float(change.mean()),
                "standard_error": error,
                "reached": bool(change.mean() <= ERRORS_OF_MEAN * error),
            }
    return bars


def show_curves(name: str, curves: Curves, bars: dict[str, dict[str, float]]) -> None:
    """Print the curves, and where more votes made the engine worse at all."""
    for kind in LOSSES:
        rows = [(method, [figure(mean) for mean in curves.means()[method][kind].values()]) for method in METHODS]
        print(table(f"{kind} on {name} with so many votes", list(map(str, SIZES)), rows))
    grown = [
        (change, [figure(bar["growth"]), figure(bar["standard_error"]), yes_no(bar["reached"])])
        for change, bar in bars.items()
        if bar["growth"] > 0
    ]
    if grown:
        print(table("more wrong with more votes", ["growth", "standard error", "within 2 of these"], grown))
