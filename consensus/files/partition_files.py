"""Partitions of votes on disk: read, scored and dropped one after the other, one a thread at a time."""

import json
import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from consensus.core.decide.partitions import Partition
from consensus.core.model.em import MapMatrices
from consensus.core.votes.classifications import Listed, lists_all_of, too_many
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize
from consensus.core.votes.votes import UNSURE, Votes, asked_only, latest
from consensus.files.votes_files import CodedVotes, no_gold

Found = TypeVar("Found")
Given = TypeVar("Given")


@dataclass(frozen=True, eq=False)
class PartitionFiles:
    """Partitions as files of a folder; see `consensus.core.decide.partitions.Partitions`.

    Attributes
    ----------
    folder : Path
        With the votes of each partition and the names of its tasks in `part-N.npz`.
    empty : Votes
        No votes on no tasks, with the choice, the annotators and the labels of all partitions.
    replaced : int
        Votes that a later one of the same annotator replaced.
    threads : int
        Partitions that are in memory at a time.
    all_labels : bool
        Whether the labels of a task that nobody chose are wanted, where they are not too many.
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
    threads: int
    all_labels: bool = False
    asked_only: bool = False

    def partition(self, number: int) -> Partition:
        """Read a partition."""
        with np.load(self.folder / f"part-{number}.npz") as file:
            columns = {name: file[name] for name in ("task", "annotator", "label", "vote")}
            listed = Listed(file["listed_task"], file["listed_label"], file["listed_given"])
            names = np.array([*json.loads(file["names"].tobytes()), None], dtype=object)[:-1]
        choice = "multiple" if self.asked_only else self.empty.choice
        votes = replace(self.empty, choice=choice, task_names=names, **columns)
        if self.asked_only:
            votes = asked_only(votes, listed.task, listed.label)
        return Partition(votes, listed, no_gold(), self.lists_all)

    @property
    def lists_all(self) -> bool:
        """Whether all labels of a task that has votes are in the result."""
        names = self.empty
        all_labels = self.all_labels or names.choice != "single"
        return all_labels and lists_all_of(names.choice, self.n_tasks, self.n_votes, names.n_labels)

    def map(self, function: Callable[[Partition], Found]) -> Iterator[Found]:
        """Call a function with each partition and yield what it returns, in the order of the partitions."""
        return in_order(lambda number: function(self.partition(number)), range(self.n_parts), self.threads)

    def label_matrices(self, function: Callable[[Partition], LabelMatrix]) -> tuple[MapMatrices, MatrixSize]:
        """Keep each partition's label matrix in a file for the fit."""

        def make(number: int) -> MatrixSize:
            label_matrix = function(self.partition(number))
            one_hot = label_matrix.one_hot
            np.savez(self._matrix(number), column=one_hot.indices, pointer=one_hot.indptr, width=one_hot.shape[1])
            return label_matrix.size

        sizes = list(in_order(make, range(self.n_parts), self.threads))
        firsts = np.cumsum([0, *(size.rows for size in sizes)])

        def map_matrices(of_matrix: Callable[[LabelMatrix], Found]) -> Iterable[Found]:
            return in_order(
                lambda number: of_matrix(self._load(number, int(firsts[number]), sizes[number].n_classes)),
                range(self.n_parts),
                self.threads,
            )

        return map_matrices, reduce(operator.add, sizes)

    def _matrix(self, number: int) -> Path:
        return self.folder / f"label-matrix-{number}.npz"

    def _load(self, number: int, first: int, n_classes: int) -> LabelMatrix:
        with np.load(self._matrix(number)) as file:
            column, pointer, width = file["column"], file["pointer"], int(file["width"])
        one_hot = csr_array((np.ones(len(column)), column, pointer), shape=(len(pointer) - 1, width))
        none = np.zeros(0, dtype=np.int32)
        return LabelMatrix(
            one_hot, width // n_classes, n_classes, none, np.zeros((0, n_classes)), first, kept=False
        )


def write_parts(
    coded: CodedVotes,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    part_votes: int,
    threads: int,
    tell: Callable[[int], None],
) -> PartitionFiles:
    """Cut coded votes into parts by their tasks, of repeated votes only the last one.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Where they are.
    folder : Path
        Where the parts go.
    part_votes : int
        Votes and given labels of a part; a task is never cut, so that a part can have more.
    threads : int
        Parts that are in memory at a time.
    tell : callable
        Called with the number of votes that are done.
    """
    connection.execute(f"CREATE TABLE coded AS FROM ({coded.query()}) ORDER BY task, position")
    cut = connection.execute(
        "SELECT DISTINCT task FROM coded WHERE rowid % ? = 0 ORDER BY task", [part_votes]
    ).fetchnumpy()["task"]
    firsts = [0, *cut[1:].tolist(), coded.n_tasks]
    empty, _ = coded.of_rows(_rows(connection, 0, 0), 0, np.empty(0, dtype=object))
    partitions = PartitionFiles(folder, empty, len(firsts) - 1, coded.n_tasks, 0, 0, 0, threads)
    for number, (first, end) in enumerate(pairwise(firsts)):
        all_votes, listed = coded.of_rows(
            _rows(connection, first, end), first, coded.votes.names("task", first, end)
        )
        votes, replaced = latest(all_votes)
        np.savez(
            folder / f"part-{number}.npz",
            task=votes.task,
            annotator=votes.annotator,
            label=votes.label,
            vote=votes.vote,
            listed_task=listed.task,
            listed_label=listed.label,
            listed_given=listed.given,
            names=np.frombuffer(json.dumps(votes.task_names.tolist()).encode(), dtype=np.uint8),
        )
        partitions = replace(
            partitions,
            n_votes=partitions.n_votes + len(votes),
            n_unsure=partitions.n_unsure + int((votes.vote == UNSURE).sum()),
            replaced=partitions.replaced + replaced,
        )
        tell(partitions.n_votes + partitions.replaced)
    if coded.choice == "multiple" and too_many(partitions.n_votes, empty.n_labels):
        return replace(partitions, empty=replace(empty, choice="each"), asked_only=True)
    return partitions


def in_order(function: Callable[[Given], Found], of: Iterable[Given], threads: int) -> Iterator[Found]:
    """Call a function with each of some things, one a thread at a time; yield in their order."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Found]] = deque()
        for element in of:
            if len(waiting) == threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, element))
        while waiting:
            yield waiting.popleft().result()


def _rows(connection: duckdb.DuckDBPyConnection, first: int, end: int) -> dict[str, NDArray[Any]]:
    """Return the coded rows of the tasks from one to before another, votes first."""
    query = "SELECT * EXCLUDE position FROM coded WHERE task >= ? AND task < ? ORDER BY position"
    return connection.execute(query, [first, end]).fetchnumpy()
