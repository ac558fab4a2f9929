"""The edge to result files, written part by part: whole or not at all."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from common.files import replacing
from consensus.errors import VotesError
from consensus.files.text_columns import PARQUET, extension

Put = Callable[[pa.Table], None]


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
    try:
        with replacing(path) as unfinished, ExitStack() as stack:
            kind = extension(path)
            yield _parquet(unfinished, stack) if kind in PARQUET else _csv(unfinished, kind, stack)
    except OSError as error:
        raise VotesError(f"{path} cannot be written: {error.strerror or error}") from None


def _parquet(path: Path, stack: ExitStack) -> Put:
    file = stack.enter_context(path.open("wb"))
    writers: list[Any] = []

    def put(table: pa.Table) -> None:
        if not writers:
            opened = pyarrow.parquet.ParquetWriter(file, table.schema, compression="zstd")
            writers.append(stack.enter_context(opened))
        writers[0].write_table(table)

    return put


def _csv(path: Path, kind: str, stack: ExitStack) -> Put:
    file: Any = stack.enter_context(gzip.GzipFile(path, "wb") if kind == ".gz" else path.open("wb"))
    headers: list[bytes] = []

    def put(table: pa.Table) -> None:
        if not headers:
            # Arrow would put quotes around the names of the columns.
            headers.append((",".join(table.column_names) + "\n").encode())
            file.write(headers[0])
        texts = [column for column in table.columns if pa.types.is_string(column.type)]
        special = any(pc.any(pc.match_substring_regex(column, '[",\\r\\n]')).as_py() for column in texts)
        style = "needed" if special else "none"
        pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=False, quoting_style=style))

    return put
