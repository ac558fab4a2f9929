"""What the others answered to the question that an annotator answers, and what is to be expected after it."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Floats, Keys, sums
from consensus.core.people.answers import Answers

STRENGTHS = 2.0 ** np.arange(-5, 8)
"""Votes that the prevalence may count for beside those of the others; the votes choose among them."""


@dataclass(frozen=True, eq=False)
class Others:
    """The others' answers, row by row of an annotator's own ones; the annotator's own are left out.

    Attributes
    ----------
    row, answer : (n_entries,) int64, int32
        Row of the answers, and an answer that one of the others gave to its question. Ordered by row, then answer.
    share : (n_entries,) float64
        Share of the others' weight that stands behind the answer, shrunk as `expected` is; in [0, 1).
    expected : (n_entries,) float64
        Probability that the typical annotator gives the answer, knowing the others' answers.
    own : (n_rows,) float64
        The same of the annotator's own answer.
    same : (n_rows,) float64
        Share of the others who gave the annotator's own answer, each counting one; NaN without others.
    weight : (n_rows,) float64
        Weight of the others; 0 where nobody else answered.
    floor : (n_rows,) float64
        What `expected` is, per unit of prevalence, of an answer that none of the others gave.
    prevalence : (n_topics, n_answers) float64
    strength : float
        Votes that the prevalence counts for.
    """

    row: Keys
    answer: Codes
    share: Floats
    expected: Floats
    own: Floats
    same: Floats
    weight: Floats
    floor: Floats
    prevalence: Floats
    strength: float

    def expected_of(self, answers: Answers, answer: Codes) -> Floats:
        """Probability that the typical annotator gives a wanted answer in each row, knowing the others'.

        Parameters
        ----------
        answer : (n_rows,) int32

        Returns
        -------
        (n_rows,) float64
        """
        expected = self.prevalence[answers.topic[answers.question], answer] * self.floor
        hit = self.answer == answer[self.row]
        expected[self.row[hit]] = self.expected[hit]
        return expected


def others_of(answers: Answers, weight: Floats) -> Others:
    """Lay out what the others answered.

    The expectation is the predictive of a Dirichlet-multinomial: the others' weights plus the prevalence, which
    counts for as many votes as predict the answers best when each is left out in turn.

    Parameters
    ----------
    weight : (n_annotators,) float64
        What an annotator's answer counts, from 0 to 1: the trust.
    """
    n, k = len(answers), max(answers.n_answers, 1)
    of_row = weight[answers.annotator]
    cells, at, count = np.unique(
        answers.question.astype(np.int64) * k + answers.answer, return_inverse=True, return_counts=True
    )
    mass = sums(at, of_row, len(cells))
    cell_question = cells // k
    start = np.searchsorted(cell_question, answers.question)
    per_row = np.searchsorted(cell_question, answers.question, side="right") - start
    row = np.repeat(np.arange(n), per_row)
    cell = np.repeat(start - (np.cumsum(per_row) - per_row), per_row) + np.arange(len(row))
    mine = cell == at[row]
    others_mass = np.where(mine, np.maximum(mass[cell] - of_row[row], 0.0), mass[cell])
    somebody = (count[cell] - mine) > 0
    total = sums(row, others_mass, n)
    n_others = np.bincount(answers.question, minlength=answers.n_questions)[answers.question] - 1
    prevalence = _prevalence(answers, of_row)
    own_prevalence = prevalence[answers.topic[answers.question], answers.answer]
    own_mass = sums(row[mine], others_mass[mine], n)
    strength = _strength(own_mass, total, own_prevalence, of_row * (n_others > 0))
    row, cell, others_mass = row[somebody], cell[somebody], others_mass[somebody]
    answer = (cells[cell] % k).astype(np.int32)
    return Others(
        row=row,
        answer=answer,
        share=others_mass / (total[row] + strength),
        expected=(others_mass + strength * prevalence[answers.topic[answers.question[row]], answer])
        / (total[row] + strength),
        own=(own_mass + strength * own_prevalence) / (total + strength),
        same=np.where(n_others > 0, (count[at] - 1) / np.maximum(n_others, 1), np.nan),
        weight=np.where(n_others > 0, total, 0.0),
        floor=strength / (total + strength),
        prevalence=prevalence,
        strength=strength,
    )


def _prevalence(answers: Answers, weight: Floats) -> Floats:
    """(n_topics, n_answers): how often each answer is given, shrunk by two votes towards that of all topics."""
    k = max(answers.n_answers, 1)
    overall = (sums(answers.answer, weight, k) + 0.5) / (weight.sum() + 0.5 * k)
    n_topics = int(answers.topic.max()) + 1 if answers.n_questions else 1
    topic = answers.topic[answers.question].astype(np.int64)
    counts = sums(topic * k + answers.answer, weight, n_topics * k).reshape(n_topics, k)
    return np.asarray((counts + 2 * overall) / (counts.sum(axis=1, keepdims=True) + 2), dtype=np.float64)


def _strength(own: Floats, total: Floats, prevalence: Floats, weight: Floats) -> float:
    """The strength under which the answers, each left out in turn, are the most likely."""
    scores = [float(weight @ np.log((own + strength * prevalence) / (total + strength))) for strength in STRENGTHS]
    return float(STRENGTHS[int(np.argmax(scores))])
