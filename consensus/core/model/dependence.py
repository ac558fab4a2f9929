"""Dependence: what many votes are worth where annotators share their mistakes.

Two accounts of the votes on an item are taken for equally credible, and the posterior is the mean of theirs.

*Independent mistakes, up to a correlation.* The item's n votes are worth n / (1 + (n - 1) r) independent ones (the
design effect: L. Kish, *Survey Sampling*, Wiley 1965, section 5.4), so the sum of the votes' log-likelihoods is
divided by 1 + (n - 1) r. How well the other votes then predict each vote shows one correlation r'
(`correlation_of`). Mistakes that all annotators share leave no trace in the votes; as much of them is assumed as
of those that do: 1 - r = (1 - r')^2. Neither can votes tell a class that is frequent from one that everybody takes
others for, so the log of the learned prevalence counts by half.

*Shared perception.* What the item looks like to the crowd is what its votes' shares say, and the truth is one more
draw from it: (trust-weighted votes + an even vote) / (their sum + 1), after W. Perks, "Some observations on
inverse probability", Journal of the Institute of Actuaries 73 (1947), 285-334, doi:10.1017/S0020268100012270.
"""

from collections.abc import Iterable

import numpy as np

from consensus.core.arrays import Flags, Floats
from consensus.core.model.confusion_matrices import Rates
from consensus.core.model.em import against_first, scores_of
from consensus.core.votes.label_matrix import Items, softmax

PREVALENCE = 0.5
"""How much of the log of the learned prevalence counts."""

EVEN_VOTES = 1.0
"""Votes, spread evenly over the classes, that the shares of an item's votes start from."""

SHARED = 0.5
"""How credible the account of shared perception is."""

GRID: Floats = np.array([0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 0.9])
"""Correlations that are tried."""

USUAL = 0.15
"""A correlation to expect before any vote; it weighs as much as what `PSEUDO_VOTES` votes would say."""

PSEUDO_VOTES = 10.0
TINY = 1e-12
SAMPLE = 200_000
"""Votes times classes from which the correlation is learned, in items evenly picked from all."""

GOLDEN = (np.sqrt(5) - 1) / 2
"""Its multiples, less their whole parts, are spread evenly over [0, 1), and so are those of any step."""


def predictions(items: Items, rates: Rates, every: int) -> Floats:
    """Say how well the others' votes predict each vote, by correlation.

    Parameters
    ----------
    items : Items
    rates : Rates
    every : int
        One item in this many is looked at.

    Returns
    -------
    (n_correlations,) float64
        Sum of the log-probabilities of the votes, each predicted from the others on its item, for `GRID`.
    """
    votes = items.votes_each
    picked = _one_in(every, items) & (votes > 1)
    found = np.zeros(len(GRID))
    if not picked.any():
        return found
    said = items.said[np.flatnonzero(picked)]
    item = np.repeat(np.arange(said.shape[0]), np.diff(said.indptr))
    columns, rate = against_first(rates.by_column), rates.by_column
    others = (said @ columns)[item] - columns[said.indices]
    more = (votes[picked][item] - 2.0)[:, None]
    prior = PREVALENCE * against_first(rates.prevalence)
    for at, correlation in enumerate(GRID):
        belief = softmax(others / (1 + more * correlation) + prior)
        found[at] = np.log(np.einsum("vk,vk->v", belief, rate[said.indices])).sum()
    return found


def _one_in(every: int, items: Items) -> Flags:
    """Pick one item in so many, by its number among all; steps would meet the same labels of every task."""
    return np.asarray((items.first + np.arange(len(items))) * GOLDEN % 1 < 1 / every)


def every_for(items: int, votes: int, n_classes: int) -> int:
    """Say one item in how many to pick for about `SAMPLE` votes times classes, never only a few items."""
    return max(1, min(votes * n_classes // SAMPLE, items // 1000))


def correlation_of(found: Iterable[Floats]) -> float:
    """Find the correlation that predicts best, and add what is not seen.

    Parameters
    ----------
    found : iterable of (n_correlations,) float64
        What `predictions` gave for each part of the items.

    Returns
    -------
    float
        In [0, 1).
    """
    prior = PSEUDO_VOTES * (USUAL * np.log(GRID + 0.01) + (1 - USUAL) * np.log(1 - GRID))
    likelihood = np.sum([prior, *found], axis=0)
    best = int(np.clip(np.argmax(likelihood), 1, len(GRID) - 2))
    around = slice(best - 1, best + 2)
    curve = np.polyfit(GRID[around], likelihood[around] - likelihood[best], 2)
    top = -curve[1] / (2 * curve[0]) if curve[0] < 0 else GRID[np.argmax(likelihood)]
    seen = float(np.clip(top, GRID[best - 1], GRID[best + 1]))
    return 1 - (1 - seen) ** 2


def tempered(items: Items, rates: Rates, correlation: float) -> Floats:
    """Posterior of independent mistakes, up to a correlation, (n_items, n_classes)."""
    scores = scores_of(items, rates)
    scores *= discount(items, correlation)[:, None]
    scores += PREVALENCE * against_first(rates.prevalence)
    return softmax(scores)


def discount(items: Items, correlation: float) -> Floats:
    """(n_items,) float64, in (0, 1]: what a vote is worth among the others on its item."""
    return np.asarray(1 / (1 + np.maximum(items.votes_each - 1, 0) * correlation))


def perceived(items: Items, weight: Floats) -> Floats:
    """Posterior of shared perception, (n_items, n_classes).

    Parameters
    ----------
    items : Items
    weight : (n_annotators,) float64
        What a vote of each annotator counts; 1 on average.
    """
    size = items.n_classes
    shown = np.empty((len(items), size))
    for at in range(size):
        of_class = np.zeros((items.n_annotators, size))
        of_class[:, at] = weight
        shown[:, at] = items.said @ of_class.ravel()
    shown += EVEN_VOTES / size
    shown /= shown.sum(axis=1, keepdims=True)
    return shown


def mean_of(first: Floats, second: Floats) -> Floats:
    """Posterior of two accounts that are as credible as `SHARED` says."""
    return (1 - SHARED) * first + SHARED * second


def doubted(items: Items, correlation: float, doubt: Floats, first: Floats, posterior: Floats) -> Floats:
    """Variance of the posterior's log-odds that comes from not knowing the annotators exactly.

    The doubt of the annotators adds up to the variance of the log-odds of the first account; where that is sure,
    the posterior hardly moves with them.

    Parameters
    ----------
    items : Items
    correlation : float
    doubt : (n_annotators,) float64
        Variance of the log-odds of each annotator's accuracy.
    first, posterior : (n_items, n_classes) float64
        Of the first account, and of both.

    Returns
    -------
    (n_items, n_classes) float64
    """
    spread = items.said @ np.repeat(doubt, items.n_classes)
    moves = (1 - SHARED) * first * (1 - first) / np.maximum(posterior * (1 - posterior), TINY)
    return np.asarray((moves * discount(items, correlation)[:, None]) ** 2 * spread[:, None])
