"""Prototypes: a few confusion matrices that all annotators share, each annotator a mixture of them.

With few votes an annotator, and with many classes, a mixture of shared matrices is better known than a matrix of
one's own. That annotators share prototypes is the idea of PTBCC (arXiv:2508.02123, 2025); here each vote comes
from one of the prototypes, and all is fitted by expectation-maximisation on the table of expected counts.
"""

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import LOWEST, ConfusionMatrices
from consensus.core.model.em import ExpectedCounts, e_step, expected_counts, vote_shares
from consensus.core.votes.label_matrix import LabelMatrix

PROTOTYPES = 6

RIGHT, VOTES = 0.7, 1.0
"""Share of right votes that the prior of a prototype's row expects, and how many votes it weighs."""

OWN, OF_ANNOTATOR = 0.6, 0.5
"""How much of an annotator is one prototype at first, and votes that the prior gives to each of them."""

INNER_ROUNDS, ROUNDS = 3, 100
"""Rounds of the mixture in each M step, and most rounds in all."""

TINY = 1e-300


def fit_prototypes(label_matrix: LabelMatrix, by_hand: Floats, tolerance: float) -> ConfusionMatrices:
    """Fit the prototypes, and each annotator's share in them, starting from the votes' shares.

    Parameters
    ----------
    label_matrix : LabelMatrix
    by_hand : (n_annotators, n_classes, n_classes) float64
        Confusion matrices of those whose trust is set by hand; NaN where they are learned.
    tolerance : float
        Rounds end where no rate moves by more.
    """
    counts = expected_counts(label_matrix, vote_shares(label_matrix))
    prototypes, mixture = _start(counts.table)
    last: Floats = np.zeros(1)
    for _ in range(ROUNDS):
        prototypes, mixture = _mix(counts.table, prototypes, mixture)
        mixed = np.tensordot(mixture, prototypes, axes=1)
        confusion = _confusion(np.where(np.isnan(by_hand), mixed, by_hand), counts)
        if np.abs(confusion.table - last).max(initial=0.0) <= tolerance:
            break
        last = confusion.table
        counts = expected_counts(label_matrix, e_step(label_matrix, confusion))
    return confusion


def _start(table: Floats) -> tuple[Floats, Floats]:
    """Group the annotators by how often they are right, as many votes in each group."""
    n_classes = table.shape[1]
    votes = table.sum(axis=(1, 2)) + 3
    order = np.argsort(-(np.einsum("ajj->a", table) + 2) / votes, kind="stable")
    group = np.empty(len(table), dtype=np.intp)
    rank = np.cumsum(votes[order]) / votes.sum()
    group[order] = np.minimum((rank * PROTOTYPES).astype(np.intp), PROTOTYPES - 1)
    together = np.array([table[group == number].sum(axis=0) for number in range(PROTOTYPES)])
    mixture = np.full((len(table), PROTOTYPES), (1 - OWN) / PROTOTYPES)
    mixture[np.arange(len(table)), group] += OWN
    return _normalised(together + RIGHT * np.eye(n_classes) + (1 - RIGHT) / n_classes), mixture


def _mix(table: Floats, prototypes: Floats, mixture: Floats) -> tuple[Floats, Floats]:
    """Share out the expected counts among the prototypes, and learn these and the mixtures from that."""
    n_classes = table.shape[1]
    wrong = (1 - RIGHT) / max(n_classes - 1, 1)
    prior = VOTES * np.where(np.eye(n_classes, dtype=bool), RIGHT, wrong)
    for _ in range(INNER_ROUNDS):
        share = mixture[:, :, None, None] * prototypes
        share *= (table / np.maximum(share.sum(axis=1), TINY))[:, None]
        prototypes = _normalised(share.sum(axis=0) + prior)
        mixture = _normalised(share.sum(axis=(2, 3)) + OF_ANNOTATOR)
    return prototypes, mixture


def _confusion(table: Floats, counts: ExpectedCounts) -> ConfusionMatrices:
    n_classes = table.shape[1]
    table = _normalised(np.maximum(table, LOWEST / max(n_classes - 1, 1)))
    prevalence = (counts.rows + 1) / (counts.rows.sum() + n_classes)
    accuracy = np.einsum("ajj->a", table) / n_classes
    return ConfusionMatrices(table, prevalence, accuracy, counts.table.sum(axis=2), OF_ANNOTATOR, OF_ANNOTATOR)


def _normalised(table: Floats) -> Floats:
    return np.asarray(table / table.sum(axis=-1, keepdims=True))
