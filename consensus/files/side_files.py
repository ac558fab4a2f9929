"""Tables beside the votes: given labels, trust set by hand, gold, and a model's suggestions."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np

from consensus.core.arrays import Codes, Floats, Keys, Names
from consensus.core.votes.classifications import Gold, Listed, Suggestions, pack, unpack
from consensus.core.votes.votes import Votes
from consensus.errors import VotesError
from consensus.files.tables import Table, read_table

FLAGS: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}


def number(text: str) -> float:
    """Return the number that a text spells, or NaN; Python would read 1_0 as 10."""
    try:
        return float(text.replace("_", "?"))
    except ValueError:
        return float("nan")


def read_given(connection: duckdb.DuckDBPyConnection, path: Path) -> Table:
    """Read the labels that tasks came with: `task,label` and optionally `given`, which is 0 for a candidate."""
    table = read_table(connection, "given", path, (("task", "label"),), optional=("given",))
    read_flag(table, "given", "or 0 for a candidate")
    return table


def read_flag(table: Table, column: str, otherwise: str) -> None:
    """Let a column of 1 and 0 be coded as such, if it is there."""
    if column in table.columns:
        table.value(
            column,
            lambda text: FLAGS.get(text.lower()),
            lambda text: f"{column} is {text.lower()!r}; use 1, {otherwise}",
        )


def note_repeats(table: Table, flag: str) -> list[str]:
    """Return how many rows repeat the task and label of an earlier one; one with another flag is refused.

    Parameters
    ----------
    table : Table
        Task and label are coded.
    flag : str
        A column that may be there.

    Raises
    ------
    VotesError
        Naming the row that contradicts an earlier one.
    """
    rows = table.rows("task", "label", *({flag} & set(table.columns)))
    task, label = rows["task"], rows["label"]
    keys = pack(task, label, int(label.max(initial=0)) + 1)
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    if flag in rows:
        flags = rows[flag][order]
        against = order[1:][same & (flags[1:] != flags[:-1])]
        if against.size:
            raise VotesError(
                f"{table.place(int(rows['position'][against.min()]))}: {flag} is another than in an earlier "
                "row of the same task and label; take one out"
            )
    repeated = int(same.sum())
    return [f"{table.path}: {repeated} rows repeat an earlier one"] if repeated else []


def note_strangers(votes: Table, given: Table) -> list[str]:
    """Say where no task of the given labels has a vote: they may be named otherwise there."""
    task = given.rows("task")["task"]
    n_tasks = votes.first_codes("task")
    if not len(task) or not n_tasks or int(task.min()) < n_tasks:
        return []
    names = votes.names("task")
    there, here = names[task[0]], names[0]
    return [f"{given.path}: none of its tasks has a vote; it names {there!r}, and {votes.path} names {here!r}"]


def trust_by_hand(
    connection: duckdb.DuckDBPyConnection, path: Path | None, annotators: Names
) -> tuple[Floats, int]:
    """Return trust by annotator, NaN where none is set; and for how many who have no vote it is set in vain.

    Raises
    ------
    VotesError
        Where a trust is no number of 0 or more, or set twice; the message names the line.
    """
    fixed = np.full(len(annotators), np.nan)
    if path is None:
        return fixed, 0
    table = read_table(connection, "trust", path, (("annotator", "trust"),))
    table.code("annotator")
    table.code("trust")
    rows, names, texts = table.rows("annotator", "trust"), table.names("annotator"), table.names("trust")
    positions = {name: position for position, name in enumerate(annotators)}
    columns = (rows[column].tolist() for column in ("annotator", "trust", "position"))
    for annotator, trust, row in zip(*columns, strict=True):
        name, value = names[annotator], number(texts[trust])
        if not 0 <= value < float("inf"):
            raise VotesError(
                f"{table.place(row)}: trust of annotator {name!r} is {texts[trust]!r}; use a number of 0 or more"
            )
        at = positions.get(name)
        if at is not None:
            if not np.isnan(fixed[at]):
                raise VotesError(f"{table.place(row)}: trust of annotator {name!r} is set twice; take one out")
            fixed[at] = value
    return fixed, len(set(names) - set(positions))


def read_suggested(
    connection: duckdb.DuckDBPyConnection, path: Path, votes: Votes
) -> tuple[Suggestions, list[str]]:
    """Read what a model suggests for the tasks of the votes.

    Parameters
    ----------
    path : Path
        Columns `task,label,score`, the score from 0 to 1.

    Returns
    -------
    suggested : Suggestions
        For tasks and labels that the votes have.
    notes : list of str
        What was left out.

    Raises
    ------
    VotesError
        Where the file cannot be read or a score is none; the message names the line.
    """
    table = read_table(connection, "suggested", path, (("task", "label", "score"),))
    table.value(
        "score",
        lambda text: value if 0 <= (value := number(text)) <= 1 else None,
        lambda text: f"score is {text!r}; use a number from 0 to 1",
    )
    task, label = positions(table, "task", votes.task_names), positions(table, "label", votes.label_names)
    there = (task >= 0) & (label >= 0)
    left_out = int((~there).sum())
    notes = [f"{path}: {left_out} suggestions are for tasks or labels that no vote has; they have no effect"]
    score = table.rows("score")["score"]
    return Suggestions(task[there], label[there], score[there]), notes if left_out else []


def positions(table: Table, column: str, names: Names) -> Codes:
    """Code a column, and return of each row the position of its name among others, or -1."""
    table.code(column)
    position_of = {name: position for position, name in enumerate(names)}
    of_codes = np.array([position_of.get(name, -1) for name in table.names(column)], dtype=np.int32)
    codes: Codes = of_codes[table.rows(column)[column]]
    return codes


def read_gold(
    connection: duckdb.DuckDBPyConnection, path: Path, votes: Votes, listed: Listed
) -> tuple[Gold, list[str]]:
    """Read what is known to be right and wrong of the tasks of the votes.

    Without a column `right` the file names all the right labels of its tasks: their other labels are wrong. With
    it, only what is named is known; in a single choice, where one label is right, the others are wrong.

    Parameters
    ----------
    path : Path
        Columns `task,label` and optionally `right` (1 or 0).

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
    table = read_table(connection, "gold", path, (("task", "label"),), optional=("right",))
    complete = "right" not in table.columns
    read_flag(table, "right", "or 0 for a label that is wrong")
    task, label = positions(table, "task", votes.task_names), positions(table, "label", votes.label_names)
    right = np.ones(len(task), dtype=bool) if complete else table.rows("right")["right"].astype(bool)
    notes = note_repeats(table, "right")
    if votes.choice == "single":
        _refuse_second(table, np.flatnonzero(right))
    there = task >= 0
    missing = len(np.unique(table.rows("task")["task"][~there]))
    if missing:
        notes.append(f"{path}: {missing} gold tasks have no vote and are not listed; they have no effect")
    gold = Gold(task[there], label[there], right[there])
    if votes.choice == "single":
        return gold, notes
    return (_spelled_out(gold, votes, listed) if complete else _of_names(gold)), notes


def _refuse_second(table: Table, right: Keys) -> None:
    """Refuse a second right label of a task: in a single choice one is right."""
    rows = table.rows("task", "label")
    task, label = rows["task"][right], rows["label"][right]
    _, first, of_task = np.unique(task, return_index=True, return_inverse=True)
    second = np.flatnonzero(label != label[first][of_task])
    if second.size:
        row = int(rows["position"][right[second[0]]])
        name = table.names("task")[task[second[0]]]
        raise VotesError(
            f"{table.place(row)}: task {name!r} has another right label above, and in a single choice one is "
            "right; take one out"
        )


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
