"""Agreement of a project: Krippendorff's alpha, Fleiss' kappa and Cohen's kappa of every pair of annotators."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Floats, Keys, sums
from consensus.core.people.answers import NO_CODE, YES_CODE, Answers
from consensus.core.people.pairs import pairs_of


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree, and on how much that rests.

    Attributes
    ----------
    alpha, fleiss, cohen : float
        In [-1, 1], 1 for full agreement and 0 for that of chance; NaN where chance explains everything, as where
        all answers are the same, or there is nothing to compare. `cohen` is the mean over the pairs, weighted by
        their questions.
    questions, answers : int
        Questions with two or more answers, and the answers to them: what alpha and Fleiss' kappa rest on.
    pairs, compared : int
        Pairs of annotators whose kappa is defined, and the questions that they share, added up.
    """

    alpha: float
    fleiss: float
    cohen: float
    questions: int
    answers: int
    pairs: int
    compared: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """Cohen's kappa of every two annotators who share a question.

    Attributes
    ----------
    first, second : (n,) int32
        Codes of the annotators, first < second.
    questions : (n,) int64
        How many both answered.
    kappa : (n,) float64
        NaN where chance explains everything.
    """

    first: Codes
    second: Codes
    questions: Keys
    kappa: Floats


def agreement(answers: Answers) -> tuple[Agreement, Pairs]:
    """Measure the agreement of annotators on questions of one kind.

    Parameters
    ----------
    answers : Answers
        Questions with one answer say nothing about agreement and are passed over.

    References
    ----------
    K. Krippendorff, "Computing Krippendorff's alpha-reliability" (2011),
    https://repository.upenn.edu/asc_papers/43: for nominal answers, by the table of answers per question.
    J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76 (1971), 378-382.
    doi:10.1037/h0031619; where the number of answers differs from question to question, each question counts its
    own pairs of answers.
    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960),
    37-46. doi:10.1177/001316446002000104
    """
    per_question = np.bincount(answers.question, minlength=answers.n_questions)
    shared = per_question[answers.question] > 1
    question, answer = answers.question[shared], answers.answer[shared]
    alpha, fleiss = _alpha_and_fleiss(question, answer, answers.n_answers)
    pairs = cohen(answers)
    is_defined = ~np.isnan(pairs.kappa)
    compared = int(pairs.questions[is_defined].sum())
    mean = float(np.average(pairs.kappa[is_defined], weights=pairs.questions[is_defined])) if compared else np.nan
    return Agreement(
        alpha, fleiss, mean, int((per_question > 1).sum()), int(shared.sum()), int(is_defined.sum()), compared
    ), pairs


def krippendorff_alpha(answers: Answers) -> float:
    """Return Krippendorff's alpha alone, without comparing annotators in pairs; NaN where it is not defined."""
    per_question = np.bincount(answers.question, minlength=answers.n_questions)
    shared = per_question[answers.question] > 1
    return _alpha_and_fleiss(answers.question[shared], answers.answer[shared], answers.n_answers)[0]


def about_answer(answers: Answers, answer: int) -> Answers:
    """Turn a single choice into the question whether a label was chosen: yes or no."""
    yes_no = np.where(answers.answer == answer, YES_CODE, NO_CODE).astype(np.int32)
    return Answers(
        answers.question, answers.annotator, yes_no, answers.task, answers.topic, answers.n_annotators, 2, 1
    )


def _alpha_and_fleiss(question: Codes, answer: Codes, n_answers: int) -> tuple[float, float]:
    """Both coefficients of questions that have two or more answers each."""
    if not len(question):
        return np.nan, np.nan
    cell, count = np.unique(question.astype(np.int64) * n_answers + answer, return_counts=True)
    of_cell = (cell // n_answers).astype(np.int32)
    size = np.bincount(question)[of_cell].astype(np.float64)
    total = len(question)
    per_answer = np.bincount((cell % n_answers).astype(np.int64), count, minlength=n_answers)
    # Each question's share of agreeing pairs; alpha weighs it by its answers, Fleiss' kappa counts it once.
    agreeing = count * (count - 1) / (size * (size - 1))
    by_question = sums(of_cell, agreeing, int(of_cell.max()) + 1)
    answered = np.bincount(question)
    alpha = _beyond_chance(
        float(by_question @ answered) / total,
        float((per_answer * (per_answer - 1)).sum()) / (total * (total - 1)),
    )
    share = per_answer / total
    fleiss = _beyond_chance(float(by_question.sum()) / int((answered > 0).sum()), float((share**2).sum()))
    return alpha, fleiss


def _beyond_chance(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 else np.nan


def cohen(answers: Answers) -> Pairs:
    """Cohen's kappa of every two annotators who share a question, over the questions that they share."""
    size, n_answers = max(answers.n_annotators, 1), max(answers.n_answers, 1)
    cells, counts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for first_row, second_row in pairs_of(answers.question):
        pair = answers.annotator[first_row].astype(np.int64) * size + answers.annotator[second_row]
        cell, count = np.unique(
            (pair * n_answers + answers.answer[first_row]) * n_answers + answers.answer[second_row],
            return_counts=True,
        )
        cells.append(cell)
        counts.append(count)
    cell, count = _added(np.concatenate(cells), np.concatenate(counts))
    first_cell, second = np.divmod(cell, n_answers)
    pair, first = np.divmod(first_cell, n_answers)
    keys, at = np.unique(pair, return_inverse=True)
    questions = np.bincount(at, count, minlength=len(keys))
    same = np.bincount(at, count * (first == second), minlength=len(keys))
    first_key, first_count = _added(first_cell, count)
    second_key, second_count = _added(pair * n_answers + second, count)
    both, of_first, of_second = np.intersect1d(first_key, second_key, assume_unique=True, return_indices=True)
    by_chance = first_count[of_first].astype(np.float64) * second_count[of_second]
    expected = np.bincount(np.searchsorted(keys, both // n_answers), by_chance, minlength=len(keys)) / questions**2
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = np.where(expected < 1, (same / questions - expected) / (1 - expected), np.nan)
    return Pairs(
        (keys // size).astype(np.int32), (keys % size).astype(np.int32), questions.astype(np.int64), kappa
    )


def _added(keys: Keys, counts: Keys) -> tuple[Keys, Keys]:
    """Add counts up by key; the keys come in ascending order."""
    unique, at = np.unique(keys, return_inverse=True)
    return unique, np.bincount(at, counts, minlength=len(unique)).astype(np.int64)
