"""The edge to files: votes, given labels, trust and gold in; results out. CSV, gzip or Parquet by extension."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from consensus.core.arrays import Codes, Floats, Names
from consensus.core.decide.scoring import Scored
from consensus.core.votes.classifications import Gold, Listed, lists_all, too_many
from consensus.core.votes.votes import STANDS, YES, Votes, asked_only, latest
from consensus.errors import VotesError
from consensus.files.flags import check_repeats, flags_of
from consensus.files.gold_files import read_gold
from consensus.files.notes import notes_on
from consensus.files.result_files import writing
from consensus.files.text_columns import codes_of, number, place, read_columns

CHOSEN = ("task", "annotator", "label")
SPELLED_OUT = ("task", "label", "annotator", "vote")


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
    notes: tuple[str, ...]

    @property
    def gold_tasks(self) -> int:
        """Number of tasks of which something is known."""
        return len(np.unique(self.gold.task))

    @property
    def lesson(self) -> Gold:
        """The gold that can teach: that of labels among the names."""
        known = self.gold.label >= 0
        return Gold(self.gold.task[known], self.gold.label[known], self.gold.right[known])


def read_ballot(
    votes: Path,
    given: Path | None,
    trust: Path | None,
    choice: Literal["single", "multiple"],
    gold: Path | None = None,
) -> Ballot:
    """Read votes, the labels that the tasks came with, trust set by hand, and gold.

    Parameters
    ----------
    votes : Path
        Columns `task,annotator,label` (a row is a chosen label) or `task,label,annotator,vote`.
    given : Path or None
        Columns `task,label` and optionally `given` (1, or 0 for a candidate).
    trust : Path or None
        Columns `annotator,trust`.
    choice : {"single", "multiple"}
        How many labels an annotator may choose; for the first kind of votes file.
    gold : Path or None
        Columns `task,label` and optionally `right` (1 or 0); see `consensus.files.gold_files.read_gold`.

    Raises
    ------
    VotesError
        Where a file cannot be read; the message names the file, the line and the remedy.
    """
    table = read_columns(votes, (CHOSEN, SPELLED_OUT))
    spoken = "vote" in table.column_names
    if spoken and choice == "multiple":
        raise VotesError(
            f"{votes} spells its votes out in column 'vote', so --choice multiple says nothing; leave it out"
        )
    others = read_columns(given, (("task", "label"),), optional=("given",)) if given else None
    task, task_names = _shared_codes(table, others, "task")
    label, label_names = _shared_codes(table, others, "label")
    annotator, annotator_names = codes_of(table.column("annotator"))
    n_votes = table.num_rows
    all_votes = Votes(
        choice="each" if spoken else choice,
        task=task[:n_votes],
        annotator=annotator,
        label=label[:n_votes],
        vote=_stands(table.column("vote"), votes) if spoken else np.full(n_votes, YES),
        task_names=task_names,
        annotator_names=annotator_names,
        label_names=label_names,
    )
    check_labels(all_votes, len(all_votes), votes)
    kept, replaced = latest(all_votes)
    listed = Listed(task[n_votes:], label[n_votes:], _given_flags(others, given))
    notes = [*_notes_on_given(listed, given, len(label_names)), *notes_on(kept, votes)]
    n_kept = len(kept)
    sparse = kept.choice == "multiple" and too_many(n_kept, kept.n_labels)
    if sparse or not lists_all(kept):
        notes.append(note_on_labels(kept.n_labels))
    if sparse:
        kept = asked_only(kept, listed.task, listed.label)
    fixed_trust, unused_trust = trust_by_hand(trust, annotator_names)
    truth, notes_on_gold = read_gold(gold, kept, listed)
    return Ballot(kept, listed, fixed_trust, truth, n_kept, replaced, unused_trust, (*notes, *notes_on_gold))


def check_labels(names: Votes, n_votes: int, path: Path) -> None:
    """Refuse a single choice of one label.

    Raises
    ------
    VotesError
        Naming the file and the label.
    """
    if names.choice == "single" and n_votes and names.n_labels == 1:
        raise VotesError(
            f"{path}: all votes are for the label {names.label_names[0]!r}, and a choice of one label decides "
            "nothing; name the other labels in --given with given=0, or use the columns task,label,annotator,vote"
        )


def note_on_labels(n_labels: int) -> str:
    """Say that labels are left out because there are too many."""
    return (
        f"there are {n_labels} labels: one that nobody chose for a task and that is not listed for it "
        "has no row in the result"
    )


def result_table(votes: Votes, scored: Scored) -> pa.Table:
    """Lay the result out as `task,label,given,yes,no,unsure,confidence,posterior,report`.

    A last column `model_share` is there where a model's suggestions were heard.
    """
    rows = scored.classifications
    return pa.table(
        {
            "task": _decoded(rows.task, votes.task_names),
            "label": _decoded(rows.label, votes.label_names),
            "given": rows.given.astype(np.int8),
            "yes": scored.counts.yes.astype(np.int64),
            "no": scored.counts.no.astype(np.int64),
            "unsure": scored.counts.unsure.astype(np.int64),
            "confidence": scored.confidence,
            "posterior": scored.posterior,
            "report": pa.array(scored.report.tolist(), pa.string()),
            **({"model_share": scored.model_share} if scored.model_share.any() else {}),
        }
    )


def annotators_table(votes: Votes, scored: Scored) -> pa.Table:
    """Lay the annotators out as `annotator,votes,trust,trust_low,trust_high`."""
    return pa.table(
        {
            "annotator": pa.array(votes.annotator_names.tolist(), pa.string()),
            "votes": scored.votes_by_annotator.astype(np.int64),
            "trust": scored.trust,
            "trust_low": scored.trust_low,
            "trust_high": scored.trust_high,
        }
    )


def write(table: pa.Table, path: Path) -> None:
    """Write a table, whole or not at all.

    Raises
    ------
    VotesError
        Where the file cannot be written.
    """
    with writing(path) as put:
        put(table)


def _shared_codes(table: pa.Table, listed: pa.Table | None, name: str) -> tuple[Codes, Names]:
    chunks = [table.column(name), *([listed.column(name)] if listed is not None else [])]
    return codes_of(pa.chunked_array([chunk for column in chunks for chunk in column.chunks]))


def _decoded(codes: Codes, names: Names) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names.tolist(), pa.string())).cast(pa.string())


def _stands(column: pa.ChunkedArray, path: Path) -> np.typing.NDArray[np.int8]:
    codes, names = codes_of(column, lower=True)
    for position, name in enumerate(names):
        if name not in STANDS:
            row = int(np.flatnonzero(codes == position)[0])
            raise VotesError(f"{place(path, row)}: vote {name!r} is unknown; use yes, no or unsure")
    return np.array([STANDS[name] for name in names], dtype=np.int8)[codes]


def _given_flags(listed: pa.Table | None, path: Path | None) -> np.typing.NDArray[np.bool_]:
    if listed is None or path is None:
        return np.zeros(0, dtype=bool)
    return flags_of(listed, "given", path, "or 0 for a candidate")


def _notes_on_given(listed: Listed, path: Path | None, n_labels: int) -> list[str]:
    if path is None:
        return []
    repeated = check_repeats(listed.task, listed.label, listed.given, n_labels, path, "given")
    return [f"{path}: {repeated} rows repeat an earlier one"] if repeated else []


def trust_by_hand(path: Path | None, annotators: Names) -> tuple[Floats, int]:
    """Trust by annotator, NaN where none is set; and how many it is set for in vain."""
    fixed = np.full(len(annotators), np.nan)
    if path is None:
        return fixed, 0
    table = read_columns(path, (("annotator", "trust"),))
    positions = {name: position for position, name in enumerate(annotators)}
    pairs = zip(table.column("annotator").to_pylist(), table.column("trust").to_pylist(), strict=True)
    for row, (annotator, trust) in enumerate(pairs):
        value = number(trust)
        if not 0 <= value < float("inf"):
            raise VotesError(
                f"{place(path, row)}: trust of annotator {annotator!r} is {trust!r}; use a number of 0 or more"
            )
        if annotator in positions:
            if not np.isnan(fixed[positions[annotator]]):
                raise VotesError(
                    f"{place(path, row)}: trust of annotator {annotator!r} is set twice; take one out"
                )
            fixed[positions[annotator]] = value
    return fixed, len(set(table.column("annotator").to_pylist()) - set(positions))
