"""Agreement with the consensus, and what is most often taken for what."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Floats, Keys, sums
from consensus.core.people.answers import NO_CODE, YES_CODE, Answers
from consensus.core.votes.classifications import pack
from consensus.core.votes.votes import Choice

LEAST_LIKELY = 1e-3
"""Probability below which a label is not counted as what the consensus may believe."""


@dataclass(frozen=True, eq=False)
class Believed:
    """What the consensus believes of the answers that somebody gave, row by row of the answers.

    Attributes
    ----------
    row : (n_entries,) int64
    truth : (n_entries,) int32
        An answer that the consensus holds for likely.
    probability : (n_entries,) float64
    """

    row: Keys
    truth: Codes
    probability: Floats


@dataclass(frozen=True, eq=False)
class Confusions:
    """What is taken for what; columns of (n,), by annotator, the most frequent first.

    Attributes
    ----------
    annotator, topic, answer, truth : int32
        The annotator gave an answer where the consensus believes another; `topic` is the label in question.
    times : float64
        Expected number: the probabilities of the other answer, added up.
    """

    annotator: Codes
    topic: Codes
    answer: Codes
    truth: Codes
    times: Floats


def believed(
    answers: Answers, choice: Choice, task: Codes, label: Codes, posterior: Floats, n_labels: int
) -> Believed:
    """Look up what the consensus believes of each answered question.

    Parameters
    ----------
    choice : {"single", "multiple", "each"}
    task, label : (n,) int32
        The classifications, ordered by task, then label.
    posterior : (n,) float64
        In [0, 1].
    """
    if choice != "single":
        row = np.searchsorted(
            pack(task, label, n_labels), pack(answers.task, answers.topic, n_labels)[answers.question]
        )
        yes = posterior[row]
        rows = np.arange(len(answers))
        both = np.concatenate([np.full(len(rows), YES_CODE), np.full(len(rows), NO_CODE)]).astype(np.int32)
        return Believed(np.concatenate([rows, rows]), both, np.concatenate([yes, 1 - yes]))
    likely = posterior >= LEAST_LIKELY
    task, label, posterior = task[likely], label[likely], posterior[likely]
    asked_task = answers.task[answers.question]
    start = np.searchsorted(task, asked_task)
    size = np.searchsorted(task, asked_task, side="right") - start
    row = np.repeat(np.arange(len(answers)), size)
    at = np.repeat(start - (np.cumsum(size) - size), size) + np.arange(len(row))
    return Believed(row, label[at], posterior[at])


def agreement_with_consensus(answers: Answers, belief: Believed) -> Floats:
    """Share of an annotator's answers that the consensus holds for the most likely; a tie counts in parts.

    Returns
    -------
    (n_annotators,) float64
        NaN where there are no answers.
    """
    best = np.zeros(len(answers))
    np.maximum.at(best, belief.row, belief.probability)
    top = belief.probability >= best[belief.row] - 1e-12
    tied = np.bincount(belief.row[top], minlength=len(answers))
    hit = top & (belief.truth == answers.answer[belief.row])
    agreed = sums(answers.annotator[belief.row[hit]], 1 / tied[belief.row[hit]], answers.n_annotators)
    count = np.bincount(answers.annotator, minlength=answers.n_annotators)
    with np.errstate(invalid="ignore"):
        return np.asarray(agreed / np.where(count > 0, count, np.nan), dtype=np.float64)


def confusions(answers: Answers, belief: Believed, most: int = 3) -> Confusions:
    """Find the most frequent confusions of each annotator.

    Parameters
    ----------
    most : int
        How many of an annotator's confusions to return; those expected less than half a time are left out.
    """
    wrong = belief.truth != answers.answer[belief.row]
    row, truth = belief.row[wrong], belief.truth[wrong]
    k = max(answers.n_answers, 1)
    n_topics = int(answers.topic.max()) + 1 if len(answers.topic) else 1
    key = answers.annotator[row].astype(np.int64) * n_topics + answers.topic[answers.question[row]]
    key = (key * k + answers.answer[row]) * k + truth
    cells, at = np.unique(key, return_inverse=True)
    times = sums(at, belief.probability[wrong], len(cells))
    remainder, truths = np.divmod(cells, k)
    remainder, answer = np.divmod(remainder, k)
    who, topic = np.divmod(remainder, n_topics)
    order = np.lexsort((cells, -times, who))
    place = np.arange(len(order)) - np.searchsorted(who[order], who[order])
    frequent = order[(place < most) & (times[order] >= 0.5)]  # noqa: PLR2004 - rounds to one time
    who, topic, answer, truths = (column[frequent].astype(np.int32) for column in (who, topic, answer, truths))
    return Confusions(who, topic, answer, truths, times[frequent])


def confusion_matrix(answers: Answers, belief: Believed) -> Floats:
    """Count what each annotator says where the consensus believes what.

    Returns
    -------
    (n_annotators, n_answers, n_answers) float64
        Expected numbers: an answer's row has the probabilities of what is true, added up.
    """
    k = answers.n_answers
    cell = (answers.annotator[belief.row].astype(np.int64) * k + answers.answer[belief.row]) * k + belief.truth
    return sums(cell, belief.probability, answers.n_annotators * k * k).reshape(-1, k, k)
