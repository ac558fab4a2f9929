"""Speed: how long annotators take, against the others."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Floats
from consensus.core.people.poisson_binomial import Entries, high_tail

TOO_FAST = 1 / 3
"""Share of the others' time below which an annotation is called fast."""
FEWEST_TIMES = 3
"""Annotations from which an annotator counts among the others."""


@dataclass(frozen=True, eq=False)
class Speed:
    """How fast annotators are; columns of (n_annotators,).

    Attributes
    ----------
    timed : int64
        Annotations whose lead time is known.
    seconds : float64
        Median lead time; NaN where none is known.
    others : float64
        Median of the other annotators' medians, so that nobody counts more for having more annotations; NaN
        where no other annotator has `FEWEST_TIMES` of them.
    fast : int64
        Annotations that took less than `TOO_FAST` of the others' time.
    p_value : float64
        Of "half of the annotations at most are as fast as that"; NaN where there is nothing to compare.
    """

    timed: Codes
    seconds: Floats
    others: Floats
    fast: Codes
    p_value: Floats


def find_speed(annotator: Codes, lead_time: Floats, n_annotators: int) -> Speed:
    """Compare the lead times of annotators, by medians, which a pause over lunch does not move.

    Parameters
    ----------
    annotator : (n_annotations,) int32
    lead_time : (n_annotations,) float64
        Seconds; NaN, zero and less are unknown.

    References
    ----------
    D. J. Leiner, "Too fast, too straight, too weird: non-reactive indicators for meaningless data in internet
    surveys", Survey Research Methods 13 (2019), 229-248. doi:10.18148/srm/2019.v13i3.7403: times relative to the
    median of the others tell best who does not read.
    """
    is_timed = np.isfinite(lead_time) & (lead_time > 0)
    who, seconds = annotator[is_timed], lead_time[is_timed]
    timed = np.bincount(who, minlength=n_annotators)
    medians = _medians(who, seconds, n_annotators)
    other_median = _median_of_others(np.where(timed >= FEWEST_TIMES, medians, np.nan))
    with np.errstate(invalid="ignore"):
        is_fast = seconds < TOO_FAST * other_median[who]
    entries = Entries(np.arange(len(who)), np.ones(len(who)), np.full(len(who), 0.5))
    p_value = high_tail(who, is_fast.astype(np.float64), entries, n_annotators, step=1)
    comparable = (timed > 0) & ~np.isnan(other_median)
    return Speed(
        timed=timed.astype(np.int32),
        seconds=medians,
        others=other_median,
        fast=np.bincount(who, is_fast, minlength=n_annotators).astype(np.int32),
        p_value=np.where(comparable, p_value, np.nan),
    )


def _medians(group: Codes, values: Floats, n_groups: int) -> Floats:
    """(n_groups,): median of each group; NaN where it is empty."""
    order = np.lexsort((values, group))
    size = np.bincount(group, minlength=n_groups)
    start = np.cumsum(size) - size
    result = np.full(n_groups, np.nan)
    some = size > 0
    low, high = (start + (size - 1) // 2)[some], (start + size // 2)[some]
    result[some] = (values[order[low]] + values[order[high]]) / 2
    return result


def _median_of_others(medians: Floats) -> Floats:
    """(n,): median of all values but one's own."""
    ordered = np.sort(medians[~np.isnan(medians)])
    n = len(ordered)
    if n == 0:
        return np.full(len(medians), np.nan)
    rank = np.where(np.isnan(medians), n, np.searchsorted(ordered, medians))  # n: nothing is left out
    left = np.where(np.isnan(medians), n, n - 1)

    def at(position: Codes) -> Floats:
        shifted = np.where(position >= rank, position + 1, position)
        return np.asarray(ordered[np.clip(shifted, 0, n - 1)], dtype=np.float64)

    return np.where(left > 0, (at((left - 1) // 2) + at(left // 2)) / 2, np.nan)
