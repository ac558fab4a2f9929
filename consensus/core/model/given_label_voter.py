"""The given labels as one more voter, the last one.

Somebody or something gave the labels that the tasks came with, and mostly had a reason. Where annotators
contradict labels that turn out right nearly always, it takes more of them than where the given labels are noise.
What this voter says moves the posterior, never the counts: as evidence beside the crowd's
(`consensus.core.model.contradictions`), or, where there is too little to learn from what that is worth, as one
whose reliability is learned like an annotator's and who weighs at most as much as the average annotator.
"""

from dataclasses import replace

import numpy as np

from consensus.core.arrays import Flags, Names
from consensus.core.votes.classifications import Classifications, Listed
from consensus.core.votes.votes import NO, YES, Choice, Votes

NAME = "given labels"


def votes_on(votes: Votes, classifications: Classifications, listed: Listed) -> Flags:
    """(n_classifications,) bool: what the given labels vote on, in all tasks or a part of them."""
    of_task = np.isin(classifications.task, listed.task)
    if votes.choice == "each":
        return of_task
    return np.asarray(of_task & classifications.given & _usable(classifications, votes))


def can_vote(choice: Choice, n_votes: int, n_given: int) -> bool:
    """Whether the given labels say something, voting on so many classifications of which so many are given."""
    return 0 < n_given < n_votes if choice == "each" else n_votes > 0


def with_given_labels(votes: Votes, classifications: Classifications, voted: Flags) -> Votes:
    """Add what the given labels say of these classifications to the votes, as a voter after all others."""
    given = classifications.given[voted]
    name: Names = np.array([NAME], dtype=object)
    return replace(
        votes,
        task=np.append(votes.task, classifications.task[voted]),
        annotator=np.append(votes.annotator, np.full(len(given), votes.n_annotators, dtype=np.int32)),
        label=np.append(votes.label, classifications.label[voted]),
        vote=np.append(votes.vote, np.where(given, YES, NO)),
        annotator_names=np.append(votes.annotator_names, name),
    )


def _usable(classifications: Classifications, votes: Votes) -> Flags:
    """Of a single choice, only tasks that came with one label."""
    if votes.choice == "multiple":
        return np.ones(len(classifications), dtype=bool)
    given = np.bincount(classifications.task[classifications.given], minlength=votes.n_tasks)
    return np.asarray(given[classifications.task] == 1)
