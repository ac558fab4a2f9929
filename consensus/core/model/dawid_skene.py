"""Dawid and Skene's own estimate: maximum likelihood, without a prior and without dependence.

A. P. Dawid, A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied
Statistics 28 (1979), 20-28. doi:10.2307/2346806
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import Rates, rates_of
from consensus.core.model.em import Found, Over, Sums, settle, shares_of, sums_of, total
from consensus.core.model.trust import Learned, sum_up
from consensus.core.votes.label_matrix import Items

TOLERANCE, TINY = 1e-5, 1e-10


def learn_plainly(over: Over, fixed_trust: Floats) -> Learned:
    """Learn a confusion matrix per annotator from its own votes alone.

    There is no other start than the votes' shares: they define the estimate.

    Parameters
    ----------
    over : callable
        Runs a function over the parts of the items.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    """

    def over_unguarded(function: Callable[[Items], Found]) -> Iterable[Found]:
        return over(lambda items: function(items.as_published))

    def refine(sums: Sums, strength: float) -> Rates:
        shrunk = rates_of(sums.table, sums.items, strength, fixed_trust)
        table = (sums.table + TINY) / (sums.table + TINY).sum(axis=2, keepdims=True)
        by_hand = ~np.isnan(fixed_trust)
        table[by_hand] = shrunk.table[by_hand]
        prevalence = (sums.items + TINY) / (sums.items + TINY).sum()
        return replace(shrunk, table=table, prevalence=prevalence)

    first = refine(total(over_unguarded(lambda items: sums_of(items, shares_of(items)))), 1.0)
    rates = settle(over_unguarded, refine, first, TOLERANCE)[0]
    return sum_up(rates, 0.0, fixed_trust)
