"""Dawid and Skene's own estimate: maximum likelihood, without a prior and without dependence.

A. P. Dawid, A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied
Statistics 28 (1979), 20-28. doi:10.2307/2346806
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import ConfusionMatrices, m_step
from consensus.core.model.em import (
    ExpectedCounts,
    MapMatrices,
    Result,
    expected_counts,
    iterate,
    total,
    vote_shares,
)
from consensus.core.votes.label_matrix import LabelMatrix

TOLERANCE, TINY = 1e-5, 1e-10


def maximum_likelihood(map_matrices: MapMatrices, fixed_trust: Floats) -> ConfusionMatrices:
    """Fit a confusion matrix per annotator to its own votes alone.

    There is no other start than the votes' shares: they define the estimate.

    Parameters
    ----------
    map_matrices : callable
        Maps all parts of the label matrix.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    """

    def map_unguarded(function: Callable[[LabelMatrix], Result]) -> Iterable[Result]:
        return map_matrices(lambda block: function(block.as_published))

    def maximise(counts: ExpectedCounts, strength: float) -> ConfusionMatrices:
        shrunk = m_step(counts.table, counts.rows, strength, fixed_trust)
        table = (counts.table + TINY) / (counts.table + TINY).sum(axis=2, keepdims=True)
        by_hand = ~np.isnan(fixed_trust)
        table[by_hand] = shrunk.table[by_hand]
        prevalence = (counts.rows + TINY) / (counts.rows + TINY).sum()
        return replace(shrunk, table=table, prevalence=prevalence)

    first = maximise(total(map_unguarded(lambda block: expected_counts(block, vote_shares(block)))), 1.0)
    return iterate(map_unguarded, maximise, first, TOLERANCE)[0]
