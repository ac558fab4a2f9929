"""How often suggestions are wrong: of those whose truth is known, at or above a score, with an interval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, Keys

LEVEL = 0.95
"""Of the two-sided intervals."""
LINES = 8
"""Thresholds that are tried, from the strictest on."""
FORGIVEN = 1
"""Wrong suggestions that must be affordable at the strictest threshold that is tried."""
MOST_SEARCHED = 10**12


@dataclass(frozen=True, eq=False)
class Judged:
    """Suggestions whose truth is known or believed, made before anybody had annotated their task.

    Attributes
    ----------
    group : (n,) int32
        What is suggested: the label, or the labels together.
    score : (n,) float64
    wrong : (n,) float64
        0 or 1 where somebody has decided; else the posterior probability that the suggestion is wrong.
    decided : (n,) bool
        Whether gold, a reviewer or another decision says so; else the votes do.
    """

    group: Codes
    score: Floats
    wrong: Floats
    decided: Flags

    def __len__(self) -> int:
        return len(self.group)

    def where(self, rows: Flags | Keys | slice) -> "Judged":
        """Return some of them."""
        return Judged(self.group[rows], self.score[rows], self.wrong[rows], self.decided[rows])

    def by_group(self, n_groups: int) -> list["Judged"]:
        """Return those of each group, in descending score."""
        order = np.lexsort((-self.score, self.group))
        bounds = np.searchsorted(self.group[order], np.arange(n_groups + 1))
        return [self.where(order[first:end]) for first, end in pairwise(bounds.tolist())]


@dataclass(frozen=True)
class Expectation:
    """The share of suggestions that is wrong.

    Attributes
    ----------
    n : int
        Suggestions that it rests on.
    decided : int
        Those among them that somebody has decided; of the others the votes are believed.
    wrong : float
        How many of them are wrong.
    lower, upper : float
        Bounds of the share.
    """

    n: int
    decided: int
    wrong: float
    lower: float
    upper: float

    @property
    def share(self) -> float:
        """The share itself; NaN where nothing is known."""
        return self.wrong / self.n if self.n else float("nan")


@dataclass(frozen=True)
class Threshold:
    """From which score on suggestions of a group may be accepted.

    Attributes
    ----------
    score : float or None
        None where nothing can be promised.
    expected : Expectation
        At that score; where nothing can be promised, of all that is known.
    groups : tuple of int
        Those it is promised of as a whole: the group alone, or several that are too small alone.
    """

    score: float | None
    expected: Expectation
    groups: tuple[int, ...]


def share_interval(wrong: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share; sums of probabilities are allowed as counts.

    References
    ----------
    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934), 404-413. doi:10.1093/biomet/26.4.404

    Examples
    --------
    >>> [round(bound, 4) for bound in share_interval(0, 10)]
    [0.0, 0.3085]
    >>> share_interval(0, 0)
    (0.0, 1.0)
    """
    from scipy.special import betaincinv  # noqa: PLC0415  # slow to load

    tail = (1 - level) / 2
    lower = float(betaincinv(wrong, n - wrong + 1, tail)) if wrong > 0 else 0.0
    upper = float(betaincinv(wrong + 1, n - wrong, 1 - tail)) if wrong < n else 1.0
    return lower, upper


def expectation(judged: Judged) -> Expectation:
    """Return what is known of some suggestions as a whole.

    Examples
    --------
    >>> zeros = np.zeros(4)
    >>> judged = Judged(zeros.astype(np.int32), zeros + 0.5, np.array([0, 1, 0, 0.5]), zeros < 1)
    >>> expectation(judged).share
    0.375
    """
    n, wrong = len(judged), float(judged.wrong.sum())
    return Expectation(n, int(judged.decided.sum()), wrong, *share_interval(wrong, n))


def thresholds_for(judged: Judged, n_groups: int, precision: float) -> list[Threshold]:
    """Find for each group the lowest score from which on the precision is at least what is asked for.

    The upper bound of the share wrong, at `LEVEL` two-sided, is at most 1 - `precision`. Thresholds are tried from
    the strictest on, until the first that fails: they depend on the scores alone, so that trying several takes
    nothing from the level (fixed-sequence testing, as in Learn then Test). Where enough suggestions are decided to
    promise it, they alone count: a model that is right against uncertain votes looks worse than it is. Groups that
    are too small alone are taken together; the promise then is about all of them as a whole.

    Parameters
    ----------
    precision : float
        In (0, 1).

    Returns
    -------
    list of Threshold
        One a group.

    References
    ----------
    A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan and L. Lei, "Learn then Test: calibrating predictive
    algorithms to achieve risk control", 2021. arXiv:2110.01052
    """
    alone = {group: _lowest(own, precision, (group,)) for group, own in enumerate(judged.by_group(n_groups))}
    small = tuple(group for group, threshold in alone.items() if threshold.score is None)
    if len(small) > 1:
        together = _lowest(judged.where(np.isin(judged.group, small)), precision, small)
        if together.score is not None:
            alone |= dict.fromkeys(small, together)
    return list(alone.values())


@lru_cache(maxsize=1024)
def fewest_judged(precision: float, wrong: float = 0) -> int:
    """Return how many judged suggestions promise a precision where so many of them are wrong.

    Examples
    --------
    >>> fewest_judged(0.95), fewest_judged(0.98)
    (72, 183)
    >>> fewest_judged(0.999999)
    3688878
    """
    low, high = int(wrong), MOST_SEARCHED
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share_interval(wrong, middle)[1] <= 1 - precision else (middle, high)
    return high


def conformal_share(wrong_gold: int, gold: int, candidates: int, accepted: int) -> float:
    """Return what the expected share wrong is at most, over the random draw of gold: of conformal selection.

    Parameters
    ----------
    wrong_gold : int
        Gold tasks whose suggestion would be accepted and is wrong.
    gold : int
        Gold tasks with a suggestion.
    candidates, accepted : int
        Tasks that are not gold with a suggestion, and those that would be accepted.

    References
    ----------
    Y. Jin and E. J. Candès, "Selection by prediction with conformal p-values", Journal of Machine Learning
    Research 24 (2023), no. 244. https://jmlr.org/papers/v24/22-1176.html

    Examples
    --------
    >>> conformal_share(0, 99, 1000, 500)
    0.02
    """
    return min((1 + wrong_gold) * candidates / ((gold + 1) * accepted), 1.0) if accepted else 0.0


def _lowest(judged: Judged, precision: float, groups: Sequence[int]) -> Threshold:
    if judged.decided.sum() >= fewest_judged(precision):
        judged = judged.where(judged.decided)  # what votes are believed to say makes noise only
    passed, expected = None, expectation(judged)
    for line in _lines(judged.score, precision):
        above = expectation(judged.where(judged.score >= line))
        if above.upper > 1 - precision:
            break
        passed, expected = line, above
    return Threshold(passed, expected, tuple(groups))


def _lines(score: Floats, precision: float) -> Iterator[float]:
    """Yield scores to be tried, from the highest on; none where there is too little for any."""
    ordered = np.sort(score)[::-1]
    if len(ordered) < fewest_judged(precision):
        return
    first = min(fewest_judged(precision, FORGIVEN), len(ordered))
    places = np.unique(np.linspace(first, len(ordered), LINES).astype(int)) - 1
    yield from dict.fromkeys(ordered[places].tolist())
