"""Votes and the labels that tasks came with, out of files, as codes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
from numpy.typing import NDArray

from common.files import scratch_folder
from common.progress import Progress, of_step, silent
from consensus.core.arrays import Floats, Names
from consensus.core.votes.classifications import Gold, Listed, lists_all, too_many
from consensus.core.votes.votes import STANDS, Choice, Votes, asked_only, latest
from consensus.errors import VotesError
from consensus.files.notes import notes_on
from consensus.files.side_files import note_repeats, note_strangers, read_given, read_gold, trust_by_hand
from consensus.files.tables import AFTER_ALL, Limits, Table, by_position, database, read_table
from consensus.files.tables import VOTES as CHOSEN

SPELLED_OUT = ("task", "label", "annotator", "vote")

SCRATCH = "consensus-score-"
"""How the temporary folders are called."""

NOBODY = -1
"""The annotator of a given label, where it stands among the votes."""


@dataclass(frozen=True, eq=False)
class CodedVotes:
    """Votes and given labels in a database, coded in order of appearance.

    Attributes
    ----------
    votes : Table
    given : Table or None
    choice : {"single", "multiple", "each"}
    annotator_names, label_names : object
    n_tasks, n_rows : int
        Tasks that have votes or are listed, and rows of votes.
    notes : tuple of str
    """

    votes: Table
    given: Table | None
    choice: Choice
    annotator_names: Names
    label_names: Names
    n_tasks: int
    n_rows: int
    notes: tuple[str, ...]

    def query(self) -> str:
        """Return the query for all rows: `task, annotator, label, vote, position`."""
        if self.choice == "each":
            rows = self.votes.coded("task", "annotator", "label", "vote")
        else:
            rows = f"SELECT task, annotator, label, 1 AS vote, position FROM ({self.votes.coded(*CHOSEN)})"
        if self.given is not None:
            flagged = "given" in self.given.columns
            listed = self.given.coded("task", "label", *(["given"] if flagged else []))
            flag = "given" if flagged else "1"
            rows += f" UNION ALL SELECT task, {NOBODY}, label, {flag}, position + {AFTER_ALL} FROM ({listed})"
        return f"SELECT task, annotator, label, vote::TINYINT AS vote, position FROM ({rows})"

    def squared_votes(self) -> int:
        """Add up the squares of the numbers of votes that the tasks have."""
        by_task = f"SELECT count(*) AS n FROM {self.votes.name} GROUP BY task"
        summed = self.votes.connection.execute(f"SELECT coalesce(sum(n * n), 0) FROM ({by_task})").fetchone()
        return int(summed[0]) if summed else 0

    def of_rows(self, rows: dict[str, NDArray[Any]], first: int, task_names: Names) -> tuple[Votes, Listed]:
        """Part rows of `query` into votes and given labels, of tasks from a first one on."""
        n_votes = int((rows["annotator"] != NOBODY).sum())  # given labels come last
        task = (rows["task"] - first).astype(np.int32, copy=False)
        votes = Votes(
            self.choice,
            task[:n_votes],
            rows["annotator"][:n_votes],
            rows["label"][:n_votes],
            rows["vote"][:n_votes],
            task_names,
            self.annotator_names,
            self.label_names,
        )
        return votes, Listed(task[n_votes:], rows["label"][n_votes:], rows["vote"][n_votes:].astype(bool))


def read_votes(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    given: Path | None,
    choice: Literal["single", "multiple"],
    progress: Progress = silent,
) -> CodedVotes:
    """Read votes, and the labels that the tasks came with, into a database.

    Parameters
    ----------
    connection : DuckDBPyConnection
    path : Path
        Columns `task,annotator,label` (a row is a chosen label) or `task,label,annotator,vote`.
    given : Path or None
        Columns `task,label` and optionally `given` (1, or 0 for a candidate).
    choice : {"single", "multiple"}
        How many labels an annotator may choose; for the first kind of votes.
    progress : Progress

    Raises
    ------
    VotesError
        Where a file cannot be read; the message names the file, the line and the remedy.
    """
    tell = of_step(progress, "columns read", len(SPELLED_OUT))
    votes = read_table(connection, "votes", path, (CHOSEN, SPELLED_OUT))
    spelled_out = "vote" in votes.columns
    if spelled_out and choice == "multiple":
        raise VotesError(
            f"{path} spells its votes out in column 'vote', so --choice multiple says nothing; leave it out"
        )
    if votes.several and choice == "single":
        raise VotesError(f"{path}: annotators chose several labels of a task; add --choice multiple")
    notes = [*votes.notes]
    if choice == "single":
        column = "vote" if spelled_out else "label"
        missing = votes.leave_out_missing(column)
        notes += [f"{path}: {missing} rows have nothing in column {column!r} and are no votes"] if missing else []
    listed = read_given(connection, given) if given else None
    votes.code("annotator")
    tell(1)
    votes.code("label", listed)
    tell(2)
    n_tasks = votes.code("task", listed)
    tell(3)
    if spelled_out:
        votes.value(
            "vote",
            lambda text: float(STANDS[text.lower()]) if text.lower() in STANDS else None,
            lambda text: f"vote {text.lower()!r} is unknown; use yes, no or unsure",
        )
    tell(4)
    labels, n_rows = votes.names("label"), len(votes)
    if not spelled_out and choice == "single" and n_rows and len(labels) == 1:
        raise VotesError(
            f"{path}: all votes are for the label {labels[0]!r}, and a choice of one label decides "
            "nothing; name the other labels in --given with given=0, or use the columns task,label,annotator,vote"
        )
    if listed:
        notes += [*note_repeats(listed, "given"), *note_strangers(votes, listed)]
    kind: Choice = "each" if spelled_out else choice
    return CodedVotes(votes, listed, kind, votes.names("annotator"), labels, n_tasks, n_rows, tuple(notes))


@dataclass(frozen=True, eq=False)
class Ballot:
    """Everything that a set of files says.

    Attributes
    ----------
    votes : Votes
    listed : Listed
    fixed_trust : (n_annotators,) float64
        NaN where trust is to be learned.
    gold : Gold
        A right label that is not among the names is `NO_LABEL`.
    rows : int
        Votes of the file that count; `votes` may hold them spelled out.
    replaced : int
        Votes that a later one of the same annotator replaced.
    unused_trust : int
        Annotators whose trust is set but who have no vote.
    many_labels : bool
        Whether there are too many labels for those that nobody chose for a task to have rows.
    notes : tuple of str
        What a person should know of the files: a sentence each.
    """

    votes: Votes
    listed: Listed
    fixed_trust: Floats
    gold: Gold
    rows: int
    replaced: int
    unused_trust: int
    many_labels: bool
    notes: tuple[str, ...]

    @property
    def gold_tasks(self) -> int:
        """Number of tasks of which something is known."""
        return len(np.unique(self.gold.task))

    @property
    def lesson(self) -> Gold:
        """The gold that can teach: that of labels among the names."""
        named = self.gold.label >= 0
        return Gold(self.gold.task[named], self.gold.label[named], self.gold.right[named])


def read_ballot(
    votes: Path,
    given: Path | None,
    trust: Path | None,
    choice: Literal["single", "multiple"],
    gold: Path | None = None,
) -> Ballot:
    """Read votes, the labels that the tasks came with, trust set by hand, and gold, all into memory.

    Parameters
    ----------
    votes, given, choice
        See `read_votes`.
    trust : Path or None
        Columns `annotator,trust`.
    gold : Path or None
        Columns `task,label` and optionally `right` (1 or 0); see `consensus.files.side_files.read_gold`.

    Raises
    ------
    VotesError
        Where a file cannot be read; the message names the file, the line and the remedy.
    """
    with scratch_folder(SCRATCH, 0) as folder, database(folder, Limits.of_machine()) as connection:
        return ballot_of(connection, read_votes(connection, votes, given, choice), trust, gold)


def ballot_of(
    connection: duckdb.DuckDBPyConnection, coded: CodedVotes, trust: Path | None, gold: Path | None
) -> Ballot:
    """Take coded votes into memory, and read trust set by hand and gold."""
    rows = by_position(connection.execute(coded.query()).fetchnumpy())
    all_votes, listed = coded.of_rows(rows, 0, coded.votes.names("task"))
    del rows
    votes, replaced = latest(all_votes)
    n_kept, path = len(votes), coded.votes.path
    notes = [*coded.notes, *notes_on(votes, path)]
    sparse = votes.choice == "multiple" and too_many(n_kept, votes.n_labels)
    if sparse:
        votes = asked_only(votes, listed.task, listed.label)
    fixed_trust, unused_trust = trust_by_hand(connection, trust, votes.annotator_names)
    truths, notes_on_gold = read_gold(connection, gold, votes, listed) if gold else (no_gold(), [])
    many = sparse or not lists_all(votes)
    return Ballot(
        votes, listed, fixed_trust, truths, n_kept, replaced, unused_trust, many, (*notes, *notes_on_gold)
    )


def no_gold() -> Gold:
    """Return gold that says nothing."""
    none = np.zeros(0, dtype=np.int32)
    return Gold(none, none, none.astype(bool))


def note_on_labels(n_labels: int) -> str:
    """Say that labels are left out because there are too many."""
    return (
        f"there are {n_labels} labels: one that nobody chose for a task and that is not listed for it "
        "has no row in the result"
    )
