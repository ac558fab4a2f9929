"""Subtypes: several kinds of items in a class, of which annotators make different mistakes.

Where some of the wrong items mislead many annotators in the same way, one confusion matrix for all items of a
class takes them for right ones. Here a class consists of up to `KINDS` kinds, and annotators have a row of rates
for each (EBCC: Y. Li, B. Rubinstein, T. Cohn, "Exploiting worker correlation for label aggregation in
crowdsourcing", ICML 2019), fitted by variational Bayes. Which class a kind is of is not taken from that fit, in
which a kind that began in the wrong class hardly ever leaves it, but from what the crowd says of its items and how
frequent the classes are: where the crowd is evenly divided over a kind, it is more probably of the frequent class.
"""

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.em import vote_shares
from consensus.core.model.latent_classes import LatentClasses
from consensus.core.model.log_gamma import digamma
from consensus.core.votes.label_matrix import LabelMatrix

KINDS = 10
"""Kinds of a class at most; those that the votes do not need stay empty."""

RIGHT, WRONG = 4.0, 1.0
"""Votes that the prior counts: right ones, and wrong ones of each kind."""

OF_KINDS = 0.1
"""Items that the prior counts of a class, shared out evenly among its kinds: most of them stay empty."""

ROUNDS = 60

AGREED, EVEN = 3.0, 0.5
"""Votes with a kind's shares that say which class it is of, and items of a kind taken for evenly divided."""

TINY = 1e-6


def fit_subtypes(label_matrix: LabelMatrix, by_hand: Floats, tolerance: float) -> LatentClasses:
    """Fit several kinds of items in each class, from a start at random that is always the same.

    Rows whose votes nobody can judge teach nothing.

    Parameters
    ----------
    label_matrix : LabelMatrix
    by_hand : (n_annotators, n_classes, n_classes) float64
        Confusion matrices of those whose trust is set by hand; NaN where they are learned.
    tolerance : float
        Rounds end where no class of a row becomes more or less probable by more.
    """
    n_classes, n_annotators = label_matrix.n_classes, label_matrix.n_annotators
    shares = _shares(label_matrix)
    random = np.random.default_rng(0)
    beliefs = shares[:, :, None] * random.dirichlet(np.ones(KINDS), size=shares.shape)
    possible = np.ones_like(shares)
    possible[label_matrix.gold] = label_matrix.possible
    with np.errstate(divide="ignore"):
        impossible = np.repeat(np.log(possible), KINDS, axis=1)
    informative = label_matrix.informative[:, None, None]
    of_class = np.maximum((shares * informative[:, 0]).sum(axis=0), TINY)
    pseudo_votes = np.where(np.eye(n_classes, dtype=bool), RIGHT, WRONG)[None, :, :, None]
    known_rates = by_hand.transpose(0, 2, 1)[:, :, :, None]
    learned = np.isnan(known_rates)
    for _ in range(ROUNDS):
        counted = beliefs * informative
        votes = (label_matrix.one_hot.T @ counted.reshape(len(counted), -1)).reshape(
            n_annotators, n_classes, n_classes, KINDS
        )
        votes += pseudo_votes
        items = counted.sum(axis=0)
        classes, kinds = of_class + items.sum(axis=1), items + OF_KINDS / KINDS
        log_rates = np.where(learned, _expected_log(votes, 1), np.log(known_rates))
        scores = label_matrix.one_hot @ log_rates.reshape(n_annotators * n_classes, -1)
        scores += (_expected_log(classes, 0)[:, None] + _expected_log(kinds, 1)).ravel() + impossible
        before = beliefs.sum(axis=2)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        beliefs = (scores / scores.sum(axis=1, keepdims=True)).reshape(beliefs.shape)
        if np.abs(beliefs.sum(axis=2) - before).max(initial=0.0) <= tolerance:
            break
    rates = np.where(learned, votes / votes.sum(axis=1, keepdims=True), known_rates)
    prevalence = classes[:, None] / classes.sum() * kinds / kinds.sum(axis=1, keepdims=True)
    truth = np.repeat(np.eye(n_classes), KINDS, axis=0)
    return LatentClasses(rates.reshape(n_annotators * n_classes, -1), prevalence.ravel(), truth)


def with_truth(subtypes: LatentClasses, label_matrix: LabelMatrix, correlation: float) -> LatentClasses:
    """Learn from what the crowd says of the items of a kind, and of all items, which class it is of."""
    beliefs = subtypes.beliefs(label_matrix, correlation) * label_matrix.informative[:, None]
    size = label_matrix.n_classes
    of_kind = beliefs.T @ _shares(label_matrix)
    shares = (of_kind + EVEN / size) / (beliefs.sum(axis=0) + EVEN)[:, None]
    truth = (of_kind.sum(axis=0) + EVEN / size) * shares**AGREED
    return LatentClasses(subtypes.rates, subtypes.prevalence, truth / truth.sum(axis=1, keepdims=True))


def _shares(label_matrix: LabelMatrix) -> Floats:
    """What the crowd says of each row, (n_rows, n_classes); where there is gold, what that says."""
    shares = vote_shares(label_matrix)
    gold = shares[label_matrix.gold] * label_matrix.possible + TINY * label_matrix.possible
    shares[label_matrix.gold] = gold / gold.sum(axis=1, keepdims=True)
    return shares


def _expected_log(counts: Floats, axis: int) -> Floats:
    return np.asarray(digamma(counts) - digamma(counts.sum(axis=axis, keepdims=True)))
