"""Where the classifications of one control stand after a run, and which of them are still open."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, Names, sums

CONFIRMED, REJECTED = ("AllConfirmed", "Discovered"), ("MisClassified",)
"""Reports that settle a classification."""
NO_VOTES = "NoVotes"
Z = 1.96
TOLERANCE = 1e-3
MOST = 0.9


@dataclass(frozen=True, eq=False)
class Standing:
    """The classifications of one control, as a run stored them, in columns.

    Attributes
    ----------
    task, label : (n,) int32
    given : (n,) bool
    yes, no : (n,) float64
        Votes.
    confidence, posterior : (n,) float64
    report : (n,) object
    n_labels : int
    """

    task: Codes
    label: Codes
    given: Flags
    yes: Floats
    no: Floats
    confidence: Floats
    posterior: Floats
    report: Names
    n_labels: int

    def __len__(self) -> int:
        return len(self.task)

    @property
    def one_of_many(self) -> bool:
        """Whether one label of a task is right: then the posterior of a task that has votes adds up to 1.

        A multiple choice and a verification ask of every label by itself, and nothing makes those sums 1.
        """
        n_tasks = int(self.task.max(initial=-1)) + 1
        size = np.bincount(self.task, minlength=n_tasks)
        voted = sums(self.task, self.yes + self.no, n_tasks) > 0
        whole = np.abs(sums(self.task, self.posterior, n_tasks) - 1) < TOLERANCE
        return self.n_labels > 1 and bool(voted.any()) and bool(((size > 1) & whole)[voted].mean() >= MOST)


def open_rows(
    standing: Standing, reject: float, *, by_lower_bound: bool = False, fewest_votes: float = 0
) -> Flags:
    """Tell which classifications are asked and not decided.

    A label is asked where the task came with it, somebody chose it, or report NoVotes wants it; of a task where
    nothing is asked yet, all labels are while they have too few votes. A label is decided where a report confirms
    or rejects it. No report rejects a label that its task did not come with: that is
    decided as the policy would decide it on a given label. Of a single choice one confirmed label decides all of
    the task.

    Parameters
    ----------
    standing : Standing
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
    confirmed = np.isin(standing.report, CONFIRMED)
    bound = standing.confidence if by_lower_bound else upper_bound(standing.posterior, standing.confidence)
    turned_down = (bound < reject) if by_lower_bound else (bound <= reject)
    answered, n_tasks = standing.yes + standing.no, int(standing.task.max(initial=-1)) + 1
    asked = standing.given | (standing.yes > 0) | (standing.report == NO_VOTES)
    silent = sums(standing.task, asked.astype(np.float64), n_tasks)[standing.task] == 0
    asked |= silent & (answered < max(fewest_votes, 1))
    turned_down &= ~standing.given & (answered > 0) & (answered >= fewest_votes)
    decided = confirmed | np.isin(standing.report, REJECTED) | turned_down
    if standing.one_of_many:
        decided |= sums(standing.task, confirmed.astype(np.float64), n_tasks)[standing.task] > 0
    return np.asarray(asked & ~decided, dtype=np.bool_)


def upper_bound(posterior: Floats, lower: Floats) -> Floats:
    """Upper bound of the Wilson interval whose share and lower bound are known.

    Both bounds b solve (b - share)^2 n = z^2 b (1 - b) (E. B. Wilson, JASA 22 (1927), 209-212,
    doi:10.1080/01621459.1927.10502953): the lower one gives n, and n the upper one.

    Parameters
    ----------
    posterior : (n,) float64
        The share, in [0, 1].
    lower : (n,) float64
        The confidence. Where it is not below the share, so that no interval can be told, the bound is 1.

    Examples
    --------
    >>> upper_bound(np.array([0.5, 0.02]), np.array([0.25, 0.001])).round(3).tolist()
    [0.75, 0.294]
    """
    apart = posterior - lower
    known = (apart > 0) & (lower > 0)
    per_vote = np.where(known, apart, 1.0) ** 2 / np.where(known, lower * (1 - lower), 1.0)  # z^2 / n
    middle = (posterior + per_vote / 2) / (1 + per_vote)
    return np.where(known, np.clip(2 * middle - lower, 0.0, 1.0), 1.0)
