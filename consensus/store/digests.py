"""Digests of chunks of a project's rows: a run reads those chunks alone that it changed."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, select

from consensus.core.arrays import Flags
from consensus.store.columns import Columns, Positions, has_moved, number_values, read_columns
from consensus.store.tables import DIGEST

DRIFTING = ("confidence", "upper", "posterior", "model_share")
"""Columns of a classification that move with everybody's trust; no version is kept where nothing else changed."""
TASKS = 32
"""So many successive task ids share a chunk."""


class Chunk(NamedTuple):
    """Rows of one control whose task ids are from ``chunk * TASKS`` on, below the next chunk's."""

    control: str
    chunk: int


class Digest(NamedTuple):
    """What a run left of a chunk.

    Parameters
    ----------
    digest : bytes
        Of what the rows say; empty where the chunk is always to be read.
    scores : bytes
        The numbers that drift, as they are stored, in float32.
    """

    digest: bytes
    scores: bytes


@dataclass(frozen=True, eq=False)
class Chunked:
    """Rows of a run in chunks.

    Attributes
    ----------
    order : (n_rows,) intp
        Rows, chunk by chunk and by task.
    of_row : (n_rows,) intp
        In that order: the chunk's position.
    scores : (n_rows, n_drifting) float32
        In that order.
    """

    chunks: list[Chunk]
    order: Positions
    of_row: Positions
    digests: list[bytes]
    scores: NDArray[np.float32]

    def unlike(self, stored: Mapping[Chunk, Digest]) -> Flags:
        """(n_chunks,) bool: whether a chunk says something else than the stored one, or a score of it moved."""
        pairs = zip(self.chunks, self.digests, strict=True)
        same = [chunk in stored and stored[chunk].digest == digest for chunk, digest in pairs]
        alike = np.array(same, dtype=bool)
        if not self.scores.shape[1] or not alike.any():
            return ~alike
        stored_scores = b"".join(
            stored[chunk].scores for chunk, is_same in zip(self.chunks, same, strict=True) if is_same
        )
        rows = np.flatnonzero(alike[self.of_row])
        before = np.frombuffer(stored_scores, dtype=np.float32).reshape(-1, self.scores.shape[1])
        moved = has_moved(before, self.scores[rows]).any(axis=1)
        alike[self.of_row[rows[moved]]] = False
        return ~alike


def drifting(columns: Columns) -> list[str]:
    """Name the columns that drift."""
    return [name for name in DRIFTING if name in columns]


def chunked(columns: Columns) -> Chunked:
    """Put rows into chunks."""
    control, names = number_values(columns["control"])
    order = np.lexsort((columns["task"], control))
    control, task = control[order], columns["task"][order] // TASKS
    is_first = np.append(True, (control[1:] != control[:-1]) | (task[1:] != task[:-1]))[: len(order)]
    first = np.flatnonzero(is_first)
    bounds = [*first.tolist(), len(order)]
    return Chunked(
        chunks=[
            Chunk(str(names[code]), number)
            for code, number in zip(control[first].tolist(), task[first].tolist(), strict=True)
        ],
        order=order,
        of_row=np.cumsum(is_first) - 1,
        digests=_digests({name: columns[name][order] for name in columns if name not in DRIFTING}, bounds),
        scores=_scores(columns, order),
    )


def _scores(columns: Columns, order: Positions) -> NDArray[np.float32]:
    names = drifting(columns)
    scores = np.empty((len(order), len(names)), dtype=np.float32)
    for position, name in enumerate(names):
        scores[:, position] = columns[name][order]
    return scores


def _digests(columns: Columns, bounds: Sequence[int]) -> list[bytes]:
    numbers = [_as_integers(column) for column in columns.values() if column.dtype != object]
    texts = [column for name, column in columns.items() if column.dtype == object and name != "control"]
    matrix = np.column_stack(numbers)
    digests = []
    for start, end in pairwise(bounds):
        digest = hashlib.blake2b(matrix[start:end].tobytes(), digest_size=16)
        digest.update(repr([column[start:end].tolist() for column in texts]).encode())
        digests.append(digest.digest())
    return digests


def _as_integers(column: NDArray[np.generic]) -> NDArray[np.int64]:
    return column.view(np.int64) if column.dtype == np.float64 else column.astype(np.int64)


def read_digests(connection: Connection, table: Table, project: int) -> dict[Chunk, Digest]:
    """Read what the last run left of each chunk of a table's rows; nothing where it kept no digests."""
    columns = DIGEST.c.control, DIGEST.c.chunk, DIGEST.c.digest, DIGEST.c.scores
    query = select(*columns).where(DIGEST.c.project == project, DIGEST.c.rows_of == table.name)
    return {
        Chunk(control, number): Digest(digest, scores)
        for control, number, digest, scores in connection.execute(query)
    }


@dataclass(frozen=True, eq=False)
class Unlike:
    """Where a run differs from what is stored.

    Attributes
    ----------
    unlike : (n_chunks,) bool
        Of the run's chunks.
    rows : (n,) intp
        The run's rows in those.
    """

    stored: Mapping[Chunk, Digest]
    run: Chunked
    unlike: Flags
    rows: Positions

    def read(
        self, connection: Connection, table: Table, project: int, names: Sequence[str], *which: ColumnElement[bool]
    ) -> Columns:
        """Read the stored rows of the chunks that differ; all rows where no run has kept digests."""
        of_project = and_(table.c.project == project, *which)
        if not self.stored:
            return read_columns(connection, table, of_project, names)
        task = table.c.task
        where = and_(
            of_project,
            table.c.control == bindparam("_control"),
            task >= bindparam("_first"),
            task < bindparam("_end"),
        )
        return read_columns(connection, table, where, names, _ranges(self.chunks))

    @cached_property
    def chunks(self) -> set[Chunk]:
        """Chunks that differ, those that the run no longer has included."""
        of_run = {chunk for chunk, unlike in zip(self.run.chunks, self.unlike, strict=True) if unlike}
        return of_run | (self.stored.keys() - set(self.run.chunks))

    def digests_of(self, written: Columns) -> Iterator[tuple[Chunk, bytes, bytes]]:
        """Yield the digest and the scores of each of the run's chunks that differ; its rows as they are stored."""
        positions = np.flatnonzero(self.unlike)
        scores = _scores(written, np.arange(len(self.rows)))
        bounds = np.searchsorted(self.run.of_row[self.unlike[self.run.of_row]], [*positions, len(self.unlike)])
        for position, start, end in zip(positions.tolist(), bounds[:-1], bounds[1:], strict=True):
            yield self.run.chunks[position], self.run.digests[position], scores[start:end].tobytes()


def find_unlike(connection: Connection, table: Table, project: int, columns: Columns) -> Unlike:
    """Find the chunks of a table in which a run differs from what is stored."""
    stored, run = read_digests(connection, table, project), chunked(columns)
    unlike = run.unlike(stored)
    return Unlike(stored, run, unlike, run.order[unlike[run.of_row]])


def _ranges(chunks: Collection[Chunk]) -> list[dict[str, object]]:
    """Return the bounds of task ids that chunks span, successive ones together."""
    ranges: list[dict[str, object]] = []
    last = None
    for chunk in sorted(chunks):
        if last == (chunk.control, chunk.chunk - 1):
            ranges[-1]["_end"] = (chunk.chunk + 1) * TASKS
        else:
            first = chunk.chunk * TASKS
            ranges.append({"_control": chunk.control, "_first": first, "_end": first + TASKS})
        last = chunk
    return ranges
