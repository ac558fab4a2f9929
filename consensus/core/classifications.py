"""Classifications: every (task, label) that has a vote or is listed, and the votes added up on each."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, Keys, sums
from consensus.core.votes import NO, NO_LABEL, UNSURE, YES, Choice, Votes

FEW_LABELS, MANY_ROWS = 100, 5_000_000
"""With more labels than these, and more pairs of a task (or a submission) and a label than those, the labels that
nobody chose for a task are left out: there would be billions of them, and nothing to say of any."""


@dataclass(frozen=True, eq=False)
class Listed:
    """Classifications that are reported even without a vote.

    Attributes
    ----------
    task, label : (n,) int32
        Codes as in the votes.
    given : (n,) bool
        True where the task came with the label, False for a candidate.
    """

    task: Codes
    label: Codes
    given: Flags


@dataclass(frozen=True, eq=False)
class Gold:
    """Classifications whose truth is known.

    Attributes
    ----------
    task, label : (n,) int32
        Codes as in the votes.
    right : (n,) bool
        Whether the label is right for the task. For a single-choice control the right labels suffice.
    """

    task: Codes
    label: Codes
    right: Flags


@dataclass(frozen=True, eq=False)
class Classifications:
    """The rows of the result, ordered by task, then label.

    Attributes
    ----------
    task, label : (n,) int32
    given, listed : (n,) bool
        Whether the task came with the label; whether the row is in the result even without a vote.
    n_labels : int
        Number of labels of the control.
    """

    task: Codes
    label: Codes
    given: Flags
    listed: Flags
    n_labels: int

    def __len__(self) -> int:
        return len(self.task)

    @property
    def keys(self) -> Keys:
        """(n,) int64, ascending: task and label packed into one number."""
        return pack(self.task, self.label, self.n_labels)

    def rows_of(self, task: Codes, label: Codes) -> Codes:
        """Return the row of each (task, label); all of them must be there."""
        return np.searchsorted(self.keys, pack(task, label, self.n_labels)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Tally:
    """Votes, or their weights, added up per classification: three columns of (n,) float64."""

    yes: Floats
    no: Floats
    unsure: Floats


def pack(task: Codes, label: Codes, n_labels: int) -> Keys:
    """Pack (task, label) into one int64 that sorts by task, then label."""
    return task.astype(np.int64) * max(n_labels, 1) + label


def unpack(keys: Keys, n_labels: int) -> tuple[Codes, Codes]:
    """Take what `pack` made apart again: the tasks and the labels."""
    task, label = np.divmod(keys, max(n_labels, 1))
    return task.astype(np.int32), label.astype(np.int32)


def lists_all(votes: Votes) -> bool:
    """Whether all labels of a task that has votes are classified, chosen by somebody or not."""
    return lists_all_of(votes.choice, votes.n_tasks, len(votes), votes.n_labels)


def lists_all_of(choice: Choice, n_tasks: int, n_votes: int, n_labels: int) -> bool:
    """Say the same of so many votes."""
    return choice != "single" or not too_many(min(n_tasks, n_votes), n_labels)


def too_many(n: int, n_labels: int) -> bool:
    """Whether all pairs of n things and the labels are too many to write out."""
    return n_labels > FEW_LABELS and n * n_labels > MANY_ROWS


def classify(votes: Votes, listed: Listed, *, all_labels: bool | None = None) -> Classifications:
    """Find every classification that has a vote or is listed.

    A submission to a single- or multiple-choice control votes on all of the control's labels; in a single choice,
    where these are too many (`lists_all`), those that nobody chose for the task are left out.

    Parameters
    ----------
    votes : Votes
    listed : Listed
        Where a classification is listed twice, the last row counts.
    all_labels : bool, optional
        Whether those that nobody chose are there, where the votes are a part of more; `lists_all` by default.

    Returns
    -------
    Classifications
    """
    n_labels = votes.n_labels
    if votes.choice == "each":
        voted = pack(votes.task, votes.label, n_labels)
    elif not (lists_all(votes) if all_labels is None else all_labels):
        chosen = votes.label != NO_LABEL
        voted = pack(votes.task[chosen], votes.label[chosen], n_labels)
    else:
        tasks = np.unique(votes.task).astype(np.int64)
        voted = (tasks[:, None] * n_labels + np.arange(n_labels)).ravel()
    listed_keys = pack(listed.task, listed.label, n_labels)
    keys = np.unique(np.concatenate([voted, listed_keys]))
    task, label = unpack(keys, n_labels)
    given = np.zeros(len(keys), dtype=bool)
    given[np.searchsorted(keys, listed_keys)] = listed.given
    is_listed = np.zeros(len(keys), dtype=bool)
    is_listed[np.searchsorted(keys, listed_keys)] = True
    return Classifications(
        task=task,
        label=label,
        given=given,
        listed=is_listed,
        n_labels=n_labels,
    )


def tally(votes: Votes, classifications: Classifications, weight: Floats | None = None) -> Tally:
    """Add up the votes on each classification.

    Parameters
    ----------
    votes : Votes
    classifications : Classifications
        Made by `classify` from the same votes.
    weight : (n_annotators,) float64, optional
        What a vote of each annotator counts; 1 by default.

    Returns
    -------
    Tally
        Of n rows, as `classifications` has.
    """
    weights = np.ones(len(votes)) if weight is None else weight[votes.annotator]
    size = len(classifications)
    chosen = votes.label != NO_LABEL
    row = classifications.rows_of(votes.task[chosen], votes.label[chosen])
    of_row = {
        stand: sums(row, weights[chosen] * (votes.vote[chosen] == stand), size) for stand in (YES, NO, UNSURE)
    }
    if votes.choice == "each":
        return Tally(of_row[YES], of_row[NO], of_row[UNSURE])
    skipped = sums(votes.task, weights * (~chosen & (votes.vote == UNSURE)), votes.n_tasks)[classifications.task]
    submitted = _submitted(votes, weights)[classifications.task]
    # What was neither chosen nor skipped was turned down; rounding must not leave a trace of a vote there.
    no = submitted - of_row[YES] - skipped
    return Tally(of_row[YES], np.where(no > 1e-9 * np.maximum(submitted, 1.0), no, 0.0), skipped)


def _submitted(votes: Votes, weights: Floats) -> Floats:
    """Weight of the submissions per task, each counted once however many labels it chose."""
    if votes.choice == "single":
        return sums(votes.task, weights, votes.n_tasks)
    key = votes.task.astype(np.int64) * max(votes.n_annotators, 1) + votes.annotator
    _, first = np.unique(key, return_index=True)
    return sums(votes.task[first], weights[first], votes.n_tasks)
