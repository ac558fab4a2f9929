"""The ML backend's suggestions as one more voter, whose worth is learned like an annotator's.

Suggestions of about the same score vote together, as an annotator of their own: so their votes count as much as
suggestions of that score have proved right, whatever the model says of itself. They weigh at most as much as the
average annotator (see `consensus.core.decide.scoring`) and are no votes in the counts: without people nothing is
decided.
The idea of a model among the annotators is CROWDLAB's (H. W. Goh, U. Tkachenko, J. Mueller, "CROWDLAB: Supervised
learning to infer consensus labels and quality scores for data with multiple annotators", 2022, arXiv:2210.06812).
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from consensus.core.arrays import Codes, Floats, Names, Stands
from consensus.core.votes.classifications import Classifications, Suggestions, pack
from consensus.core.votes.votes import NO, UNSURE, YES, Votes, submission_keys

NAME = "model"
MOST_GROUPS, GROUP = 4, 50
"""Suggestions are cut by score into at most so many groups of about the same size, of no fewer tasks than that."""


def with_model_voter(votes: Votes, classifications: Classifications, suggestions: Suggestions) -> Votes:
    """Add suggestions to the votes, as annotators after all others.

    Parameters
    ----------
    suggestions : Suggestions
        Of a single choice the label with the highest score votes; of a multiple choice all labels do; where yes
        and no are asked, a label is answered with yes if it is suggested for its task, else with no.

    Returns
    -------
    Votes
        With an annotator for each group of scores. The same votes where fewer than `GROUP` suggestions are for
        tasks that two annotators voted on: where a person and a model contradict each other, nobody can say who is
        wrong, and so not what either is worth.
    """
    if np.isin(np.unique(suggestions.task), np.flatnonzero(_annotators_each(votes) > 1)).sum() < GROUP:
        return votes
    task, label = suggestions.task, suggestions.label
    best = np.zeros(votes.n_tasks)
    np.maximum.at(best, task, suggestions.score)
    if votes.choice == "single":
        order = np.lexsort((label, -suggestions.score, task))
        first = order[np.unique(task[order], return_index=True)[1]]
        task, label = task[first], label[first]
    vote: Stands = np.full(len(task), YES)
    if votes.choice == "each":
        asked = np.isin(classifications.task, task)
        is_suggested = np.isin(classifications.keys[asked], pack(task, label, votes.n_labels))
        vote = np.where(is_suggested, YES, NO)
        task, label = classifications.task[asked], classifications.label[asked]
    group, names = _groups(best, np.unique(suggestions.task))
    return replace(
        votes,
        task=np.append(votes.task, task),
        annotator=np.append(votes.annotator, votes.n_annotators + group[task]).astype(np.int32),
        label=np.append(votes.label, label),
        vote=np.append(votes.vote, vote),
        annotator_names=np.append(votes.annotator_names, names),
    )


def _annotators_each(votes: Votes) -> Codes:
    """(n_tasks,): how many annotators said something of each task."""
    pairs = np.unique(submission_keys(votes)[votes.vote != UNSURE])
    return np.bincount(pairs // max(votes.n_annotators, 1), minlength=votes.n_tasks).astype(np.int32)


def _groups(score: Floats, tasks: Codes) -> tuple[Codes, Names]:
    """Group of each task by its score, and what the groups are called."""
    n_groups = int(np.clip(len(tasks) // GROUP, 1, MOST_GROUPS))
    cuts = np.unique(np.quantile(score[tasks], np.arange(1, n_groups) / n_groups))
    bounds = [0.0, *cuts.tolist(), 1.0]
    names: Names = np.array(
        [f"{NAME} (score {low:.2f} to {high:.2f})" for low, high in pairwise(bounds)],
        dtype=object,
    )
    return np.searchsorted(cuts, score, side="right").astype(np.int32), names
