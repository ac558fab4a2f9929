"""The edge to a folder of Parquet files larger than memory: what is in it, and its votes as codes in parts.

A part has some of the tasks, in order of appearance, and all rows on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet

from common.console import install
from consensus.core.arrays import Flags, Keys, Names
from consensus.errors import ConfigError, VotesError
from consensus.files.folder_coder import Coder
from consensus.files.text_columns import PARQUET, extension, header_of
from consensus.watcher import SILENT, Watcher

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STEPS = 5
"""Annotators, labels, votes and tasks are coded, then written."""

MEMORY, THREADS = "1GB", 2
"""What DuckDB may use; what is more goes to the disk."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Where the parts are, and what is common to them.

    Attributes
    ----------
    folder : Path
        With the folders `votes`, `given` and `names`, each with a folder `part=N` of Parquet files for the parts.
    first_task : (n_parts,) int64
        Code of the first task of each part.
    n_tasks, n_rows : int
        Tasks, and rows of votes, of all parts.
    annotator_names, label_names : object
    """

    folder: Path
    first_task: Keys
    n_tasks: int
    n_rows: int
    annotator_names: Names
    label_names: Names


def parquet_files(folder: Path) -> list[Path]:
    """List the Parquet files of a folder and of the folders in it, by name; or the file that is named.

    Files and folders whose names start with . or _ are left out, as others leave them out too.

    Raises
    ------
    VotesError
        Where there is none.
    """
    if not folder.is_dir():
        if extension(folder) not in PARQUET:
            raise VotesError(f"{folder} is no folder and no Parquet file (.parquet); only those are read in parts")
        return [folder]
    files = sorted(file for file in folder.rglob("*") if extension(file) in PARQUET and file.is_file())
    files = [file for file in files if not any(part[0] in "._" for part in file.relative_to(folder).parts)]
    if not files:
        raise VotesError(f"{folder} is a folder without a Parquet file; name another, or a file")
    return files


def header_of_all(files: Sequence[Path], headers: Sequence[Sequence[str]]) -> tuple[Sequence[str], int]:
    """Find the columns that all files have, and count the rows.

    Raises
    ------
    VotesError
        Where a file is no Parquet file, or has other columns than the first; the message names the file.
    """
    rows, first = 0, None
    for file in files:
        try:
            metadata = pyarrow.parquet.read_metadata(file)
        except OSError as error:
            raise VotesError(f"{file} cannot be read: {error.strerror or str(error).splitlines()[0]}") from None
        except pa.ArrowException as error:
            raise VotesError(f"{file} is no whole Parquet file ({str(error).splitlines()[0]})") from None
        schema = metadata.schema.to_arrow_schema()
        header = header_of(schema.names, file, headers)
        first = first or header
        if header != first:
            raise VotesError(f"{file} has the columns {','.join(header)}, and {files[0]} {','.join(first)}")
        for name in header:
            _check_kind(schema.field(name).type, name, file)
        rows += metadata.num_rows
    return first or (), rows


def code_folder(
    files: Sequence[Path],
    columns: Sequence[str],
    given: tuple[pa.Table, Flags] | None,
    folder: Path,
    part_votes: int,
    watcher: Watcher = SILENT,
) -> Coded:
    """Write the votes of files, and given labels, as codes in parts.

    Parameters
    ----------
    files : sequence of Path
    columns : sequence of str
        "task", "annotator", "label" and perhaps "vote".
    given : (pyarrow.Table, (n,) bool) or None
        Columns "task" and "label" of the given labels, and whether each is given.
    folder : Path
        An empty folder.
    part_votes : int
        Votes and given labels of a part; a task is never cut, so that a part can have more.
    watcher : Watcher

    Returns
    -------
    Coded

    Raises
    ------
    VotesError
        Where a value is empty, holds a line break or is no vote; the message names the file and the row.
    ConfigError
        Where DuckDB is not installed.
    """
    database, tell = _database(folder), watcher.of("steps of reading", STEPS)
    tell(0)
    try:
        coder = Coder(database, files, folder)
        coder.view_votes(columns)
        coder.view_given(given)
        annotators = coder.small("annotator")
        tell(1)
        labels = coder.small("label")
        tell(2)
        if "vote" in columns:
            coder.stands()
        tell(3)
        firsts, n_tasks = coder.tasks(part_votes)
        tell(4)
        n_rows = coder.write("vote" in columns)
        tell(STEPS)
    except _duckdb().Error as error:
        raise VotesError(f"{files[0].parent} cannot be read: {str(error).splitlines()[0]}") from None
    finally:
        database.close()
    return Coded(folder, firsts, n_tasks, n_rows, annotators, labels)


def _check_kind(kind: Any, name: str, file: Path) -> None:  # noqa: ANN401  # pyarrow has no types
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    fits = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
    if not any(fit(kind) for fit in fits):
        raise VotesError(f"{file}: column {name!r} holds {kind}; use text or whole numbers")


def _database(folder: Path) -> "DuckDBPyConnection":
    spill = folder / "spill"
    spill.mkdir()
    database: DuckDBPyConnection = _duckdb().connect(
        folder / "codes.duckdb",
        config={
            "memory_limit": MEMORY,
            "threads": THREADS,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,  # nothing is fetched from anywhere
            "autoload_known_extensions": False,
        },
    )
    return database


def _duckdb() -> ModuleType:
    try:
        import duckdb  # noqa: PLC0415  # an extra: only folders need it
    except ModuleNotFoundError:
        raise ConfigError(
            f"a folder of votes needs DuckDB, which is not installed: {install('.[large]')}"
        ) from None
    return duckdb
