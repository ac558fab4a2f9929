"""The given labels as one more witness, whose reliability is learned like an annotator's.

Somebody or something gave the labels that the tasks came with, and mostly had a reason. Where annotators
contradict labels that turn out right nearly always, it takes more of them than where the given labels are noise.
The witness has no vote: it moves the posterior, never the counts or the weights of the votes. It weighs at most as
much as the average annotator, so that it cannot decide against those who looked.
"""

from dataclasses import replace

import numpy as np

from consensus.core.arrays import Flags
from consensus.core.votes.classifications import Classifications, Listed
from consensus.core.votes.votes import NO, YES, Choice, Votes

NAME = "given labels"


def with_witness(votes: Votes, classifications: Classifications, listed: Listed) -> Votes | None:
    """Add the given labels to the votes, as an annotator after all others.

    Parameters
    ----------
    votes : Votes
    classifications : Classifications
    listed : Listed

    Returns
    -------
    Votes or None
        None where the given labels say nothing: there are none, or a yes or no is asked of given ones alone.
    """
    said = said_by_witness(votes, classifications, listed)
    given = classifications.given[said]
    return add_witness(votes, classifications, said) if says(votes.choice, len(given), int(given.sum())) else None


def said_by_witness(votes: Votes, classifications: Classifications, listed: Listed) -> Flags:
    """(n_classifications,) bool: what the given labels speak of, in all tasks or a part of them."""
    spoken_of = np.isin(classifications.task, listed.task)
    if votes.choice == "each":
        return spoken_of
    return np.asarray(spoken_of & classifications.given & _usable(classifications, votes))


def says(choice: Choice, n_said: int, n_given: int) -> bool:
    """Whether the given labels say something, speaking of so many classifications of which so many are given."""
    return 0 < n_given < n_said if choice == "each" else n_said > 0


def add_witness(votes: Votes, classifications: Classifications, said: Flags) -> Votes:
    """Add what the given labels say to the votes, as an annotator after all others."""
    given = classifications.given[said]
    return replace(
        votes,
        task=np.append(votes.task, classifications.task[said]),
        annotator=np.append(votes.annotator, np.full(len(given), votes.n_annotators, dtype=np.int32)),
        label=np.append(votes.label, classifications.label[said]),
        vote=np.append(votes.vote, np.where(given, YES, NO)),
        annotator_names=np.append(votes.annotator_names, np.array([NAME], dtype=object)),
    )


def _usable(classifications: Classifications, votes: Votes) -> Flags:
    """Of a single choice, only tasks that came with one label."""
    if votes.choice == "multiple":
        return np.ones(len(classifications), dtype=bool)
    given = np.bincount(classifications.task[classifications.given], minlength=votes.n_tasks)
    return np.asarray(given[classifications.task] == 1)
