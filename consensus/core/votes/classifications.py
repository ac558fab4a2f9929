"""Classifications: every (task, label) that has a vote or is listed, and the votes added up on each."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, Keys, counts, sums
from consensus.core.votes.votes import NO, NO_LABEL, UNSURE, YES, Choice, Votes, submission_keys

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
class Suggestions:
    """What a model suggests.

    Attributes
    ----------
    task, label : (n,) int32
        Codes as in the votes.
    score : (n,) float64
        In [0, 1].
    """

    task: Codes
    label: Codes
    score: Floats


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
        size = self.n_labels
        if not self._complete:
            return np.searchsorted(self.keys, pack(task, label, size)).astype(np.int32)
        tasks = self.task[::size]
        place = task if tasks[-1] + 1 == len(tasks) else np.searchsorted(tasks, task).astype(np.int32)
        return (place * np.int32(size) + label).astype(np.int32)

    @property
    def _complete(self) -> bool:
        """Whether each task has all labels, so that a row can be said without a search."""
        size = self.n_labels
        if not len(self) or len(self) % size:
            return False
        return bool((self.task[::size] == self.task[size - 1 :: size]).all())


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
    listed : Listed
        Where a classification is listed twice, the last row counts.
    all_labels : bool, optional
        Whether those that nobody chose are there, where the votes are a part of more; `lists_all` by default.
    """
    n_labels = votes.n_labels
    if votes.choice == "each":
        voted = np.unique(pack(votes.task, votes.label, n_labels))
    elif not (lists_all(votes) if all_labels is None else all_labels):
        chosen = votes.label != NO_LABEL
        voted = np.unique(pack(votes.task[chosen], votes.label[chosen], n_labels))
    else:
        tasks = np.flatnonzero(counts(votes.task, votes.n_tasks))
        voted = (tasks[:, None] * n_labels + np.arange(n_labels)).ravel()
    listed_keys = pack(listed.task, listed.label, n_labels)
    keys = np.unique(np.concatenate([voted, listed_keys])) if len(listed_keys) else voted
    del voted
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


def truth_of(rows: Classifications, gold: Gold, choice: Choice) -> tuple[Flags, Flags]:
    """Return which classifications are known to be right, and which to be wrong."""
    keys = pack(gold.task, gold.label, rows.n_labels)
    named = gold.label >= 0
    right = np.isin(rows.keys, keys[named & gold.right])
    wrong = np.isin(rows.keys, keys[named & ~gold.right])
    if choice == "single":
        wrong |= np.isin(rows.task, gold.task[gold.right]) & ~right
    return right, wrong & ~right


def tally(votes: Votes, classifications: Classifications, weight: Floats | None = None) -> Tally:
    """Add up the votes on each classification.

    Parameters
    ----------
    classifications : Classifications
        Made by `classify` from the same votes.
    weight : (n_annotators,) float64, optional
        What a vote of each annotator counts; 1 by default.

    Returns
    -------
    Tally
        Of n rows, as `classifications` has.
    """
    size = len(classifications)
    if votes.choice == "each":
        row = classifications.rows_of(votes.task, votes.label)
        yes, no, unsure = (_added(row, votes, votes.vote == stand, weight, size) for stand in (YES, NO, UNSURE))
        return Tally(yes, no, unsure)
    chosen = votes.label != NO_LABEL
    choosing = votes if chosen.all() else votes.rows(chosen)
    yes = _added(
        classifications.rows_of(choosing.task, choosing.label), choosing, choosing.vote == YES, weight, size
    )
    empty = ~chosen & (votes.vote == UNSURE)
    skipped: Floats = np.broadcast_to(0.0, size)  # mostly nobody skips, and one zero will do
    if empty.any():
        skipped = _added(votes.task, votes, empty, weight, votes.n_tasks)[classifications.task]
    no = _submitted(votes, weight)[classifications.task]
    # What was neither chosen nor skipped was turned down; rounding must not leave a trace of a vote there.
    trace = 1e-9 * np.maximum(no, 1.0)
    no -= yes
    no -= skipped
    no[no <= trace] = 0.0
    return Tally(yes, no, skipped)


def _added(group: Codes, votes: Votes, chosen: Flags, weight: Floats | None, size: int) -> Floats:
    """Add up by group what some of the votes weigh; 1 each without weights."""
    if not chosen.all():
        group = group[chosen]
    if weight is None:
        return counts(group, size).astype(np.float64)
    annotator = votes.annotator if len(group) == len(votes) else votes.annotator[chosen]
    return sums(group, weight[annotator], size)


def _submitted(votes: Votes, weight: Floats | None) -> Floats:
    """Weight of the submissions per task, each counted once however many labels it chose."""
    every = np.ones(len(votes), dtype=bool)
    if votes.choice == "single":
        return _added(votes.task, votes, every, weight, votes.n_tasks)
    first = votes.rows(np.unique(submission_keys(votes), return_index=True)[1].astype(np.int32))
    return _added(first.task, first, every[: len(first)], weight, votes.n_tasks)
