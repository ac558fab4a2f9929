"""Score files: what fits into memory at once, with all options; what is larger part by part, here or on Ray."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from common.errors import FilesError
from common.files import ROOM_REMEDY, scratch_folder
from common.progress import Progress, of_step, silent
from consensus.core.arrays import Codes
from consensus.core.decide.partitions import Partition, Partitions
from consensus.core.decide.scoring import Scorer, alike_annotators, fit_partitions, score
from consensus.core.guarantee.conformal import NO_GOLD, guarantee
from consensus.core.guarantee.wording import guarantee_lines
from consensus.core.model.em import MapMatrices
from consensus.core.model.model_voter import GROUP
from consensus.core.votes.classifications import Listed, lists_all_of, too_many
from consensus.core.votes.label_matrix import MOST_LABELS, LabelMatrix, MatrixSize
from consensus.core.votes.votes import Votes
from consensus.errors import ConfigError, VotesError
from consensus.files.notes import notes_of
from consensus.files.partition_files import PartitionFiles, write_parts
from consensus.files.result_files import Columns, annotators_table, result_table, write, writing
from consensus.files.side_files import read_suggested, trust_by_hand
from consensus.files.start_files import read_start, write_start
from consensus.files.tables import Limits, database, first_line
from consensus.files.votes_files import SCRATCH, Ballot, CodedVotes, ballot_of, no_gold, note_on_labels, read_votes

Engine = Literal["local", "ray"]
Found = TypeVar("Found")

PART_VOTES = 1_000_000
"""Votes of a part: what is in memory at a time is some hundred megabytes a thread, however many there are."""

DISK, MEMORY = 80, 200
"""Bytes that a vote needs: on disk for a while where votes are scored in parts, or else in memory."""

ROW, BELIEF, SPELLED_OUT = 150, 30, 25
"""Bytes of memory that a row of the result needs beside its votes; a label of a task without a row; and each vote
that a multiple choice implies."""

UNHEARD = (
    f"the model is not heard: its worth can be learned where {GROUP} tasks with a suggestion or more have two "
    "annotators' votes, and there are fewer"
)


@dataclass(frozen=True)
class Inputs:
    """Files to score, and how; see `consensus score --help`.

    Attributes
    ----------
    votes : Path
        A file or a folder of Parquet files: `task,annotator,label` or `task,label,annotator,vote`.
    given, trust, gold, model, state : Path or None
    choice : {"single", "multiple"}
    policy : str
        A key of `consensus.core.decide.policies.POLICIES`.
    share : float or None
        Of a report that may be wrong: the guarantee.
    all_labels : bool
        Whether the labels of a task that nobody chose, and that are not listed for it, have a row in the result.
    """

    votes: Path
    given: Path | None = None
    trust: Path | None = None
    gold: Path | None = None
    model: Path | None = None
    state: Path | None = None
    choice: Literal["single", "multiple"] = "single"
    policy: str = "default"
    share: float | None = None
    all_labels: bool = False


@dataclass(frozen=True)
class Outcome:
    """What was scored.

    Attributes
    ----------
    votes, annotators, tasks, replaced, unused_trust : int
    reports : mapping
        Classifications by report, "" for those in none.
    notes : tuple of str
        What a person should know of the files.
    lines : tuple of str
        What was done with gold.
    """

    votes: int
    annotators: int
    tasks: int
    replaced: int
    unused_trust: int
    reports: Mapping[str, int]
    notes: tuple[str, ...]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Watched:
    """Partitions that tell how many rounds have begun."""

    partitions: Partitions
    tell: Callable[[int], None]

    @property
    def empty(self) -> Votes:
        return self.partitions.empty

    @property
    def n_tasks(self) -> int:
        return self.partitions.n_tasks

    @property
    def n_votes(self) -> int:
        return self.partitions.n_votes

    def map(self, function: Callable[[Partition], Found]) -> Iterable[Found]:
        return self.partitions.map(function)

    def label_matrices(self, function: Callable[[Partition], LabelMatrix]) -> tuple[MapMatrices, MatrixSize]:
        map_matrices, size = self.partitions.label_matrices(function)
        rounds = count(1)

        def watched(of_matrix: Callable[[LabelMatrix], Found]) -> Iterable[Found]:
            self.tell(next(rounds))
            return map_matrices(of_matrix)

        return watched, size


def score_files(
    inputs: Inputs,
    out: Path,
    annotators: Path | None = None,
    *,
    engine: Engine = "local",
    limits: Limits | None = None,
    progress: Progress = silent,
    part_votes: int = PART_VOTES,
) -> Outcome:
    """Score votes and write the result.

    Parameters
    ----------
    inputs : Inputs
    out, annotators : Path
        For the result, and for the annotators; see `consensus.files.result_files.writing`.
    engine : {"local", "ray"}
        Where parts are learned from and scored.
    limits : Limits, optional
        Votes that need more memory are scored in parts. Those of this machine by default.
    progress : Progress
    part_votes : int
        Votes of a part.

    Raises
    ------
    VotesError, ConfigError
        Where a file cannot be used, something is not installed or there is no room; the message says which.
    """
    limits = limits or Limits.of_machine()
    with scratch_folder(SCRATCH, 0) as folder, database(folder, limits) as connection:
        try:
            coded = read_votes(connection, inputs.votes, inputs.given, inputs.choice, progress)
            needed = _memory_needed(coded, all_labels=inputs.all_labels)
            if engine == "local" and needed <= limits.memory:
                ballot = ballot_of(connection, coded, inputs.trust, inputs.gold)
                return _score_ballot(inputs, ballot, connection, out, annotators, limits.threads)
            _refuse_in_parts(inputs, coded.n_rows, needed)
            _check_room(folder, (coded.n_rows + (len(coded.given) if coded.given else 0)) * DISK)
            partitions = write_parts(
                coded,
                connection,
                folder,
                max(1, min(part_votes, limits.memory * coded.n_rows // max(1, 2 * limits.threads * needed))),
                limits.threads,
                of_step(progress, "votes cut into parts", coded.n_rows),
            )
            partitions = replace(partitions, all_labels=inputs.all_labels)
            fixed_trust, unused_trust = trust_by_hand(connection, inputs.trust, coded.annotator_names)
        except duckdb.Error as error:
            raise VotesError(f"{inputs.votes} cannot be read: {first_line(error)}") from None
        connection.close()  # its memory is needed now
        with _spread(engine, partitions) as spread:
            scorer = fit_partitions(
                _Watched(spread, of_step(progress, "rounds of learning", 0)), fixed_trust, inputs.policy
            )
            alike = alike_annotators(scorer.fitted, coded.annotator_names)
            tell = of_step(progress, "parts written", partitions.n_parts)
            reports, by_annotator = _write(spread, partial(_score, scorer, inputs.all_labels), out, tell)
    if annotators:
        none = np.zeros(0, dtype=np.int32)
        people = scorer.score(Partition(partitions.empty, Listed(none, none, none.astype(bool)), no_gold()))
        people = replace(people, votes_by_annotator=by_annotator.astype(np.int32))
        write(annotators_table(partitions.empty, people), annotators)
    return Outcome(
        partitions.n_votes,
        partitions.empty.n_annotators,
        partitions.n_tasks,
        partitions.replaced,
        unused_trust,
        reports,
        (*coded.notes, *_notes_on(partitions, inputs.votes), *_alike(alike)),
    )


def _alike(groups: Iterable[Sequence[str]]) -> Iterator[str]:
    """Say whose votes count as one."""
    for names in groups:
        yield f"{', '.join(names)} answer alike beyond what the others explain: their votes count as one"


def _score_ballot(
    inputs: Inputs,
    ballot: Ballot,
    connection: duckdb.DuckDBPyConnection,
    out: Path,
    annotators: Path | None,
    threads: int,
) -> Outcome:
    """Score votes that are in memory."""
    votes = ballot.votes
    suggested, notes = read_suggested(connection, inputs.model, votes) if inputs.model else (None, [])
    connection.close()  # its memory is needed now
    scored = score(
        votes,
        ballot.listed,
        ballot.lesson if inputs.share is None else NO_GOLD,
        ballot.fixed_trust,
        inputs.policy,
        start=read_start(inputs.state) if inputs.state else None,
        suggestions=suggested,
        threads=threads,
        all_labels=None if inputs.all_labels or votes.choice != "single" else False,
    )
    if suggested is not None and not scored.model_share.any():
        notes.append(UNHEARD)
    notes += _alike(scored.alike)
    lines = _taught(ballot)
    if inputs.share is not None:
        scored, grounds = guarantee(scored, ballot.gold, inputs.share, votes.choice)
        lines = guarantee_lines(inputs.share, ballot.gold_tasks, votes.n_tasks, grounds)
    if inputs.all_labels and ballot.many_labels:
        notes.append(note_on_labels(votes.n_labels))
    table = result_table(votes, scored, all_labels=inputs.all_labels)
    write(table, out)
    if annotators:
        write(annotators_table(votes, scored), annotators)
    if inputs.state:
        write_start(scored.start, inputs.state)
    return Outcome(
        ballot.rows,
        votes.n_annotators,
        votes.n_tasks,
        ballot.replaced,
        ballot.unused_trust,
        Counter(table["report"].tolist()),
        (*ballot.notes, *notes),
        tuple(lines),
    )


def _taught(ballot: Ballot) -> list[str]:
    strange = ballot.gold_tasks - len(set(ballot.lesson.task.tolist()))
    lines = [f"{ballot.gold_tasks - strange} gold tasks taught trust"] if ballot.gold_tasks else []
    return [
        *lines,
        *([f"{strange} gold tasks have a label that nobody chose and taught nothing"] if strange else []),
    ]


def _memory_needed(coded: CodedVotes, *, all_labels: bool) -> int:
    """Bytes that scoring all votes at once takes, by what was measured."""
    n_votes, n_labels = coded.n_rows, len(coded.label_names)
    pairs = coded.n_tasks * n_labels
    needed = n_votes * MEMORY + (len(coded.given) * ROW if coded.given else 0)
    if coded.choice == "each":
        return needed
    if coded.choice == "single":
        if all_labels and lists_all_of("single", coded.n_tasks, n_votes, n_labels):
            return needed + pairs * ROW
        return needed + (pairs * BELIEF if n_labels <= MOST_LABELS else 0)
    if not too_many(n_votes, n_labels):
        return needed + pairs * ROW + n_votes * n_labels * SPELLED_OUT
    # Each submission votes on the labels that somebody chose for the task: no more than the task has votes.
    return needed + coded.squared_votes() * SPELLED_OUT


def _refuse_in_parts(inputs: Inputs, n_rows: int, needed: int) -> None:
    """Refuse what needs all votes in memory."""
    for option, value in {"--gold": inputs.gold, "--model": inputs.model, "--state": inputs.state}.items():
        if value is not None:
            raise ConfigError(
                f"{option} needs all votes in memory, and {n_rows} votes take about {needed / 1e9:.1f} "
                "GB: let --memory allow as much, and leave --engine ray out"
            )


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FilesError(
            f"about {needed / 1e9:.1f} GB are needed for a while in {folder.parent}, and {free / 1e9:.1f} GB are "
            f"free; {ROOM_REMEDY}"
        )


def _spread(engine: Engine, partitions: PartitionFiles) -> AbstractContextManager[Partitions]:
    if engine == "local":
        return nullcontext(partitions)
    from consensus.files.ray_partitions import on_ray  # noqa: PLC0415  # an extra: only this engine needs it

    return on_ray(partitions)


def _score(scorer: Scorer, all_labels: bool, partition: Partition) -> tuple[Columns, Codes]:  # noqa: FBT001  # for `partial`
    scored = scorer.score(partition)
    return result_table(partition.votes, scored, all_labels=all_labels), scored.votes_by_annotator


def _write(
    partitions: Partitions,
    of_partition: Callable[[Partition], tuple[Columns, Codes]],
    out: Path,
    tell: Callable[[int], None],
) -> tuple[Mapping[str, int], NDArray[np.int64]]:
    reports: Counter[str] = Counter()
    by_annotator: NDArray[np.int64] = np.zeros(partitions.empty.n_annotators, dtype=np.int64)
    with writing(out) as put:
        for done, (table, votes) in enumerate(partitions.map(of_partition), start=1):
            put(table)
            reports.update(table["report"].tolist())
            by_annotator += votes
            tell(done)
    return reports, by_annotator


def _notes_on(partitions: PartitionFiles, folder: Path) -> Iterator[str]:
    names = partitions.empty
    yield from notes_of(
        names, partitions.n_votes, all_unsure=partitions.n_unsure == partitions.n_votes, path=folder
    )
    if partitions.all_labels and (partitions.asked_only or not partitions.lists_all):
        yield note_on_labels(names.n_labels)
