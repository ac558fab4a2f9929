"""Confusion matrices: how often each annotator says each class where another one is true.

A row of a matrix is drawn towards what is expected of the annotator: the annotator's own accuracy, moved by how
much easier or harder than others that class is to everybody, and the mistakes that all annotators make on it. The
annotator's own accuracy is in turn drawn towards the population's (`consensus.core.model.empirical_bayes`). The
more classes there are, the less the class moves it: with two, how often everybody errs on each is well known; with
many, a confusion that annotators share would soon pass for the truth.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.empirical_bayes import population_of
from consensus.core.model.log_gamma import log_gamma
from consensus.core.model.minimum import minimum_between

EXPECTED_ACCURACY = 0.75
"""What to expect of an annotator before any vote; it weighs two votes."""

CLASS_VOTES, MISTAKES = 10.0, 5.0
"""Votes that the population's accuracy weighs in a class's, and evenly spread mistakes in those on a class."""

FEWEST, MOST = 3.0, 200.0
"""Bounds of a row's prior strength in votes."""

MIDDLE, UNDECIDED = 4.0, 0.01
"""The strength where votes say nothing of it, and the little that its squared distance in logs costs. Where every
row has one vote all strengths are as likely, and rounding must not choose between them."""

LOWEST = 1e-3
"""No accuracy is closer to 0 or 1, and no class is ever taken to be impossible to say."""


@dataclass(frozen=True, eq=False)
class ConfusionMatrices:
    """A confusion matrix per annotator, and how frequent each class is.

    Attributes
    ----------
    table : (n_annotators, n_classes, n_classes) float64
        [annotator, true class, said class]; rows sum to 1.
    prevalence : (n_classes,) float64
        Share of the rows of each class.
    accuracy : (n_annotators,) float64
        Share of an annotator's votes that are right.
    evidence : (n_annotators, n_classes) float64
        Expected number of informative votes on rows of each true class.
    strength, own_strength : float
        Votes that the prior weighs in a row of the table, and in an annotator's own accuracy.
    """

    table: Floats
    prevalence: Floats
    accuracy: Floats
    evidence: Floats
    strength: float
    own_strength: float

    @property
    def by_column(self) -> Floats:
        """(n_annotators * n_classes, n_classes): rates by column of `LabelMatrix.one_hot`, then true class."""
        n_annotators, n_classes, _ = self.table.shape
        return np.ascontiguousarray(self.table.transpose(0, 2, 1)).reshape(n_annotators * n_classes, n_classes)

    @property
    def without_last(self) -> "ConfusionMatrices":
        """Those of all but the last voter."""
        return replace(self, table=self.table[:-1], accuracy=self.accuracy[:-1], evidence=self.evidence[:-1])

    @cached_property
    def log_rates(self) -> Floats:
        """(n_annotators * n_classes * n_classes,): logs of the rates by column of `Support.votes`."""
        return np.log(self.by_column).ravel()


def expected_rows(counts: Floats) -> tuple[Floats, Floats, float]:
    """Return what to expect of each row before its own votes are looked at.

    Parameters
    ----------
    counts : (n_annotators, n_classes, n_classes) float64
        Expected number of informative votes: [annotator, true class, said class].

    Returns
    -------
    rows : (n_annotators, n_classes, n_classes) float64
    accuracy : (n_annotators,) float64
    own_strength : float
    """
    n_classes = counts.shape[1]
    hits, votes = np.einsum("ajj->a", counts), counts.sum(axis=(1, 2))
    population = population_of(hits, votes, expected=EXPECTED_ACCURACY)
    accuracy = population.shrink(hits, votes)
    together = counts.sum(axis=0)
    of_class = (np.diag(together) + CLASS_VOTES * population.mean) / (together.sum(axis=1) + CLASS_VOTES)
    easier = (_logit(of_class) - _logit(population.mean)) / max(n_classes - 1, 1)
    right = 1 / (1 + np.exp(-_logit(accuracy)[:, None] - easier))
    off_diagonal = 1 - np.eye(n_classes)
    mistakes = together * off_diagonal + MISTAKES * off_diagonal / max(n_classes - 1, 1)
    mistakes /= np.maximum(mistakes.sum(axis=1, keepdims=True), LOWEST)
    rows = (1 - right)[:, :, None] * mistakes
    rows[:, np.arange(n_classes), np.arange(n_classes)] = right
    return rows, accuracy, population.strength


def strength_of(counts: Floats, expected: Floats) -> float:
    """Learn how many votes what is expected of a row weighs, by maximal Dirichlet-multinomial likelihood.

    Returns
    -------
    float
        As the counts show it, from `FEWEST` to `MOST`; see `loosened`.

    References
    ----------
    T. P. Minka, "Estimating a Dirichlet distribution", technical report, MIT, 2000.
    """
    votes = counts.sum(axis=2)

    def surprise(log_strength: float) -> float:
        strength = np.exp(log_strength)
        prior = strength * expected
        rows = log_gamma(strength) - log_gamma(votes + strength)
        likelihood = float(rows.sum() + (log_gamma(counts + prior) - log_gamma(prior)).sum())
        return float(UNDECIDED * (log_strength - np.log(MIDDLE)) ** 2 - likelihood)

    return float(np.exp(minimum_between(surprise, float(np.log(FEWEST)), float(np.log(MOST)), 0.02)))


def loosened(strength: float) -> float:
    """Allow for what counts do not show of how annotators differ from what is expected of them.

    What is expected was learned from the same votes, and the counts follow from beliefs that it shaped: rows look
    more as expected than they are. A strength k leaves rows an overdispersion of 1 / (1 + k); as much again is
    assumed not to show. Without this, a stiff prior takes the mistakes that annotators share for the truth.

    Examples
    --------
    >>> round(loosened(9.0), 2)  # an overdispersion of 0.1 that shows, 1 - 0.9 ** 2 in all
    4.26
    """
    shown = 1 / (1 + strength)
    return max(1 / (1 - (1 - shown) ** 2) - 1, FEWEST)


def m_step(counts: Floats, rows_of_class: Floats, strength: float, fixed_trust: Floats) -> ConfusionMatrices:
    """Turn expected counts into confusion matrices.

    Parameters
    ----------
    counts : (n_annotators, n_classes, n_classes) float64
        [annotator, true class, said class].
    rows_of_class : (n_classes,) float64
        Expected number of rows of the label matrix of each class.
    strength : float
        Votes that the prior of a row weighs.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    """
    n_classes = counts.shape[1]
    table, accuracy, own_strength = expected_rows(counts)
    evidence = counts @ np.ones(n_classes)  # quicker than a sum of few
    table *= strength
    table += counts
    table /= (evidence + strength)[:, :, None]
    by_hand = np.flatnonzero(~np.isnan(fixed_trust))
    accuracy[by_hand] = np.minimum((1 + fixed_trust[by_hand] * (n_classes - 1)) / n_classes, 1 - LOWEST)
    table[by_hand] = ((1 - accuracy[by_hand]) / max(n_classes - 1, 1))[:, None, None]
    diagonal = np.arange(n_classes)
    table[by_hand[:, None], diagonal, diagonal] = accuracy[by_hand, None]
    np.maximum(table, LOWEST / max(n_classes - 1, 1), out=table)
    table /= table.sum(axis=2, keepdims=True)
    prevalence = (rows_of_class + 1) / (rows_of_class.sum() + n_classes)
    return ConfusionMatrices(table, prevalence, accuracy, evidence, strength, own_strength)


def _logit(share: Floats | float) -> Floats:
    inside = np.clip(share, LOWEST, 1 - LOWEST)
    return np.asarray(np.log(inside / (1 - inside)))
