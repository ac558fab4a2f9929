"""Votes: the long table of who said what, in columns."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Codes, Flags, Keys, Names, Stands
from consensus.errors import VotesError

Choice = Literal["single", "multiple", "each"]
"""How a row speaks: of one label among many, of some labels among many, or of itself alone."""

YES, NO, UNSURE = np.int8(1), np.int8(-1), np.int8(0)
STANDS = {"yes": YES, "no": NO, "unsure": UNSURE}
"""What a vote is called outside of the arrays."""
NO_LABEL = np.int32(-1)
"""The label of a submission that chose none: `UNSURE` when it was skipped, `NO` when nothing fitted."""


@dataclass(frozen=True, eq=False)
class Votes:
    """Votes on the classifications of one control.

    With ``choice="each"`` a row is one vote on one (task, label). With ``"single"`` and ``"multiple"``
    a row is a label that an annotator chose (yes); no to the control's other labels is implied and takes
    no room, and a submission without a chosen label is one row with label `NO_LABEL`.

    Attributes
    ----------
    choice : {"single", "multiple", "each"}
    task, annotator, label : (n_rows,) int32
        Codes: positions in the names below; `label` may be `NO_LABEL`.
    vote : (n_rows,) int8
        `YES` (1), `NO` (-1) or `UNSURE` (0).
    task_names, annotator_names, label_names : (n_tasks,), (n_annotators,), (n_labels,) object
    """

    choice: Choice
    task: Codes
    annotator: Codes
    label: Codes
    vote: Stands
    task_names: Names
    annotator_names: Names
    label_names: Names

    def __post_init__(self) -> None:
        """Refuse columns that cannot belong together.

        Raises
        ------
        VotesError
            Where columns differ in length, a code or a vote is out of its range, or a vote does not suit
            its label.
        """
        if self.choice not in get_args(Choice):
            raise VotesError(f"choice is {self.choice!r}; use one of {', '.join(get_args(Choice))}")
        lengths = {column: len(getattr(self, column)) for column in ("task", "annotator", "label", "vote")}
        if len(set(lengths.values())) != 1:
            raise VotesError(f"the columns of the votes differ in length: {lengths}")
        for column in ("task", "annotator", "label"):
            codes, names = getattr(self, column), getattr(self, f"{column}_names")
            lowest = NO_LABEL if column == "label" and self.choice != "each" else 0
            if codes.size and (codes.min() < lowest or codes.max() >= len(names)):
                raise VotesError(f"a code of column {column!r} lies outside its {len(names)} names")
        if self.vote.size and (self.vote.min() < NO or self.vote.max() > YES):
            raise VotesError("a vote is neither yes (1), no (-1) nor unsure (0)")
        if self.choice != "each" and ((self.label == NO_LABEL) == (self.vote == YES)).any():
            raise VotesError(
                f"with choice {self.choice!r} a label is chosen with yes (1), and a submission without a label "
                "is no (-1) or unsure (0)"
            )

    def __len__(self) -> int:
        return len(self.task)

    @property
    def n_tasks(self) -> int:
        """Number of tasks, voted on or not."""
        return len(self.task_names)

    @property
    def n_annotators(self) -> int:
        """Number of annotators."""
        return len(self.annotator_names)

    @property
    def n_labels(self) -> int:
        """Number of labels of the control."""
        return len(self.label_names)

    def rows(self, chosen: Flags | Codes) -> "Votes":
        """Return the votes of some rows, a mask or positions; the names stay."""
        return replace(
            self,
            task=self.task[chosen],
            annotator=self.annotator[chosen],
            label=self.label[chosen],
            vote=self.vote[chosen],
        )


def encode(values: "list[str] | Names", first: "list[str] | Names" = ()) -> tuple[Codes, Names]:  # type: ignore[assignment]
    """Turn names into codes.

    Parameters
    ----------
    values : (n,) str
    first : (m,) str, optional
        Names that get the first codes, in this order, whether they occur or not.

    Returns
    -------
    codes : (n,) int32
    names : (n_names,) object
        The first names, then the others in order of appearance.

    Examples
    --------
    >>> codes, names = encode(["b", "a", "b"], first=["a"])
    >>> codes.tolist(), names.tolist()
    ([1, 0, 1], ['a', 'b'])
    """
    positions = {name: position for position, name in enumerate(dict.fromkeys(first))}
    codes = np.fromiter(
        (positions.setdefault(value, len(positions)) for value in values), np.int32, count=len(values)
    )
    names = np.empty(len(positions), dtype=object)
    names[:] = list(positions)
    return codes, names


def latest(votes: Votes) -> tuple[Votes, int]:
    """Keep an annotator's last vote on each classification.

    In a single-choice control a later choice replaces the earlier one of the same annotator and task. In a
    multiple-choice control a submission without a label replaces all earlier rows, and any later label
    replaces it.

    Returns
    -------
    votes : Votes
        In the order of the rows that stayed.
    n_replaced : int
        How many rows were replaced by a later one.
    """
    stays = _not_contradicted(votes) if votes.choice == "multiple" else None
    remaining = votes if stays is None or len(stays) == len(votes) else votes.rows(stays.astype(np.int32))
    keys = _classification_keys(remaining)
    ordered = np.sort(keys)
    if (ordered[1:] != ordered[:-1]).all():  # nearly always, and then nothing has to be copied
        return remaining, len(votes) - len(remaining)
    order = np.argsort(keys, kind="stable")  # rows of one key stay in order of appearance
    is_last = np.append(keys[order][1:] != keys[order][:-1], True)
    last = remaining.rows(np.sort(order[is_last]).astype(np.int32))
    return last, len(votes) - len(last)


def _classification_keys(votes: Votes) -> Keys:
    """(n_rows,) int64: one number for an annotator and what a later vote replaces, the task or its label."""
    keys = submission_keys(votes)
    if votes.choice == "single" or not len(keys):
        return keys
    size = votes.n_labels + 1
    if int(keys.max()) > np.iinfo(np.int64).max // size - 1:
        keys = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    keys *= size
    keys += votes.label + 1
    return keys


def _not_contradicted(votes: Votes) -> NDArray[np.intp]:
    """Rows of a multiple-choice control that no later one of the same submission makes untrue."""
    _, submission = np.unique(submission_keys(votes), return_inverse=True)
    row = np.arange(len(votes))
    empty = votes.label == NO_LABEL
    last, last_empty = np.full((2, len(votes)), -1)
    np.maximum.at(last, submission, row)
    np.maximum.at(last_empty, submission[empty], row[empty])
    of_row = last_empty[submission]
    return np.flatnonzero((row > of_row) | ((row == of_row) & (row == last[submission])))


def submission_keys(votes: Votes) -> Keys:
    """Pack task and annotator of each row into one number, (n_rows,) int64."""
    return votes.task.astype(np.int64) * max(votes.n_annotators, 1) + votes.annotator


def spelled_out(votes: Votes) -> Votes:
    """Write a multiple-choice control's implied votes out, one row per submission and label.

    Parameters
    ----------
    votes : Votes
        Of choice "multiple".

    Returns
    -------
    Votes
        Of choice "each": yes where a label was chosen, no where it was not, unsure on every label
        where the task was skipped.
    """
    keys, submission = np.unique(submission_keys(votes), return_inverse=True)
    vote = np.full((len(keys), votes.n_labels), NO)
    chosen = votes.label != NO_LABEL
    vote[submission[(~chosen) & (votes.vote == UNSURE)]] = UNSURE
    vote[submission[chosen], votes.label[chosen]] = votes.vote[chosen]
    return replace(
        votes,
        choice="each",
        task=np.repeat((keys // max(votes.n_annotators, 1)).astype(np.int32), votes.n_labels),
        annotator=np.repeat((keys % max(votes.n_annotators, 1)).astype(np.int32), votes.n_labels),
        label=np.tile(np.arange(votes.n_labels, dtype=np.int32), len(keys)),
        vote=vote.ravel(),
    )


def asked_only(votes: Votes, task: Codes, label: Codes) -> Votes:
    """Write a multiple-choice control's implied votes out where somebody asks: for many labels and many tasks.

    Parameters
    ----------
    votes : Votes
        Of choice "multiple".
    task, label : (n,) int32
        Classifications that are asked about beside those that somebody chose.

    Returns
    -------
    Votes
        As of `spelled_out`, but of a task only the labels that somebody chose for it or that are asked about.
        A task nobody chose anything for and nothing is asked about has no rows.
    """
    size = max(votes.n_labels, 1)
    chosen = votes.label != NO_LABEL
    pairs = np.append(votes.task[chosen], task).astype(np.int64) * size + np.append(votes.label[chosen], label)
    asked_task, asked_label = np.divmod(np.unique(pairs), size)
    keys, submission = np.unique(submission_keys(votes), return_inverse=True)
    of_task, of_annotator = np.divmod(keys, max(votes.n_annotators, 1))
    first, last = np.searchsorted(asked_task, of_task), np.searchsorted(asked_task, of_task, side="right")
    start = np.cumsum(last - first) - (last - first)
    row = np.repeat(np.arange(len(keys)), last - first)
    place = np.arange(len(row)) - start[row] + first[row]
    vote = np.full(len(row), NO)
    skipped = np.isin(np.arange(len(keys)), submission[~chosen & (votes.vote == UNSURE)])
    vote[skipped[row]] = UNSURE
    submission_of_choice = submission[chosen]
    at = np.searchsorted(
        asked_task * size + asked_label, votes.task[chosen].astype(np.int64) * size + votes.label[chosen]
    )
    vote[start[submission_of_choice] + at - first[submission_of_choice]] = votes.vote[chosen]
    return replace(
        votes,
        choice="each",
        task=of_task[row].astype(np.int32),
        annotator=of_annotator[row].astype(np.int32),
        label=asked_label[place].astype(np.int32),
        vote=vote,
    )
