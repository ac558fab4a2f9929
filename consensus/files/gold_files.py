"""Gold from a file: tasks whose truth is known."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from consensus.core.arrays import Codes, Flags, Keys
from consensus.core.votes.classifications import Gold, Listed, pack, unpack
from consensus.core.votes.votes import Votes
from consensus.errors import VotesError
from consensus.files.flags import check_repeats, flags_of
from consensus.files.text_columns import codes_of, place, positions, read_columns


def read_gold(path: Path | None, votes: Votes, listed: Listed) -> tuple[Gold, list[str]]:
    """Read what is known to be right and wrong of the tasks of the votes.

    Without a column `right` the file names all the right labels of its tasks: their other labels are wrong. With
    it, only what is named is known; in a single choice, where one label is right, the others are wrong.

    Parameters
    ----------
    path : Path or None
        Columns `task,label` and optionally `right` (1 or 0).
    votes : Votes
    listed : Listed

    Returns
    -------
    gold : Gold
        Of the tasks that have votes or are listed. A right label that is not among the names is `NO_LABEL`: only
        in a single choice, where it says that all the names are wrong.
    notes : list of str
        What was left out.

    Raises
    ------
    VotesError
        Where the file cannot be read, or contradicts itself; the message names the line.
    """
    none: Codes = np.zeros(0, dtype=np.int32)
    if path is None:
        return Gold(none, none, np.zeros(0, dtype=bool)), []
    table = read_columns(path, (("task", "label"),), optional=("right",))
    right = flags_of(table, "right", path, "or 0 for a label that is wrong")
    notes = _check(table, right, votes.choice == "single", path)
    task, label = positions(table["task"], votes.task_names), positions(table["label"], votes.label_names)
    there = task >= 0
    missing = len(set(np.array(table["task"].to_pylist(), dtype=object)[~there].tolist()))
    if missing:
        notes.append(f"{path}: {missing} gold tasks have no vote and are not listed; they have no effect")
    gold = Gold(task[there], label[there], right[there])
    if votes.choice != "single":
        complete = "right" not in table.column_names
        return (_spelled_out(gold, votes, listed) if complete else _of_names(gold)), notes
    return gold, notes


def _check(table: pa.Table, right: Flags, single: bool, path: Path) -> list[str]:  # noqa: FBT001  # one of two kinds
    task, _ = codes_of(table["task"])
    label, names = codes_of(table["label"])
    repeated = check_repeats(task, label, right, len(names), path, "right")
    if single:
        rows = np.flatnonzero(right)
        _, first, of_task = np.unique(task[rows], return_index=True, return_inverse=True)
        second = rows[label[rows] != label[rows][first][of_task]]
        if second.size:
            row = int(second.min())
            raise VotesError(
                f"{place(path, row)}: task {table['task'][row].as_py()!r} has another right label above, and in a "
                "single choice one is right; take one out"
            )
    return [f"{path}: {repeated} rows repeat an earlier one"] if repeated else []


def _of_names(gold: Gold) -> Gold:
    named = gold.label >= 0
    return Gold(gold.task[named], gold.label[named], gold.right[named])


def _spelled_out(gold: Gold, votes: Votes, listed: Listed) -> Gold:
    """What is named is right, and all else that the tasks are asked about is wrong."""
    size = votes.n_labels
    tasks = np.unique(gold.task)
    asked: Keys
    if votes.choice == "multiple":
        asked = (tasks.astype(np.int64)[:, None] * size + np.arange(size)).ravel()
    else:
        task, label = np.append(votes.task, listed.task), np.append(votes.label, listed.label)
        asked = np.unique(pack(task, label, size)[np.isin(task, tasks)])
    asked_task, asked_label = unpack(asked, size)
    named = _of_names(gold)
    return Gold(asked_task, asked_label, np.isin(asked, pack(named.task, named.label, size)))
