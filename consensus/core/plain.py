"""Dawid and Skene's own estimate: maximum likelihood, without a prior and without dependence.

A. P. Dawid, A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied
Statistics 28 (1979), 20-28. doi:10.2307/2346806
"""

from dataclasses import replace

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.items import Items
from consensus.core.learned import Learned, sum_up
from consensus.core.learning import Sums, serially, settle, shares_of, sums_of
from consensus.core.rates import Rates, rates_of

TOLERANCE, TINY = 1e-5, 1e-10


def learn_plainly(items: Items, fixed_trust: Floats, _: Rates | None = None) -> Learned:
    """Learn a confusion matrix per annotator from its own votes alone.

    Parameters
    ----------
    items : Items
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    _ : Rates, optional
        Where to start has no effect: the estimate is defined by its start from the votes' shares.
    """
    items = replace(items, all_judged=True)

    def refine(sums: Sums, strength: float) -> Rates:
        shrunk = rates_of(sums.table, sums.items, strength, fixed_trust)
        table = (sums.table + TINY) / (sums.table + TINY).sum(axis=2, keepdims=True)
        by_hand = ~np.isnan(fixed_trust)
        table[by_hand] = shrunk.table[by_hand]
        prevalence = (sums.items + TINY) / (sums.items + TINY).sum()
        return replace(shrunk, table=table, prevalence=prevalence)

    first = refine(sums_of(items, shares_of(items)), 1.0)
    rates = settle(serially([items]), refine, first, TOLERANCE)[0]
    return sum_up(rates, 0.0, fixed_trust)
