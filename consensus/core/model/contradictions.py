"""Contradictions: what given labels are worth where the crowd contradicts them, and the crowd where they do it.

A given label is no vote among others: who gave it had reasons of their own. So it is evidence beside the crowd's,
and the posterior is proportional to (what the votes say)^s times how often that label is given where each class is
true. Both are learned from the contradictions alone. Where the crowd is surer it is contradicted less often, as
far as it has a right to be so sure: that shows a sharpness s', and the contradictions that are left are mistakes
of the given labels. Mistakes that the whole crowd makes are contradicted as often wherever it is sure, and so pass
for mistakes of the given labels. As much of them is assumed as of those that show: s = s'^2, but no more than is
usual. Crowds whose mistakes are independent show an s' of 1, which is expected with `AS_SURE`; others something
about a half. What does not show excuses given labels at most until they are as good as the average annotator.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Floats
from consensus.core.model.confusion_matrices import LOWEST, ConfusionMatrices
from consensus.core.model.dependence import PREVALENCE, discount, sampled, shown
from consensus.core.model.em import against_first, e_step, log_likelihood
from consensus.core.model.log_gamma import log_gamma
from consensus.core.model.minimum import minimum_between
from consensus.core.votes.label_matrix import LabelMatrix, softmax

FEWEST = 50
"""Rows with a given label and two votes; with fewer nobody can say who is wrong, and given labels vote too."""

MOST = 5_000
"""Rows, evenly picked, from which is learned."""

AS_SURE = 0.8
"""How probable it is, before any contradiction, that the crowd may be as sure as its votes say."""

LOG_SHARPNESS: Floats = np.asarray(np.linspace(-1.8, 0.6, 17), dtype=np.float64)
"""Logs of the sharpness that are tried; around 0, or else around `USUAL` with a spread of `SPREAD`."""

AROUND, USUAL, SPREAD = 0.08, -0.55, 0.2

STRENGTHS: Floats = np.array([5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 2000.0])
"""Votes that may weigh what all given labels together say of those of one class."""

ACCURACY, UNLIKE = 0.8, 1.0
"""The accuracy of given labels where the search begins, and how far its log-odds may be from an annotator's."""

RIGHT, WRONG = 3.0, 1.0
"""Given labels that were right and wrong before any was seen."""

ROUNDS, STEPS, STILL, TWO = 3, 30, 1e-3, 2


@dataclass(frozen=True, eq=False)
class Contradictions:
    """What the crowd says of rows that have a given label, and that label.

    Attributes
    ----------
    log_belief : (n, n_classes) float64
    given : (n,) int32
    judged : int
        On how many of the rows there are two votes.
    """

    log_belief: Floats
    given: Codes
    judged: int


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """What was learned.

    Attributes
    ----------
    rates : (n_classes, n_classes) float64
        [true class, given class]; rows sum to 1.
    sharpness : float
        What the log of the crowd's belief counts, in (0, 1].
    """

    rates: Floats
    sharpness: float


def crowd_scores(label_matrix: LabelMatrix, confusion: ConfusionMatrices, correlation: float) -> Floats:
    """Log-odds of each class against the first, (n_rows, n_classes - 1), of mistakes up to a correlation.

    Of the correlation only what shows counts; what does not is a matter of the sharpness.
    """
    scores = log_likelihood(label_matrix, confusion)
    scores *= discount(label_matrix, shown(correlation))[:, None]
    # Of two classes, as wrong and right, it is well known how frequent each is.
    weight = 1.0 if label_matrix.n_classes == TWO else PREVALENCE
    scores += weight * against_first(confusion.prevalence)
    return scores


def contradictions_in(
    label_matrix: LabelMatrix, confusion: ConfusionMatrices, correlation: float, voices: Codes | None, every: int
) -> Contradictions:
    """Pick one row in so many; what gold leaves open of a row takes the place of what the crowd says."""
    crowd, given = label_matrix.apart
    crowd = crowd.in_voices(voices)
    belief = softmax(crowd_scores(crowd, confusion, correlation))
    belief[crowd.gold] = crowd.possible / crowd.possible.sum(axis=1, keepdims=True)
    row = np.flatnonzero(sampled(every, label_matrix) & (given >= 0) & (crowd.votes_per_row > 0))
    log_belief = np.log(np.maximum(belief[row], 1e-9))
    return Contradictions(log_belief, given[row], int((crowd.votes_per_row[row] > 1).sum()))


def learned_from(contradictions: Iterable[Contradictions], confusion: ConfusionMatrices) -> GivenLabels | None:
    """Learn how often given labels are right, and how sure the crowd may be.

    Parameters
    ----------
    contradictions : iterable of Contradictions
    confusion : ConfusionMatrices
        Of the crowd: given labels are expected to be mistaken for what everybody mistakes them for.

    Returns
    -------
    GivenLabels or None
        None where there are too few rows to judge by, or no two classes.
    """
    blocks = list(contradictions)
    if len(confusion.prevalence) < TWO or sum(block.judged for block in blocks) < FEWEST:
        return None
    log_belief = np.concatenate([block.log_belief for block in blocks])
    given = np.concatenate([block.given for block in blocks])
    n_classes = log_belief.shape[1]
    mistakes = (confusion.evidence[:, :, None] * confusion.table).sum(axis=0) + 0.5 / n_classes
    np.fill_diagonal(mistakes, 0.0)
    mistakes /= mistakes.sum(axis=1, keepdims=True)
    average = float(np.average(confusion.accuracy, weights=confusion.evidence.sum(axis=1) + 1e-9))
    rates = _with_accuracy(np.full(n_classes, ACCURACY), mistakes)
    for more in range(ROUNDS, -1, -1):
        shift, mean, hidden = _level(log_belief, given, rates, average)
        rates = _shifted(rates, shift)
        if more:
            rates = _by_class(_sharpened(log_belief, np.exp(mean)), given, rates, mistakes)
    belief = _sharpened(log_belief, np.exp(hidden))
    shift = min(_shift(belief, given, rates, average)[0], max(0.0, -_better(rates, average)))
    return GivenLabels(_shifted(rates, shift), float(np.exp(hidden)))


def with_given(
    label_matrix: LabelMatrix,
    confusion: ConfusionMatrices,
    correlation: float,
    given: Codes,
    worth: GivenLabels,
) -> Floats:
    """Posterior of rows with a given label, (n_rows, n_classes); of others that of independent mistakes.

    Parameters
    ----------
    label_matrix : LabelMatrix
        Of the crowd.
    given : (n_rows,) int32
        The class that is given, -1 for none.
    """
    scores = crowd_scores(label_matrix, confusion, correlation)
    scores *= worth.sharpness
    scores += against_first(worth.rates.T)[given]
    posterior = softmax(scores)
    if (given < 0).any():
        posterior[given < 0] = e_step(label_matrix, confusion)[given < 0]
    return posterior


def _level(log_belief: Floats, given: Codes, rates: Floats, average: float) -> tuple[float, float, float]:
    """Find by which log-odds given labels are more often right than the rates say, and the log of the sharpness.

    What counts is only whether the given label is the class that the crowd believes most.

    Returns
    -------
    shift, mean, hidden : float
        The last two are of the sharpness that shows, and with as much again that does not.
    """
    as_sure = np.exp(-0.5 * (LOG_SHARPNESS / AROUND) ** 2)
    usual = np.exp(-0.5 * ((LOG_SHARPNESS - USUAL) / SPREAD) ** 2)
    prior = AS_SURE * as_sure / as_sure.sum() + (1 - AS_SURE) * usual / usual.sum()
    tried = [_shift(_sharpened(log_belief, np.exp(log)), given, rates, average) for log in LOG_SHARPNESS]
    shifts, likelihood = (np.array(column) for column in zip(*tried, strict=True))
    weight = prior * np.exp(likelihood - likelihood.max())
    weight /= weight.sum()
    mean = float(weight @ LOG_SHARPNESS)
    hidden = 2 * max(float(weight @ np.minimum(LOG_SHARPNESS, 0.0)), USUAL)
    return float(np.interp(mean, LOG_SHARPNESS, shifts)), mean, hidden


def _shift(belief: Floats, given: Codes, rates: Floats, average: float) -> tuple[float, float]:
    """Return the likeliest shift of the accuracies' log-odds, and the log-likelihood there.

    Given labels are expected to be about as accurate as the average annotator, within `UNLIKE`.
    """
    top = belief.argmax(axis=1)
    agrees = given == top
    right = np.clip(np.diag(rates), LOWEST, 1 - LOWEST)
    wrong = rates * (1 - np.eye(len(rates))) / (1 - right)[:, None]
    sure, mistaken = belief[np.arange(len(top)), top], belief * wrong[:, top].T
    odds, better = right / (1 - right), _better(rates, average)

    def surprise(shift: float) -> float:
        accuracy = _share(odds * np.exp(shift))
        agreement = np.clip(sure * accuracy[top] + mistaken @ (1 - accuracy), 1e-6, 1 - 1e-6)
        likelihood = float(np.log(np.where(agrees, agreement, 1 - agreement)).sum())
        return ((better + shift) / UNLIKE) ** 2 / 2 - likelihood

    shift = minimum_between(surprise, -4.0, 6.0, 0.02)
    return shift, -surprise(shift)


def _better(rates: Floats, average: float) -> float:
    """By which log-odds given labels are more often right than the average annotator."""
    right = np.clip(np.diag(rates), LOWEST, 1 - LOWEST)
    return float(np.log(right / (1 - right)).mean() - np.log(average / (1 - average)))


def _by_class(belief: Floats, given: Codes, rates: Floats, mistakes: Floats) -> Floats:
    """Let given labels of each class differ from the others as far as they show it."""
    for _ in range(STEPS):
        last = rates
        truth = belief * rates[:, given].T
        truth /= truth.sum(axis=1, keepdims=True)
        counts = np.array([np.bincount(given, column, minlength=len(rates)) for column in truth.T])
        accuracy = (np.trace(counts) + RIGHT) / (counts.sum() + RIGHT + WRONG)
        expected = _with_accuracy(np.full(len(rates), accuracy), mistakes)
        strength = max(STRENGTHS, key=lambda votes: _likelihood(counts, expected, votes))
        rates = (counts + strength * expected) / (counts.sum(axis=1, keepdims=True) + strength)
        if np.abs(rates - last).max() < STILL:
            break
    return rates


def _likelihood(counts: Floats, expected: Floats, strength: float) -> float:
    """Log-likelihood of Dirichlet-multinomial rows, less half a log of their strength."""
    prior = strength * np.maximum(expected, 1e-6)
    rows = log_gamma(strength) - log_gamma(strength + counts.sum(axis=1))
    return float(rows.sum() + (log_gamma(prior + counts) - log_gamma(prior)).sum() - 0.5 * np.log(strength))


def _with_accuracy(accuracy: Floats, mistakes: Floats) -> Floats:
    """Rates of given labels that are right so often, by true class, and otherwise err as the mistakes say."""
    return np.diag(accuracy) + (1 - accuracy)[:, None] * mistakes


def _shifted(rates: Floats, shift: float) -> Floats:
    right = np.clip(np.diag(rates), LOWEST, 1 - LOWEST)
    mistakes = np.maximum(rates * (1 - np.eye(len(rates))), 1e-12)
    np.fill_diagonal(mistakes, 0.0)
    return _with_accuracy(
        _share(right / (1 - right) * np.exp(shift)), mistakes / mistakes.sum(axis=1, keepdims=True)
    )


def _share(odds: Floats) -> Floats:
    return odds / (1 + odds)


def _sharpened(log_belief: Floats, sharpness: float) -> Floats:
    belief = np.exp(sharpness * log_belief)
    belief /= belief.sum(axis=1, keepdims=True)
    return belief
