"""What annotators answered where it is known what is right."""

import numpy as np

from consensus.core.arrays import Codes, Keys
from consensus.core.votes.classifications import Gold
from consensus.core.votes.votes import UNSURE, YES, Votes


def gold_answers(votes: Votes, gold: Gold) -> tuple[Keys, Keys]:
    """Count each annotator's answers on tasks with gold, and the right ones.

    An answer of choices is right where it chooses every label that gold says is right and none that it says is
    wrong; unsure is no answer. Of yes and no each label is a question of its own.

    Returns
    -------
    answered, right : (n_annotators,) int64

    Examples
    --------
    >>> from consensus.core.votes.votes import Votes
    >>> code, name = np.array([0, 0], dtype=np.int32), np.array(["x", "y"], dtype=object)
    >>> votes = Votes("single", code, np.array([0, 1], np.int32), np.array([0, 1], np.int32), np.ones(2, np.int8),
    ...               name[:1], name, name)
    >>> answered, right = gold_answers(votes, Gold(code[:1], code[:1], np.array([True])))
    >>> answered.tolist(), right.tolist()
    ([1, 1], [1, 0])
    """
    n = votes.n_annotators
    rows = votes.rows((votes.vote != UNSURE) & np.isin(votes.task, gold.task))
    question = _question(votes, rows.task, rows.label)
    asked = _question(votes, gold.task, gold.label)
    place = rows.annotator.astype(np.int64)
    answers = np.unique(question[np.isin(question, asked)] * n + place[np.isin(question, asked)])
    if not len(answers):
        return np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    # Each answer beside each label that gold speaks of on its question.
    order = np.argsort(asked, kind="stable")
    first, end = (np.searchsorted(asked[order], answers // n, side=side) for side in ("left", "right"))
    of_answer = np.repeat(np.arange(len(answers)), end - first)
    position = np.arange(len(of_answer)) - np.repeat(np.cumsum(end - first) - (end - first), end - first)
    at = order[first[of_answer] + position]
    annotator = answers[of_answer] % n
    chosen = (rows.task.astype(np.int64) * (votes.n_labels + 1) + rows.label) * n + place
    spoken = (gold.task[at].astype(np.int64) * (votes.n_labels + 1) + gold.label[at]) * n + annotator
    says_yes = np.isin(spoken, chosen[rows.vote == YES])
    mistakes = np.bincount(of_answer, says_yes != gold.right[at], minlength=len(answers))
    who = answers % n
    return (
        np.bincount(who, minlength=n).astype(np.int64),
        np.bincount(who[mistakes == 0], minlength=n).astype(np.int64),
    )


def _question(votes: Votes, task: Codes, label: Codes) -> Keys:
    """Number the question that a row answers: its task, or one label of it."""
    numbers = task.astype(np.int64)
    return numbers * votes.n_labels + label if votes.choice == "each" else numbers
