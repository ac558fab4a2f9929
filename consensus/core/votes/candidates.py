"""A single choice among very many labels, asked as yes or no to the labels that somebody chose.

A confusion matrix has a cell for every pair of labels: too many to learn, and to hold, where there are thousands.
"""

from dataclasses import replace

import numpy as np

from consensus.core.arrays import Floats, Keys
from consensus.core.votes.classifications import Classifications, Gold, pack, unpack
from consensus.core.votes.votes import NO, NO_LABEL, YES, Votes


def as_questions(votes: Votes) -> Votes:
    """Turn each choice into a yes to the chosen label and a no to the labels that others chose for the task.

    Parameters
    ----------
    votes : Votes
        Of choice "single".

    Returns
    -------
    Votes
        Of choice "each".
    """
    spoken = votes.rows(votes.label != NO_LABEL)
    pairs = np.unique(pack(spoken.task, spoken.label, spoken.n_labels))
    task, label = unpack(pairs, spoken.n_labels)
    n_candidates = np.bincount(task, minlength=votes.n_tasks)
    first = np.cumsum(n_candidates) - n_candidates
    times = n_candidates[spoken.task]
    row = np.repeat(np.arange(len(spoken)), times)
    place = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
    asked = label[first[spoken.task[row]] + place]
    return replace(
        spoken,
        choice="each",
        task=spoken.task[row],
        annotator=spoken.annotator[row],
        label=asked,
        vote=np.where(asked == spoken.label[row], YES, NO),
    )


def gold_of_questions(gold: Gold, asked: Keys, n_labels: int) -> Gold:
    """Spell gold out on the questions: where the right label is known, the others are wrong."""
    task, label = unpack(asked, n_labels)
    right = np.isin(asked, pack(gold.task[gold.right], gold.label[gold.right], n_labels))
    wrong = np.isin(asked, pack(gold.task[~gold.right], gold.label[~gold.right], n_labels))
    has_gold = np.isin(task, gold.task[gold.right]) | wrong
    return Gold(task[has_gold], label[has_gold], right[has_gold])


def over_labels(posterior: Floats, questions: Classifications, classifications: Classifications) -> Floats:
    """Turn the answers to a task's questions into one distribution over all its labels.

    Parameters
    ----------
    posterior : (n_questions,) float64

    Returns
    -------
    (n_classifications,) float64
        What the questions of a task leave of 1 goes to its other labels, evenly; more than 1 is scaled down.
    """
    n_tasks = int(max(questions.task.max(initial=-1), classifications.task.max(initial=-1))) + 1
    total = np.bincount(questions.task, posterior, n_tasks)
    n_unasked = classifications.n_labels - np.bincount(questions.task, minlength=n_tasks)
    left = np.maximum(1 - total, 0.0) / np.maximum(n_unasked, 1)
    # Where every label was asked about, nothing is left for others.
    scale = np.where((total > 1) | (n_unasked == 0), np.where(total > 0, total, 1.0), 1.0)
    spread: Floats = left[classifications.task]
    asked = np.isin(classifications.keys, questions.keys)
    row = questions.rows_of(classifications.task[asked], classifications.label[asked])
    spread[asked] = posterior[row] / scale[classifications.task[asked]]
    return spread
