"""Learning rates from votes: expectation-maximisation.

Given rates, the votes on an item say how probable each of its classes is; given the items' classes, the votes
count into the annotators' rates (A. P. Dawid, A. M. Skene, "Maximum likelihood estimation of observer error-rates
using the EM algorithm", Applied Statistics 28 (1979), 20-28, doi:10.2307/2346806). All that a round takes from the
items are sums, so parts of the items can be on different processors or machines.
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, TypeVar

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import FEWEST, Rates, expected_rows, loosened, rates_of, strength_of
from consensus.core.votes.label_matrix import Items, softmax

ROUNDS, TOLERANCE, ROUGHLY = 200, 1e-4, 3e-3
"""Most rounds, and the largest change of a rate that ends them; a rougher one before the strength is learned."""

FIRST_STRENGTH = 2.0


@dataclass(frozen=True, eq=False)
class Sums:
    """What a round takes from items.

    Attributes
    ----------
    counts : (n_annotators * n_classes, n_classes) float64
        Expected number of judged votes, by column of `Items.said` and true class.
    items : (n_classes,) float64
        Expected number of items of each class.
    """

    counts: Floats
    items: Floats

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.counts + other.counts, self.items + other.items)

    @property
    def table(self) -> Floats:
        """(n_annotators, n_classes, n_classes): counts by annotator, true class and said class."""
        n_classes = len(self.items)
        return np.ascontiguousarray(self.counts.reshape(-1, n_classes, n_classes).transpose(0, 2, 1))


Found = TypeVar("Found")


class Over(Protocol):
    """Runs a function over all parts of the items: in memory, one after the other from disk, on other machines."""

    def __call__(self, function: Callable[[Items], Found], /) -> Iterable[Found]:
        """Call the function with each part and yield what it returns, always in the order of the parts."""
        ...


Refine = Callable[[Sums, float], Rates]


def against_first(table: Floats) -> Floats:
    """Return log ratios of the last columns of a table to its first."""
    logs = np.log(table)
    return np.ascontiguousarray(logs[..., 1:] - logs[..., :1])


def scores_of(items: Items, rates: Rates) -> Floats:
    """Log-likelihood of each class against the first, (n_items, n_classes - 1), without the prevalence."""
    return np.asarray(items.said @ against_first(rates.by_column))


def posterior_of(items: Items, rates: Rates) -> Floats:
    """Probability of each class of each item if annotators err independently, (n_items, n_classes)."""
    return softmax(scores_of(items, rates) + against_first(rates.prevalence))


def shares_of(items: Items) -> Floats:
    """Share of each item's votes that each class has, (n_items, n_classes); even where there is no vote."""
    size = items.n_classes
    key = np.repeat(np.arange(len(items), dtype=np.int64), items.votes_each) * size + items.said.indices % size
    counts = np.bincount(key, minlength=len(items) * size).reshape(len(items), size).astype(np.float64)
    votes = counts.sum(axis=1, keepdims=True)
    return np.where(votes > 0, counts / np.maximum(votes, 1), 1 / size)


def sums_of(items: Items, posterior: Floats) -> Sums:
    """Add up what items say of the rates.

    While rates are learned an item's truth is a class that somebody said: with few votes to judge by, most of them
    in dispute, classes could otherwise change places with one another. Gold goes before that. The posterior is
    changed in place.
    """
    known = posterior[items.gold] * items.possible
    if not items.unguarded:
        posterior *= items.voiced
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    if len(items.gold):
        # What gold rules out is no truth, whatever the votes say.
        ruled_out = known.sum(axis=1) == 0
        known[ruled_out] = items.possible[ruled_out]
        posterior[items.gold] = known / known.sum(axis=1, keepdims=True)
    voted = items.votes_each > 0
    judged = items.judged
    # The first class has what the others leave: one product with the matrix less.
    others = items.said.T @ np.multiply(posterior[:, 1:], judged[:, None], order="C")
    first = np.maximum(items.judged_votes - others.sum(axis=1), 0.0)
    return Sums(np.column_stack([first, others]), voted @ posterior)


def learn(over: Over, fixed_trust: Floats, start: Rates | None = None) -> Rates:
    """Learn the rates that explain the votes best.

    Parameters
    ----------
    over : callable
        Runs a function over the parts of the items: see `Over`.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    start : Rates, optional
        Where to start: what was learned last time; its strength stays. The votes' shares by default.

    Returns
    -------
    Rates
    """

    def refine(sums: Sums, strength: float) -> Rates:
        return rates_of(sums.table, sums.items, strength, fixed_trust)

    if start is not None:
        return settle(over, refine, start, TOLERANCE)[0]
    first = refine(total(over(lambda items: sums_of(items, shares_of(items)))), FIRST_STRENGTH)
    sums = settle(over, refine, first, ROUGHLY)[1]
    counts = sums.table
    strength = loosened(strength_of(counts, expected_rows(counts)[0])) if counts.size else FEWEST
    return settle(over, refine, refine(sums, strength), TOLERANCE)[0]


def settle(over: Over, refine: Refine, rates: Rates, tolerance: float) -> tuple[Rates, Sums]:
    """Repeat rounds until no rate moves by more than the tolerance."""
    for _ in range(ROUNDS):
        known = rates
        sums = total(over(lambda items, known=known: sums_of(items, posterior_of(items, known))))  # type: ignore[misc]
        rates = refine(sums, known.strength)
        if np.abs(rates.table - known.table).max(initial=0.0) <= tolerance:
            break
    return rates, sums


def total(found: Iterable[Sums]) -> Sums:
    """Add up what was found in each part."""
    return reduce(operator.add, found)
