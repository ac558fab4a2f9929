"""What one more vote is worth: how much it is expected to tell about what is still open.

A vote is an experiment on the truth of a question. What it is expected to tell is the mutual information of the
two (D. V. Lindley, Annals of Mathematical Statistics 27 (1956), 986-1005, doi:10.1214/aoms/1177728069):

    gain = H(vote) - H(vote | truth),        H(vote) = - sum over c of m(c) log2 m(c),
    m(c) = P(c) a + (1 - P(c)) (1 - a) / (k - 1),

for a question with k outcomes, of which outcome c is right with probability P(c), and an annotator who is right
with probability a = 1/k + trust (1 - 1/k) and wrong evenly. H(vote | truth) is the same for a P that is sure. The
gain is in bits: 0 where the outcome is known or the annotator guesses, 1 where a question of yes or no that stands
at evens is put to somebody who is always right. That further votes belong where the labels are least certain, and
not everywhere alike, is from V. S. Sheng, F. Provost, P. G. Ipeirotis, "Get another label?", KDD 2008, 614-622,
doi:10.1145/1401890.1401965.
"""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, sums
from consensus.core.routing.open_classifications import StoredClassifications

HIGHEST = 0.995
"""Nobody is taken to be always right."""


@dataclass(frozen=True, eq=False)
class Questions:
    """What is open of one control: of a single choice one question a task, else one a classification.

    Attributes
    ----------
    task : (n,) int32
    posterior : (n, k) float64
        Probability of each outcome; rows add up to 1.
    row : (n_rows,) int32
        The question that each row of the standing belongs to, -1 where it is not open.
    """

    task: Codes
    posterior: Floats
    row: Codes

    def __len__(self) -> int:
        return len(self.task)


def accuracy_of(trust: Floats, n_outcomes: int) -> Floats:
    """Turn chance-corrected trust into the probability of a right answer.

    Parameters
    ----------
    trust : (n_annotators,) float64
        0 is as good as guessing, 1 is always right; more, as policy label-ai allows, is taken for 1.
    n_outcomes : int
        At least 2.

    Examples
    --------
    >>> accuracy_of(np.array([0.0, 0.5]), 2).tolist()
    [0.5, 0.75]
    """
    chance = 1 / n_outcomes
    return np.asarray(np.clip(chance + trust * (1 - chance), chance, HIGHEST))


def information_gain(posterior: Floats, accuracy: Floats) -> Floats:
    """Expected information of one more vote on each question by each annotator.

    Parameters
    ----------
    posterior : (n, k) float64
        Probability of each of the k >= 2 outcomes; rows add up to 1.
    accuracy : (n_annotators,) float64
        Probability of a right answer, in [1 / k, 1].

    Returns
    -------
    (n, n_annotators) float64
        In bits, in [0, log2(k)].

    Examples
    --------
    >>> information_gain(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0.5, 1.0])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    n_others = posterior.shape[1] - 1
    gain = np.empty((len(posterior), len(accuracy)))
    for position, right in enumerate(accuracy):
        wrong = (1 - right) / n_others
        noise = _entropy(np.array([right, *[wrong] * n_others]))
        gain[:, position] = _entropy(wrong + (right - wrong) * posterior) - noise
    return np.maximum(gain, 0.0)


def open_questions(stored: StoredClassifications, is_open: Flags) -> Questions:
    """Put the open classifications of one control as questions.

    Parameters
    ----------
    is_open : (n_rows,) bool
        See `consensus.core.routing.open_classifications.open_rows`.
    """
    question = np.full(len(stored), -1, dtype=np.int32)
    if not stored.one_of_many:
        question[is_open] = np.arange(int(is_open.sum()), dtype=np.int32)
        right = stored.posterior[is_open]
        return Questions(stored.task[is_open], np.column_stack([right, 1 - right]), question)
    tasks = np.unique(stored.task[is_open])
    asked = np.isin(stored.task, tasks)
    position = np.searchsorted(tasks, stored.task[asked])
    question[is_open] = np.searchsorted(tasks, stored.task[is_open])
    posterior = np.full((len(tasks), stored.n_labels), np.nan)
    posterior[position, stored.label[asked]] = stored.posterior[asked]
    return Questions(tasks, _filled(posterior), question)


def gain_of_questions(questions: Questions, trust: Floats) -> Floats:
    """Expected information of a vote on each question, in bits, by annotators of a trust: (n, n_annotators)."""
    return information_gain(questions.posterior, accuracy_of(trust, questions.posterior.shape[1]))


def gain_by_task(questions: Questions, gain: Floats, n_tasks: int) -> Floats:
    """Add up what one annotation, which answers all open questions of a control, is expected to tell.

    Parameters
    ----------
    gain : (n, n_annotators) float64

    Returns
    -------
    (n_tasks, n_annotators) float64
    """
    columns = [sums(questions.task, column, n_tasks) for column in gain.T]
    return np.array(columns, dtype=np.float64).reshape(gain.shape[1], n_tasks).T


def gain_of_new_task(stored: StoredClassifications, trust: Floats) -> Floats:
    """Expected information of a first vote on a task of which nothing is known but what the other tasks are like.

    Its labels are as likely as they are right on the mean, and asked as often.

    Returns
    -------
    (n_annotators,) float64
    """
    rows = np.bincount(stored.label, minlength=stored.n_labels)
    right = sums(stored.label, stored.posterior, stored.n_labels) / np.maximum(rows, 1)
    posterior, often = np.column_stack([right, 1 - right]), rows / max(len(np.unique(stored.task)), 1)
    if stored.one_of_many:
        posterior, often = _filled(np.where(rows > 0, right, np.nan)[None, :]), np.ones(1)
    return np.asarray(often @ information_gain(posterior, accuracy_of(trust, posterior.shape[1])))


def mean_trust(trust: Floats, votes: Floats) -> float:
    """Trust of somebody unknown: the average annotator's, each counted by their votes."""
    return float(np.average(trust, weights=votes)) if votes.sum() > 0 else 0.5


def _filled(posterior: Floats) -> Floats:
    """Spread what the known labels leave evenly over those without a row; let every row add up to 1."""
    unknown = np.isnan(posterior)
    left = np.clip(1 - np.nansum(posterior, axis=1), 0.0, 1.0)
    share = left / np.maximum(unknown.sum(axis=1), 1)
    whole = np.where(unknown, share[:, None], posterior)
    return np.asarray(whole / np.maximum(whole.sum(axis=1, keepdims=True), 1e-300))


def _entropy(probability: Floats) -> Floats:
    """Entropy in bits along the last axis."""
    return np.asarray(-(probability * np.log2(np.maximum(probability, 1e-300))).sum(axis=-1))
