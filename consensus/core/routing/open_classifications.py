"""Where the classifications of one control stand after a run, and which of them are still open."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, Names, sums
from consensus.core.decide.scoring import Scored
from consensus.core.votes.votes import Choice

CONFIRMED, REJECTED = ("AllConfirmed", "Discovered"), ("MisClassified",)
"""Reports that settle a classification."""
NO_VOTES = "NoVotes"
BY_LOWER_BOUND = frozenset({"label-ai", "majority"})
"""Policies that reject by the confidence alone."""


@dataclass(frozen=True, eq=False)
class StoredClassifications:
    """The classifications of one control, as a run stored them, in columns.

    Attributes
    ----------
    task, label : (n,) int32
    given : (n,) bool
    yes, no : (n,) float64
        Votes.
    confidence, upper, posterior : (n,) float64
        Lower and upper bound, and the probability itself.
    report : (n,) object
    one_of_many : bool
        Whether one label of a task is right; a multiple choice and a verification ask of every label by itself.
    """

    task: Codes
    label: Codes
    given: Flags
    yes: Floats
    no: Floats
    confidence: Floats
    upper: Floats
    posterior: Floats
    report: Names
    n_labels: int
    one_of_many: bool

    def __len__(self) -> int:
        return len(self.task)


def standing_of(scored: Scored, choice: Choice) -> StoredClassifications:
    """Return where the classifications of one control stand in the run that has scored them."""
    rows = scored.classifications
    return StoredClassifications(
        task=rows.task,
        label=rows.label,
        given=rows.given,
        yes=scored.counts.yes,
        no=scored.counts.no,
        confidence=scored.confidence,
        upper=scored.upper,
        posterior=scored.posterior,
        report=scored.report,
        n_labels=rows.n_labels,
        one_of_many=choice == "single" and rows.n_labels > 1,
    )


def open_rows(
    stored: StoredClassifications, reject: float, *, by_lower_bound: bool = False, fewest_votes: float = 0
) -> Flags:
    """Return which classifications are asked and not decided.

    A label is asked where the task came with it, somebody chose it, or report NoVotes wants it; of a task where
    nothing is asked yet, all labels are while they have too few votes. A label is decided where somebody has
    settled it, and where a report confirms or rejects it. No report rejects a label that its task did not come
    with: that is decided as the policy would decide it on a given label. Of a single choice one confirmed label
    decides all of the task.

    Parameters
    ----------
    reject : float
        The threshold of the run's policy.
    by_lower_bound : bool
        Whether the policy rejects what has a confidence below `reject`, as `label-ai` does; the others reject what
        has an upper bound of at most `reject`.
    fewest_votes : float
        Votes of yes and no below which nothing is decided.

    Returns
    -------
    (n,) bool
    """
    confirmed = np.isin(stored.report, CONFIRMED)
    bound = stored.confidence if by_lower_bound else stored.upper
    turned_down = (bound < reject) if by_lower_bound else (bound <= reject)
    answered, n_tasks = stored.yes + stored.no, int(stored.task.max(initial=-1)) + 1
    asked = stored.given | (stored.yes > 0) | (stored.report == NO_VOTES)
    silent = sums(stored.task, asked.astype(np.float64), n_tasks)[stored.task] == 0
    asked |= silent & (answered < max(fewest_votes, 1))
    turned_down &= ~stored.given & (answered > 0) & (answered >= fewest_votes)
    settled = (stored.confidence == stored.upper) & np.isin(stored.upper, (0.0, 1.0))  # no doubt is left
    decided = confirmed | np.isin(stored.report, REJECTED) | turned_down | settled
    if stored.one_of_many:
        decided |= sums(stored.task, confirmed.astype(np.float64), n_tasks)[stored.task] > 0
    return np.asarray(asked & ~decided, dtype=np.bool_)
