"""Score a folder of votes that is larger than memory, part by part, here or on a Ray cluster."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from common.files import scratch_folder
from consensus.core.arrays import Codes, Flags, Names
from consensus.core.decide.partitions import Partition, Partitions
from consensus.core.decide.scoring import Scorer, fit_partitions
from consensus.core.model.em import MapMatrices
from consensus.core.votes.classifications import Gold, Listed, lists_all_of, too_many
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize
from consensus.core.votes.votes import Votes
from consensus.errors import VotesError
from consensus.files.flags import check_repeats, flags_of
from consensus.files.folder_coding import Coded, code_folder, header_of_all, parquet_files
from consensus.files.notes import notes_of
from consensus.files.partition_files import PartitionFiles, write_parts
from consensus.files.result_files import writing
from consensus.files.text_columns import codes_of, read_columns
from consensus.files.votes_files import (
    CHOSEN,
    SPELLED_OUT,
    annotators_table,
    check_labels,
    note_on_labels,
    result_table,
    trust_by_hand,
    write,
)
from consensus.watcher import SILENT, Watcher

Engine = Literal["local", "ray"]
Found = TypeVar("Found")

PART_VOTES = 1_000_000
"""Votes of a part: what is in memory at a time is a few hundred megabytes, however many votes there are."""

DISK = 80
"""Bytes that a vote needs on disk for a while."""


@dataclass(frozen=True)
class Outcome:
    """What was scored.

    Attributes
    ----------
    votes, annotators, tasks, replaced, unused_trust : int
    reports : mapping
        Classifications by report, "" for those in none.
    notes : tuple of str
    """

    votes: int
    annotators: int
    tasks: int
    replaced: int
    unused_trust: int
    reports: Mapping[str, int]
    notes: tuple[str, ...]


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


def score_folder(
    folder: Path,
    out: Path,
    *,
    given: Path | None = None,
    trust: Path | None = None,
    policy: str = "default",
    annotators: Path | None = None,
    choice: Literal["single", "multiple"] = "single",
    engine: Engine = "local",
    watcher: Watcher = SILENT,
    part_votes: int = PART_VOTES,
) -> Outcome:
    """Score the votes of a folder of Parquet files, or of one such file, and write the result part by part.

    Parameters
    ----------
    folder : Path
        Its files hold the columns `task,annotator,label` or `task,label,annotator,vote`.
    out : Path
        See `consensus.files.result_files.writing`.
    given, trust, annotators : Path or None
        As for a file of votes.
    policy : str
        A key of `consensus.core.decide.policies.POLICIES`.
    choice : {"single", "multiple"}
    engine : {"local", "ray"}
        Where the parts are learned from and scored.
    watcher : Watcher
    part_votes : int
        Votes of a part.

    Raises
    ------
    VotesError, ConfigError
        Where a file cannot be used, something is not installed or there is no room; the message says which.
    """
    files = parquet_files(folder)
    columns, n_rows = header_of_all(files, (CHOSEN, SPELLED_OUT))
    if "vote" in columns and choice == "multiple":
        raise VotesError(
            f"{folder} spells its votes out in column 'vote', so --choice multiple says nothing; leave it out"
        )
    listed, notes = _read_given(given)
    with scratch_folder("consensus-score-", (n_rows + (listed[0].num_rows if listed else 0)) * DISK) as room:
        coded = code_folder(files, columns, listed, room, part_votes, watcher)
        parts = _parts_of(coded, "each" if "vote" in columns else choice, folder, watcher)
        fixed_trust, unused_trust = trust_by_hand(trust, parts.empty.annotator_names)
        with _spread(engine, parts) as spread:
            scorer = fit_partitions(_Watched(spread, watcher.of("rounds of learning", 0)), fixed_trust, policy)
            reports, by_annotator = _write(spread, scorer, out, watcher.of("parts written", parts.n_parts))
    if annotators:
        none = np.zeros(0, dtype=np.int32)
        nothing = Listed(none, none, none.astype(bool))
        people = scorer.score(Partition(parts.empty, nothing, Gold(none, none, none.astype(bool))))
        write(
            annotators_table(parts.empty, replace(people, votes_by_annotator=by_annotator.astype(np.int32))),
            annotators,
        )
    return Outcome(
        parts.n_votes,
        parts.empty.n_annotators,
        parts.n_tasks,
        parts.replaced,
        unused_trust,
        reports,
        (*notes, *_notes_on(parts, folder)),
    )


def _read_given(path: Path | None) -> tuple[tuple[pa.Table, Flags] | None, list[str]]:
    if path is None:
        return None, []
    table = read_columns(path, (("task", "label"),), optional=("given",))
    flags = flags_of(table, "given", path, "or 0 for a candidate")
    (task, _), (label, names) = codes_of(table["task"]), codes_of(table["label"])
    repeated = check_repeats(task, label, flags, len(names), path, "given")
    as_text = pa.table({name: table[name].cast(pa.string()) for name in ("task", "label")})
    return (as_text, flags), [f"{path}: {repeated} rows repeat an earlier one"] if repeated else []


def _parts_of(
    coded: Coded, choice: Literal["single", "multiple", "each"], folder: Path, watcher: Watcher
) -> PartitionFiles:
    none = np.zeros(0, dtype=np.int32)
    no_names: Names = np.empty(0, dtype=object)
    empty = Votes(
        choice, none, none, none, none.astype(np.int8), no_names, coded.annotator_names, coded.label_names
    )
    check_labels(empty, coded.n_rows, folder)
    parts = write_parts(coded, empty, watcher.of("votes cut into parts", coded.n_rows))
    if choice == "multiple" and too_many(parts.n_votes, empty.n_labels):
        return replace(parts, empty=replace(empty, choice="each"), asked_only=True)
    return parts


def _spread(engine: Engine, parts: PartitionFiles) -> AbstractContextManager[Partitions]:
    if engine == "local":
        return nullcontext(parts)
    from consensus.files.ray_partitions import on_ray  # noqa: PLC0415  # an extra: only this engine needs it

    return on_ray(parts)


def _score(scorer: Scorer, partition: Partition) -> tuple[pa.Table, Codes]:
    scored = scorer.score(partition)
    return result_table(partition.votes, scored), scored.votes_by_annotator


def _write(
    partitions: Partitions, scorer: Scorer, out: Path, tell: Callable[[int], None]
) -> tuple[Mapping[str, int], NDArray[np.int64]]:
    reports: Counter[str] = Counter()
    by_annotator: NDArray[np.int64] = np.zeros(partitions.empty.n_annotators, dtype=np.int64)
    with writing(out) as put:
        for done, (table, votes) in enumerate(partitions.map(partial(_score, scorer)), start=1):
            put(table)
            reports.update(table["report"].to_pylist())
            by_annotator += votes
            tell(done)
    return reports, by_annotator


def _notes_on(parts: PartitionFiles, folder: Path) -> Iterator[str]:
    names = parts.empty
    yield from notes_of(names, parts.n_votes, all_unsure=parts.n_unsure == parts.n_votes, path=folder)
    if parts.asked_only or not lists_all_of(names.choice, parts.n_tasks, parts.n_votes, names.n_labels):
        yield note_on_labels(names.n_labels)
