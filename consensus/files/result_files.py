"""The edge to result files: written part by part, whole or not at all."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from common.files import replacing
from consensus.core.decide.scoring import Scored
from consensus.core.votes.votes import Votes
from consensus.errors import VotesError
from consensus.files.csv_text import is_gzip
from consensus.files.tables import PARQUET, extension, first_line, pattern

Columns = Mapping[str, NDArray[Any]]
"""A table: columns of the same length by name."""

PROBABILITIES, DIGITS = ("confidence", "posterior"), 10
"""Columns of a CSV with so many decimal places: twice as many take three times as long to write."""

Put = Callable[[Columns], None]


def result_table(votes: Votes, scored: Scored, *, all_labels: bool = True) -> Columns:
    """Lay the result out as `task,label,given,yes,no,unsure,confidence,posterior,report`.

    A last column `model_share` is there where a model's suggestions were heard. Without `all_labels` the labels of
    a task that nobody chose and that are not listed for it have no row; where yes and no are asked, all have.
    """
    rows = scored.classifications
    columns: Columns = {
        "task": votes.task_names[rows.task],
        "label": votes.label_names[rows.label],
        "given": rows.given.astype(np.int8),
        "yes": scored.counts.yes.astype(np.int64),
        "no": scored.counts.no.astype(np.int64),
        "unsure": scored.counts.unsure.astype(np.int64),
        "confidence": scored.confidence,
        "posterior": scored.posterior,
        "report": scored.report,
        **({"model_share": scored.model_share} if scored.model_share.any() else {}),
    }
    in_result = rows.listed | (scored.counts.yes > 0)
    if all_labels or votes.choice == "each" or in_result.all():
        return columns
    return {name: column[in_result] for name, column in columns.items()}


def annotators_table(votes: Votes, scored: Scored) -> Columns:
    """Lay the annotators out as `annotator,votes,trust,trust_low,trust_high`."""
    return {
        "annotator": votes.annotator_names,
        "votes": scored.votes_by_annotator.astype(np.int64),
        "trust": scored.trust,
        "trust_low": scored.trust_low,
        "trust_high": scored.trust_high,
    }


def write(columns: Columns, path: Path) -> None:
    """Write a table, whole or not at all.

    Raises
    ------
    VotesError
        Where the file cannot be written.
    """
    with writing(path) as put:
        put(columns)


@contextmanager
def writing(path: Path) -> Iterator[Put]:
    """Open a file for tables with the same columns; it appears under its name when all of them are written.

    Parameters
    ----------
    path : Path
        CSV, CSV with gzip (.gz) or Parquet (.parquet, .pq) by extension.

    Yields
    ------
    callable
        Appends a table.

    Raises
    ------
    VotesError
        Where the file cannot be written.
    """
    if not path.name or path.is_dir():
        raise VotesError(f"{path} cannot be written: it is a folder; name a file")
    if not path.parent.is_dir():
        raise VotesError(f"{path} cannot be written: there is no folder {path.parent}; make it")
    pieces: list[Path] = []
    try:
        with replacing(path) as unfinished, duckdb.connect() as connection:
            whole_path = unfinished.absolute()

            def put(columns: Columns) -> None:
                pieces.append(whole_path.with_name(f"{whole_path.name}.{len(pieces)}"))
                connection.register("columns", dict(columns))
                connection.execute(_copy(columns, path, header=len(pieces) == 1), [str(pieces[-1])])
                connection.unregister("columns")
                if extension(path) in PARQUET:
                    return
                if len(pieces) == 1:
                    pieces[-1].replace(whole_path)
                else:
                    with pieces[-1].open("rb") as piece, whole_path.open("ab") as whole:
                        shutil.copyfileobj(piece, whole)  # gzip files one after the other are a gzip file
                    pieces[-1].unlink()

            yield put
            if extension(path) in PARQUET:
                _join(connection, pieces, whole_path)
    except OSError as error:
        raise VotesError(f"{path} cannot be written: {error.strerror or error}") from None
    except duckdb.Error as error:
        raise VotesError(f"{path} cannot be written: {first_line(error)}") from None
    finally:
        for piece in pieces:
            piece.unlink(missing_ok=True)


def _copy(columns: Columns, path: Path, *, header: bool) -> str:
    parquet = extension(path) in PARQUET
    columns_of_file = [_written(name, column, parquet=parquet) for name, column in columns.items()]
    form = "FORMAT parquet, COMPRESSION zstd"
    if not parquet:
        form = f"FORMAT csv, HEADER {header}, COMPRESSION {'gzip' if is_gzip(path) else 'none'}"
    return f"COPY (SELECT {', '.join(columns_of_file)} FROM columns) TO ? ({form})"


def _written(name: str, column: NDArray[Any], *, parquet: bool) -> str:
    """Say how a column is written."""
    if column.dtype == object:  # names that are none have no type; in a CSV they would be quotation marks
        return f"{name}::VARCHAR AS {name}" if parquet else f"nullif({name}, '')::VARCHAR AS {name}"
    return name if parquet or name not in PROBABILITIES else f"{name}::DECIMAL({DIGITS + 1}, {DIGITS}) AS {name}"


def _join(connection: duckdb.DuckDBPyConnection, pieces: Sequence[Path], path: Path) -> None:
    """Make one Parquet file of several."""
    if len(pieces) == 1:
        pieces[0].replace(path)
        return
    connection.execute(
        "COPY (FROM read_parquet($pieces)) TO $path (FORMAT parquet, COMPRESSION zstd)",
        {"pieces": [pattern(piece) for piece in pieces], "path": str(path)},
    )
