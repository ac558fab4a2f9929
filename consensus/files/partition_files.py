"""Partitions of votes on disk: read, scored and dropped one after the other, one per processor at a time."""

import operator
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from scipy.sparse import csr_array

from consensus.core.arrays import Codes, Names
from consensus.core.decide.partitions import Partition
from consensus.core.model.em import MapMatrices
from consensus.core.votes.classifications import Gold, Listed, lists_all_of
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize
from consensus.core.votes.votes import UNSURE, Votes, asked_only, latest
from consensus.files.folder_coding import Coded
from consensus.settings import processors

Found = TypeVar("Found")
Given = TypeVar("Given")


@dataclass(frozen=True, eq=False)
class PartitionFiles:
    """Partitions as files of a folder; see `consensus.core.decide.partitions.Partitions`.

    Attributes
    ----------
    folder : Path
        With the votes of each partition in `part-N.npz` and the names of its tasks in `names`.
    empty : Votes
        No votes on no tasks, with the choice, the annotators and the labels of all partitions.
    n_parts, n_tasks, n_votes, n_unsure : int
    replaced : int
        Votes that a later one of the same annotator replaced.
    asked_only : bool
        Whether a multiple choice is asked about the labels that somebody chose: see
        `consensus.core.votes.votes.asked_only`.
    """

    folder: Path
    empty: Votes
    n_parts: int
    n_tasks: int
    n_votes: int
    n_unsure: int
    replaced: int
    asked_only: bool = False

    def partition(self, number: int) -> Partition:
        """Read a partition."""
        with np.load(self.folder / f"part-{number}.npz") as file:
            columns = {name: file[name] for name in ("task", "annotator", "label", "vote")}
            listed = Listed(file["listed_task"], file["listed_label"], file["listed_given"])
        choice = "multiple" if self.asked_only else self.empty.choice
        names = _names_of(self.folder / "names", number)
        votes = replace(self.empty, choice=choice, task_names=names, **columns)
        if self.asked_only:
            votes = asked_only(votes, listed.task, listed.label)
        none = np.zeros(0, dtype=np.int32)
        all_labels = lists_all_of(self.empty.choice, self.n_tasks, self.n_votes, self.empty.n_labels)
        return Partition(votes, listed, Gold(none, none, np.zeros(0, dtype=bool)), all_labels)

    def map(self, function: Callable[[Partition], Found]) -> Iterator[Found]:
        """Call a function with each partition and yield what it returns, in the order of the partitions."""
        return in_order(lambda number: function(self.partition(number)), range(self.n_parts))

    def label_matrices(self, function: Callable[[Partition], LabelMatrix]) -> tuple[MapMatrices, MatrixSize]:
        """Keep each partition's label matrix in a file for the fit."""

        def make(number: int) -> MatrixSize:
            label_matrix = function(self.partition(number))
            one_hot = label_matrix.one_hot
            np.savez(self._matrix(number), column=one_hot.indices, pointer=one_hot.indptr, width=one_hot.shape[1])
            return label_matrix.size

        sizes = list(in_order(make, range(self.n_parts)))
        firsts = np.cumsum([0, *(size.rows for size in sizes)])

        def map_matrices(of_matrix: Callable[[LabelMatrix], Found]) -> Iterable[Found]:
            return in_order(
                lambda number: of_matrix(self._load(number, int(firsts[number]), sizes[number].n_classes)),
                range(self.n_parts),
            )

        return map_matrices, reduce(operator.add, sizes)

    def _matrix(self, number: int) -> Path:
        return self.folder / f"label-matrix-{number}.npz"

    def _load(self, number: int, first: int, n_classes: int) -> LabelMatrix:
        with np.load(self._matrix(number)) as file:
            column, pointer, width = file["column"], file["pointer"], int(file["width"])
        one_hot = csr_array((np.ones(len(column)), column, pointer), shape=(len(pointer) - 1, width))
        none = np.zeros(0, dtype=np.int32)
        return LabelMatrix(one_hot, width // n_classes, n_classes, none, np.zeros((0, n_classes)), first)


def write_parts(coded: Coded, empty: Votes, tell: Callable[[int], None]) -> PartitionFiles:
    """Turn coded rows into parts, of repeated votes only the last one.

    Parameters
    ----------
    coded : Coded
        Its folders of votes and given labels are deleted, part by part.
    empty : Votes
    tell : callable
        Called with the number of rows that are done.
    """
    n_parts = max(len(coded.first_task), 1)
    rows = votes = unsure = 0
    for part in in_order(lambda number: _write(coded, empty, number), range(n_parts)):
        rows, votes, unsure = rows + part.rows, votes + part.votes, unsure + part.unsure
        tell(rows)
    return PartitionFiles(coded.folder, empty, n_parts, coded.n_tasks, votes, unsure, rows - votes)


def in_order(function: Callable[[Given], Found], of: Iterable[Given]) -> Iterator[Found]:
    """Call a function with each of some things, one per processor at a time; yield in their order."""
    at_once = processors()
    with ThreadPoolExecutor(at_once) as threads:
        waiting: deque[Future[Found]] = deque()
        for one in of:
            if len(waiting) == at_once:
                yield waiting.popleft().result()
            waiting.append(threads.submit(function, one))
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class _Counts:
    rows: int
    votes: int
    unsure: int


def _write(coded: Coded, empty: Votes, number: int) -> _Counts:
    first = coded.first_task[number] if len(coded.first_task) else 0
    rows = _rows(coded.folder / "votes", number)
    all_votes = replace(
        empty,
        task=(_column(rows, "task") - first).astype(np.int32),
        annotator=_column(rows, "annotator"),
        label=_column(rows, "label"),
        vote=_column(rows, "vote").astype(np.int8),
        task_names=_names_of(coded.folder / "names", number),
    )
    votes, replaced = latest(all_votes)
    listed = _rows(coded.folder / "given", number)
    np.savez(
        coded.folder / f"part-{number}.npz",
        task=votes.task,
        annotator=votes.annotator,
        label=votes.label,
        vote=votes.vote,
        listed_task=(_column(listed, "task") - first).astype(np.int32),
        listed_label=_column(listed, "label"),
        listed_given=_column(listed, "given").astype(bool),
    )
    for folder in ("votes", "given"):
        shutil.rmtree(coded.folder / folder / f"part={number}", ignore_errors=True)
    return _Counts(len(votes) + replaced, len(votes), int((votes.vote == UNSURE).sum()))


def _rows(folder: Path, number: int) -> pa.Table | None:
    """Read the rows of a part, in the order of the files that they come from."""
    table = _table(folder, number)
    return None if table is None else table.take(np.argsort(table["position"].to_numpy()))


def _column(table: pa.Table | None, name: str) -> Codes:
    return np.zeros(0, dtype=np.int32) if table is None else np.asarray(table[name].to_numpy())


def _names_of(folder: Path, number: int) -> Names:
    table = _table(folder, number)
    if table is None:
        return np.empty(0, dtype=object)
    names: Names = np.empty(table.num_rows, dtype=object)
    names[np.argsort(np.argsort(table["code"].to_numpy()))] = table["name"].to_pylist()
    return names


def _table(folder: Path, number: int) -> pa.Table | None:
    files = sorted((folder / f"part={number}").glob("*.parquet"))
    if not files:
        return None
    return pa.concat_tables(pyarrow.parquet.ParquetFile(file).read() for file in files)
