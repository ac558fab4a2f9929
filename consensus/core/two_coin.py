"""Votes of yes and no on single labels: each annotator has one rate of yes on right labels, one on wrong ones.

The rates (sensitivity s and false-positive rate f) are learned from the *others*: where the others, without
this annotator's own vote, believe a label right with probability q, the annotator is expected to say yes with
probability s * q + f * (1 - q). So (s, f) is the least-squares fit of the votes on (q, 1 - q), with the
population's rates as a ridge. On gold classifications the truth takes the place of the others.

The log-odds of a label add log(s / f) for each yes and log((1 - s) / (1 - f)) for each no to those of the
prevalence (A. P. Dawid, A. M. Skene, Applied Statistics 28 (1979), 20-28, doi:10.2307/2346806, for two classes).
"""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, sums
from consensus.core.belief import CERTAIN, DIGITS, STEP, Belief, Gold, sigmoid
from consensus.core.classifications import Classifications, pack
from consensus.core.population import population_of
from consensus.core.votes import UNSURE, YES, Votes

ROUNDS, TOLERANCE = 100, 1e-6
EXPECTED_SENSITIVITY, EXPECTED_FALSE_POSITIVES = 0.8, 0.2
LOWEST, HIGHEST = 0.005, 0.995


@dataclass(frozen=True, eq=False)
class _Answers:
    """The yes and no votes as rows of classifications."""

    row: Codes
    annotator: Codes
    yes: Flags
    n_rows: int
    n_annotators: int


def fit_two_coin(votes: Votes, classifications: Classifications, gold: Gold, fixed_trust: Floats) -> Belief:
    """Learn the annotators' two rates and the posterior of each classification together.

    Parameters
    ----------
    votes : Votes
        Of choice "each"; unsure votes say nothing.
    classifications : Classifications
    gold : Gold
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.

    Returns
    -------
    Belief
        Trust is Youden's J, s - f, cut at 0 (W. J. Youden, Cancer 3 (1950), 32-35).
    """
    answers = _answers(votes, classifications)
    truth = _truth(answers, classifications, gold)[answers.row]
    known, voted = ~np.isnan(truth), np.unique(answers.row)
    # Where nobody else answered there is nobody to agree with: the prevalence is no judge of an annotator.
    judged = known | (np.bincount(answers.row)[answers.row] > 1)
    free = np.isnan(fixed_trust)
    fixed_s = np.clip((1 + fixed_trust) / 2, LOWEST, HIGHEST)
    sensitivity = np.where(free, EXPECTED_SENSITIVITY, fixed_s)
    false_positives = np.where(free, EXPECTED_FALSE_POSITIVES, 1 - fixed_s)
    prevalence = 0.5
    evidence: Floats = np.zeros((2, votes.n_annotators))
    strengths = (2.0, 2.0)
    for _ in range(ROUNDS):
        odds, said = _log_odds(answers, sensitivity, false_positives, prevalence)
        others = np.where(known, truth, sigmoid(odds[answers.row] - said))
        learned_s, learned_f, evidence, strengths = _rates(answers, others, judged)
        updated_s = np.where(free, sensitivity + STEP * (learned_s - sensitivity), fixed_s)
        updated_f = np.where(free, false_positives + STEP * (learned_f - false_positives), 1 - fixed_s)
        moved = np.abs([updated_s - sensitivity, updated_f - false_positives]).max(initial=0.0)
        sensitivity, false_positives = updated_s, updated_f
        prevalence = float((sigmoid(odds)[voted].sum() + 1) / (len(voted) + 2))
        if moved < TOLERANCE:
            break
    odds, _ = _log_odds(answers, sensitivity, false_positives, prevalence)
    variance = _variance(answers, sensitivity, false_positives, evidence, strengths)
    trust = np.where(free, np.clip(sensitivity - false_positives, 0, 1), fixed_trust)
    return Belief(sigmoid(odds), variance, trust, np.asarray(evidence.sum(axis=0)))


def _answers(votes: Votes, classifications: Classifications) -> _Answers:
    sure = votes.vote != UNSURE
    return _Answers(
        row=classifications.rows_of(votes.task[sure], votes.label[sure]),
        annotator=votes.annotator[sure],
        yes=votes.vote[sure] == YES,
        n_rows=len(classifications),
        n_annotators=votes.n_annotators,
    )


def _truth(answers: _Answers, classifications: Classifications, gold: Gold) -> Floats:
    """1 or 0 where the truth of a classification is known, NaN elsewhere."""
    truth = np.full(answers.n_rows, np.nan)
    keys = pack(gold.task, gold.label, classifications.n_labels)
    there = np.isin(keys, classifications.keys)
    truth[np.searchsorted(classifications.keys, keys[there])] = gold.right[there]
    return truth


def _log_odds(
    answers: _Answers, sensitivity: Floats, false_positives: Floats, prevalence: float
) -> tuple[Floats, Floats]:
    """Log-odds of each classification, and what each vote added to them."""
    yes = np.log(sensitivity / false_positives)[answers.annotator]
    no = np.log((1 - sensitivity) / (1 - false_positives))[answers.annotator]
    said = np.where(answers.yes, yes, no)
    prior = np.log(prevalence / (1 - prevalence))
    return np.round(prior + sums(answers.row, said, answers.n_rows), DIGITS), said


def _rates(answers: _Answers, others: Floats, judged: Flags) -> tuple[Floats, Floats, Floats, tuple[float, float]]:
    """Each annotator's two rates, the evidence for both, and the strengths of their populations."""

    def summed(values: Floats) -> Floats:
        return sums(answers.annotator, values * judged, answers.n_annotators)

    right, wrong = summed(others**2), summed((1 - others) ** 2)
    mixed = summed(others * (1 - others))
    yes_right, yes_wrong = summed(others * answers.yes), summed((1 - others) * answers.yes)
    # The population first, on what each vote says of right and of wrong labels once the mixture is taken apart.
    pooled_s, pooled_f = _solve(
        right.sum() + 1,
        mixed.sum(),
        wrong.sum() + 1,
        yes_right.sum() + EXPECTED_SENSITIVITY,
        yes_wrong.sum() + EXPECTED_FALSE_POSITIVES,
    )
    of_right = population_of(yes_right - mixed * pooled_f, right, expected=EXPECTED_SENSITIVITY)
    of_wrong = population_of(yes_wrong - mixed * pooled_s, wrong, expected=EXPECTED_FALSE_POSITIVES)
    sensitivity, false_positives = _solve(
        right + of_right.strength,
        mixed,
        wrong + of_wrong.strength,
        yes_right + of_right.strength * of_right.mean,
        yes_wrong + of_wrong.strength * of_wrong.mean,
    )
    return (
        np.clip(sensitivity, LOWEST, HIGHEST),
        np.clip(false_positives, LOWEST, HIGHEST),
        np.stack([right, wrong]),
        (of_right.strength, of_wrong.strength),
    )


def _solve(a: Floats, b: Floats, c: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Solve the symmetric systems [[a, b], [b, c]] (s, f) = (x, y)."""
    determinant = a * c - b * b
    return (c * x - b * y) / determinant, (a * y - b * x) / determinant


def _variance(
    answers: _Answers,
    sensitivity: Floats,
    false_positives: Floats,
    evidence: Floats,
    strengths: tuple[float, float],
) -> Floats:
    """Variance of each classification's log-odds, by the delta method on the annotators' rates."""
    right, wrong = evidence[0] + strengths[0], evidence[1] + strengths[1]
    yes = (1 - sensitivity) / (sensitivity * right) + (1 - false_positives) / (false_positives * wrong)
    no = sensitivity / ((1 - sensitivity) * right) + false_positives / ((1 - false_positives) * wrong)
    doubt = np.where(answers.yes, yes[answers.annotator], no[answers.annotator])
    return sums(answers.row, np.minimum(doubt, CERTAIN), answers.n_rows)
