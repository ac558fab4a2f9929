"""Copies: annotators who answer alike beyond what the others explain, and whose votes then count as one.

The agreement beyond chance (kappa) of two independent annotators is about t_a t_b, where t is how far each agrees
with the truth (the one-factor model of C. Spearman, "General intelligence, objectively determined and measured",
American Journal of Psychology 15 (1904), 201-292, doi:10.2307/1412107). The t of the members of a group are
learned from the annotators outside of it alone, so that accounts that answer alike do not vouch for one another.
Where the members agree so much more that half of the room that is left, (kappa_ab - t_a t_b) / (1 - t_a t_b), is
filled, they are one voice; two standard errors are allowed for on either side. Shared mistakes that fill less are
the matter of `consensus.core.model.dependence`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats
from consensus.core.model.dependence import sampled
from consensus.core.votes.label_matrix import LabelMatrix

MOST_ANNOTATORS = 200
"""Annotators up to whom everybody is compared with everybody; in larger crowds a few alike do not take over."""

FEWEST_SHARED = 20
"""Items that two annotators must share to be compared."""

OUTSIDE = 2
"""Annotators outside of a group that it takes to judge it by."""

FILLED = 0.5
"""Share of the room for agreement that must be filled, at least."""

MARGIN = 2.0
"""Standard errors that are given to either side."""

UNSURE_SCALE = 0.2
"""Relative standard error of what the others show of the truth, from which they show nothing."""

LEAST_ROOM, SMALL = 0.02, 1e-9


@dataclass(frozen=True, eq=False)
class Agreements:
    """How often annotators say the same.

    Attributes
    ----------
    shared, same : (n_annotators, n_annotators) float64
        Items that both said something of, and those of which they said the same.
    said : (n_annotators, n_classes) float64
        Votes for each class.
    """

    shared: Floats
    same: Floats
    said: Floats

    def __add__(self, other: "Agreements") -> "Agreements":
        return Agreements(self.shared + other.shared, self.same + other.same, self.said + other.said)


def agreements(label_matrix: LabelMatrix, every: int) -> Agreements:
    """Count how often annotators say the same, looking at one row in so many."""
    n_annotators, n_classes = label_matrix.n_annotators, label_matrix.n_classes
    votes = label_matrix.one_hot[np.flatnonzero(sampled(every, label_matrix))]
    by_class = [votes[:, np.arange(n_annotators) * n_classes + number] for number in range(n_classes)]
    anything = reduce(add, by_class)
    return Agreements(
        shared=(anything.T @ anything).toarray(),
        same=reduce(add, (matrix.T @ matrix for matrix in by_class)).toarray(),
        said=np.asarray(votes.sum(axis=0)).reshape(n_annotators, n_classes),
    )


def voices_of(counts: Iterable[Agreements]) -> Codes | None:
    """Find the annotators who answer alike.

    Parameters
    ----------
    counts : iterable of Agreements
        Of each part of the label matrix.

    Returns
    -------
    (n_annotators,) int32 or None
        The first annotator of each one's group: oneself where nobody answers alike. None where nobody does at all.
    """
    total = reduce(add, counts)
    voices = np.arange(len(total.said), dtype=np.int32)
    if len(voices) < OUTSIDE + 2:
        return None
    pairs = _Pairs(total)
    for group in _clusters(pairs):
        # Those outside who were found to be one voice already count once.
        outside = (voices == np.arange(len(voices))) & ~np.isin(np.arange(len(voices)), group)
        if pairs.filled(group, np.flatnonzero(outside).astype(np.int32)) > FILLED:
            voices[group] = group.min()
    return voices if (voices != np.arange(len(voices))).any() else None


class _Pairs:
    """Agreement beyond chance of every two annotators, with its standard error."""

    def __init__(self, total: Agreements) -> None:
        self.comparable: Flags = total.shared >= FEWEST_SHARED
        np.fill_diagonal(self.comparable, val=False)
        often = total.said / np.maximum(total.said.sum(axis=1, keepdims=True), 1)
        room = np.maximum(1 - often @ often.T, SMALL)
        shared = np.maximum(total.shared, 1)
        agreed = total.same / shared
        self.kappa: Floats = np.where(self.comparable, 1 - (1 - agreed) / room, 0.0)
        self.error: Floats = np.sqrt(np.maximum(agreed * (1 - agreed), 0.25 / shared) / shared) / room

    def filled(self, group: Codes, outside: Codes) -> float:
        """Share of the room for agreement that the pairs of a group fill on the mean, at least; -1 if unknown."""
        outside = outside[self.comparable[np.ix_(outside, group)].all(axis=1)]
        inside, comparable = self.comparable[np.ix_(group, group)], self.comparable[np.ix_(outside, outside)]
        if len(outside) < OUTSIDE or not comparable.any() or inside.sum() < len(group) * (len(group) - 1):
            return -1.0
        kappa, error = self.kappa[np.ix_(outside, outside)], self.error[np.ix_(outside, outside)]
        truth, doubt = _one_factor(kappa, error, comparable)
        if doubt > UNSURE_SCALE:  # the others hardly agree: they cannot judge anybody
            return -1.0
        weight = truth / self.error[np.ix_(group, outside)] ** 2
        information = np.maximum(weight @ truth, SMALL)
        of_member = (weight * self.kappa[np.ix_(group, outside)]).sum(axis=1) / information
        margin = MARGIN * np.hypot(1 / np.sqrt(information), np.abs(of_member) * doubt)
        most = np.clip(of_member + margin, 0.0, 1.0)
        explained = np.outer(most, most)
        room = np.maximum(1 - explained, LEAST_ROOM)
        share = ((self.kappa[np.ix_(group, group)] - explained) / room)[inside]
        error_of_mean = (self.error[np.ix_(group, group)] / room)[inside].mean() / np.sqrt(len(group) - 1)
        return float(share.mean() - MARGIN * error_of_mean)


def _one_factor(kappa: Floats, error: Floats, comparable: Flags) -> tuple[Floats, float]:
    """Agreement of each with the truth, (n,), by least squares, and the relative standard error of its scale."""
    mean = max(float(kappa[comparable].mean()), SMALL)
    truth = np.full(len(kappa), np.sqrt(mean))
    for _ in range(50):
        squares = comparable @ truth**2
        fitted = np.clip((kappa * comparable) @ truth / np.maximum(squares, SMALL), 0.0, 1.0)
        truth = (truth + np.where(squares > 0, fitted, truth)) / 2
    n_pairs = comparable.sum() / 2
    return truth, float(np.sqrt((error[comparable] ** 2).sum() / 2) / n_pairs / 2 / max(mean, 1e-3))


def _clusters(pairs: _Pairs) -> Iterable[Codes]:
    """Groups of annotators who agree most with one another, the closest first; none that is not close at all.

    Two groups are as far apart as their members are on the mean (average linkage).
    """
    distance = 1 - np.clip(pairs.kappa, -1.0, 1.0)
    np.fill_diagonal(distance, np.inf)
    groups = [np.array([number]) for number in range(len(distance))]
    while distance.min() <= 1 - FILLED:
        first, second = np.divmod(np.argmin(distance), len(distance))
        sizes = [len(groups[first]), len(groups[second])]
        groups[first] = np.sort(np.concatenate([groups[first], groups[second]]))
        distance[first] = distance[:, first] = np.average(distance[[first, second]], axis=0, weights=sizes)
        distance[second] = distance[:, second] = np.inf
        if len(groups[first]) <= len(distance) - OUTSIDE:
            yield groups[first]
