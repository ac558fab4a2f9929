"""Dependence: what many votes are worth where annotators share their mistakes.

Two accounts of the votes on a row of the label matrix are taken for equally credible, and the posterior is the
mean of theirs.

*Independent mistakes, up to a correlation.* The row's n votes are worth n / (1 + (n - 1) r) independent ones (the
design effect: L. Kish, *Survey Sampling*, Wiley 1965, section 5.4), so the sum of the votes' log-likelihoods is
divided by 1 + (n - 1) r. How well the other votes then predict each vote shows one correlation r'
(`correlation_of`). Mistakes that all annotators share leave no trace in the votes; as much of them is assumed as
of those that do: 1 - r = (1 - r')^2. Neither can votes tell a class that is frequent from one that everybody takes
others for, so the log of the learned prevalence counts by half.

*Shared perception.* What the row looks like to the crowd is what its votes' shares say, and the truth is one more
draw from it: (trust-weighted votes + some even votes) / their sum. Even votes say how often a further vote
contradicts those that agree, and so the votes show how many they are (`even_votes_of`), at most the one of
W. Perks, "Some observations on inverse probability", Journal of the Institute of Actuaries 73 (1947), 285-334,
doi:10.1017/S0020268100012270.
"""

from collections.abc import Iterable

import numpy as np

from consensus.core.arrays import Flags, Floats
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.em import against_first, log_likelihood
from consensus.core.model.log_gamma import log_gamma
from consensus.core.model.minimum import minimum_between
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize, softmax

PREVALENCE = 0.5
"""How much of the log of the learned prevalence counts."""

FEWEST_EVEN, MOST_EVEN = 0.1, 1.0
"""Bounds of the votes, spread evenly over the classes, that the shares of a row's votes start from."""

MOST_VOTES = 128
"""Votes on a row up to which it shows how many even votes there are; with more of them it hardly matters."""

SHARED = 0.5
"""How credible the account of shared perception is."""

GRID: Floats = np.array([0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 0.9])
"""Correlations that are tried."""

USUAL = 0.15
"""A correlation to expect before any vote; it weighs as much as what `PSEUDO_VOTES` votes would say."""

PSEUDO_VOTES = 10.0
TINY = 1e-12
SAMPLE = 200_000
"""Votes times classes from which the correlation is learned, in rows evenly picked from all."""

GOLDEN = (np.sqrt(5) - 1) / 2
"""Its multiples, less their whole parts, are spread evenly over [0, 1), and so are those of any step."""


def prediction_likelihood(label_matrix: LabelMatrix, confusion: ConfusionMatrices, every: int) -> Floats:
    """Return how well the others' votes predict each vote, by correlation.

    Parameters
    ----------
    label_matrix : LabelMatrix
    confusion : ConfusionMatrices
    every : int
        One row in this many is looked at.

    Returns
    -------
    (n_correlations,) float64
        Sum of the log-probabilities of the votes, each predicted from the others on its row, for `GRID`.
    """
    votes = label_matrix.votes_per_row
    picked = sampled(every, label_matrix) & (votes > 1)
    likelihood = np.zeros(len(GRID))
    if not picked.any():
        return likelihood
    one_hot = label_matrix.one_hot[np.flatnonzero(picked)]
    row = np.repeat(np.arange(one_hot.shape[0]), np.diff(one_hot.indptr))
    columns, rate = against_first(confusion.by_column), confusion.by_column
    others = (one_hot @ columns)[row] - columns[one_hot.indices]
    more = np.maximum(label_matrix.voices_per_row[picked][row] - 2.0, 0.0)[:, None]
    prior = PREVALENCE * against_first(confusion.prevalence)
    for number, correlation in enumerate(GRID):
        posterior = softmax(others / (1 + more * correlation) + prior)
        likelihood[number] = np.log(np.einsum("vk,vk->v", posterior, rate[one_hot.indices])) @ one_hot.data
    return likelihood


def sampled(every: int, label_matrix: LabelMatrix) -> Flags:
    """Pick one row in so many, by its number among all; steps would meet the same labels of every task."""
    return np.asarray((label_matrix.first + np.arange(len(label_matrix))) * GOLDEN % 1 < 1 / every)


def every_for(size: MatrixSize) -> int:
    """Return one row in how many to pick for about `SAMPLE` votes times classes, never only a few rows."""
    return max(1, min(size.votes * size.n_classes // SAMPLE, size.rows // 1000))


def correlation_of(likelihoods: Iterable[Floats]) -> float:
    """Find the correlation that predicts best, and add what is not seen.

    Parameters
    ----------
    likelihoods : iterable of (n_correlations,) float64
        What `prediction_likelihood` gave for each part of the label matrix.

    Returns
    -------
    float
        In [0, 1).
    """
    prior = PSEUDO_VOTES * (USUAL * np.log(GRID + 0.01) + (1 - USUAL) * np.log(1 - GRID))
    likelihood = np.sum([prior, *likelihoods], axis=0)
    best = int(np.clip(np.argmax(likelihood), 1, len(GRID) - 2))
    around = slice(best - 1, best + 2)
    curve = np.polyfit(GRID[around], likelihood[around] - likelihood[best], 2)
    top = -curve[1] / (2 * curve[0]) if curve[0] < 0 else GRID[np.argmax(likelihood)]
    return 1 - (1 - float(np.clip(top, GRID[best - 1], GRID[best + 1]))) ** 2


def shown(correlation: float) -> float:
    """Return what of a correlation shows."""
    return float(1 - np.sqrt(1 - correlation))


def vote_counts(label_matrix: LabelMatrix, every: int) -> Floats:
    """Count how often each class has how many of the votes on a row.

    Parameters
    ----------
    label_matrix : LabelMatrix
    every : int
        One row in this many is looked at.

    Returns
    -------
    (n_classes + 1, MOST_VOTES + 1) float64
        [class, votes]: number of rows on which the class has so many votes; last, those with so many in all.
    """
    votes = label_matrix.votes_per_row
    picked = sampled(every, label_matrix) & (votes > 1) & (votes <= MOST_VOTES)
    one_hot, size = label_matrix.one_hot[np.flatnonzero(picked)], label_matrix.n_classes
    row = np.repeat(np.arange(one_hot.shape[0]), votes[picked])
    key = row * size + one_hot.indices % size
    by_class = np.rint(np.bincount(key, one_hot.data, minlength=one_hot.shape[0] * size)).astype(np.int64)
    columns = [*by_class.reshape(-1, size).T, by_class.reshape(-1, size).sum(axis=1)]
    return np.array([np.bincount(column, minlength=MOST_VOTES + 1) for column in columns], dtype=np.float64)


def even_votes_of(counts: Iterable[Floats]) -> float:
    """Learn from how many even votes the shares of a row's votes start: few where votes that agree stay agreed.

    The votes on a row are draws from shares of its own, which are Dirichlet-distributed around the shares of all
    votes; what is learned is the concentration, by maximal likelihood (T. P. Minka, "Estimating a Dirichlet
    distribution", technical report, MIT, 2000). Agreement that a frequent class explains thus shows nothing.

    Parameters
    ----------
    counts : iterable of (n_classes + 1, MOST_VOTES + 1) float64
        What `vote_counts` gave for each part of the label matrix.

    Returns
    -------
    float
        From `FEWEST_EVEN` to `MOST_EVEN`; the latter, which is also to be expected, where votes say nothing.
    """
    rows: Floats = sum(counts, np.zeros((1, MOST_VOTES + 1)))
    of_class, of_row, number = rows[:-1], rows[-1], np.arange(MOST_VOTES + 1)
    share = np.maximum(of_class @ number / max(float(of_row @ number), 1.0), TINY)[:, None]

    def surprise(log_even: float) -> float:
        even = np.exp(log_even)
        classes = of_class * (log_gamma(number + even * share) - log_gamma(even * share))
        return float(log_even**2 / 2 + of_row @ (log_gamma(number + even) - log_gamma(even)) - classes.sum())

    bounds = float(np.log(FEWEST_EVEN)), float(np.log(MOST_EVEN))
    inside = minimum_between(surprise, *bounds, 1e-3)
    return float(np.exp(min((*bounds, inside), key=surprise)))  # the search comes near the bounds only


def tempered(label_matrix: LabelMatrix, confusion: ConfusionMatrices, correlation: float) -> Floats:
    """Posterior of independent mistakes, up to a correlation, (n_rows, n_classes)."""
    scores = log_likelihood(label_matrix, confusion)
    scores *= discount(label_matrix, correlation)[:, None]
    scores += PREVALENCE * against_first(confusion.prevalence)
    return softmax(scores)


def discount(label_matrix: LabelMatrix, correlation: float) -> Floats:
    """(n_rows,) float64, in (0, 1]: what a vote is worth among the others on its row."""
    return np.asarray(1 / (1 + np.maximum(label_matrix.voices_per_row - 1, 0) * correlation))


def perceived(label_matrix: LabelMatrix, weight: Floats, even_votes: float) -> Floats:
    """Posterior of shared perception, (n_rows, n_classes).

    Parameters
    ----------
    label_matrix : LabelMatrix
    weight : (n_annotators,) float64
        What a vote of each annotator counts; 1 on average.
    even_votes : float
        Votes that are spread evenly over the classes before.
    """
    size = label_matrix.n_classes
    share = np.empty((len(label_matrix), size))
    for number in range(size):
        of_class = np.zeros((label_matrix.n_annotators, size))
        of_class[:, number] = weight
        share[:, number] = label_matrix.one_hot @ of_class.ravel()
    share += even_votes / size
    share /= share.sum(axis=1, keepdims=True)
    return share


def mean_of(first: Floats, second: Floats) -> Floats:
    """Posterior of two accounts that are as credible as `SHARED` says."""
    return (1 - SHARED) * first + SHARED * second


def log_odds_variance(
    label_matrix: LabelMatrix, correlation: float, accuracy_variance: Floats, first: Floats, posterior: Floats
) -> Floats:
    """Variance of the posterior's log-odds that comes from not knowing the annotators exactly.

    The variances of the annotators add up to that of the log-odds of the first account; where that is sure,
    the posterior hardly moves with them.

    Parameters
    ----------
    label_matrix : LabelMatrix
    correlation : float
    accuracy_variance : (n_annotators,) float64
        Variance of the log-odds of each annotator's accuracy.
    first, posterior : (n_rows, n_classes) float64
        Of the first account, and of both.

    Returns
    -------
    (n_rows, n_classes) float64
    """
    spread = label_matrix.one_hot @ np.repeat(accuracy_variance, label_matrix.n_classes)
    moves = (1 - SHARED) * first * (1 - first) / np.maximum(posterior * (1 - posterior), TINY)
    return np.asarray((moves * discount(label_matrix, correlation)[:, None]) ** 2 * spread[:, None])
