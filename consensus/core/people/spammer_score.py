"""The spammer score of Raykar and Yu: how far apart an annotator's answers to different truths lie."""

import numpy as np

from consensus.core.arrays import Floats, Keys, sums
from consensus.core.people.answers import Answers
from consensus.core.people.leave_one_out import Others

LEAST_SEEN = 1.0
"""Expected questions of a truth from which it counts."""


def raykar_yu(answers: Answers, others: Others, trust: Floats) -> Floats:
    """Score how much an annotator's answers depend on the truth.

    The annotator's confusion matrix A (truth by answer) is counted with the truth as the others' answers make it
    likely: prevalence times, for everybody else, the odds that trust gives to the chosen answer. Over the C truths
    that are expected at least once, S = Σ_{c<d} Σ_k (A_ck - A_dk)² / (C (C - 1)).

    Parameters
    ----------
    trust : (n_annotators,) float64
        In [0, 1].

    Returns
    -------
    (n_annotators,) float64
        0 for a spammer, whose rows are all the same; 1 for a perfect annotator; NaN where fewer than two truths
        are expected. A descriptive figure: few answers make it too large, so it accuses nobody.

    References
    ----------
    V. C. Raykar, S. Yu, "Eliminating spammers and ranking annotators for crowdsourced labeling tasks", Journal of
    Machine Learning Research 13 (2012), 491-518. https://jmlr.org/papers/v13/raykar12a.html
    """
    k = max(answers.n_answers, 1)
    truth = _truth(answers, others, trust, k)
    who = answers.annotator[others.row].astype(np.int64)
    expected = sums(who * k + others.answer, truth, answers.n_annotators * k)
    cell, at = np.unique((who * k + others.answer) * k + answers.answer[others.row], return_inverse=True)
    mass = sums(at, truth, len(cell))
    of_truth = cell // k
    counted = expected[of_truth] >= LEAST_SEEN
    rate = mass[counted] / expected[of_truth[counted]]
    return _spread(of_truth[counted], cell[counted] % k, rate, expected.reshape(-1, k) >= LEAST_SEEN)


def _spread(of_truth: Keys, answer: Keys, rate: Floats, counted: np.typing.NDArray[np.bool_]) -> Floats:
    """Sum of squared differences between the rows: C Σ A² - Σ_k (Σ_c A_ck)², over C (C - 1)."""
    n_annotators, k = counted.shape
    n_truths = counted.sum(axis=1).astype(np.float64)
    who = of_truth // k
    squares = sums(who, rate**2, n_annotators)
    columns = sums(who * k + answer, rate, n_annotators * k).reshape(n_annotators, k)
    spread = n_truths * squares - (columns**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n_truths > 1, np.clip(spread / (n_truths * (n_truths - 1)), 0.0, 1.0), np.nan)


def _truth(answers: Answers, others: Others, trust: Floats, k: int) -> Floats:
    """(n_entries,): probability that an answer of the others is right, by the trust of those who gave it."""
    right = np.minimum(1 / k + np.clip(trust, 0.0, 1.0) * (1 - 1 / k), 0.995)
    weight = np.log(right * max(k - 1, 1) / (1 - right))[answers.annotator]
    cells, at = np.unique(answers.question.astype(np.int64) * k + answers.answer, return_inverse=True)
    mass = sums(at, weight, len(cells))
    cell = np.searchsorted(cells, answers.question[others.row].astype(np.int64) * k + others.answer)
    own = others.answer == answers.answer[others.row]
    log_odds = mass[cell] - np.where(own, weight[others.row], 0.0)
    prior = others.prevalence[answers.topic[answers.question[others.row]], others.answer]
    return _normalised(others.row, log_odds, prior, len(answers))


def _normalised(row: Keys, log_odds: Floats, prior: Floats, n_rows: int) -> Floats:
    """Probabilities within each row; answers that none of the others gave share what their prevalence leaves."""
    highest = np.zeros(n_rows)
    np.maximum.at(highest, row, log_odds)
    weight = prior * np.exp(log_odds - highest[row])
    remainder = np.maximum(1 - sums(row, prior, n_rows), 0.0) * np.exp(-highest)
    return np.asarray(weight / (sums(row, weight, n_rows) + remainder)[row], dtype=np.float64)
