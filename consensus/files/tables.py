"""The edge to tables: CSV, gzip and Parquet files and folders of Parquet as columns of names, read by DuckDB."""

import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Names
from consensus.errors import VotesError
from consensus.files import csv_text
from consensus.files.known_tables import JSON, Known, read_json, recognise

PARQUET = (".parquet", ".pq")

VOTES = ("task", "annotator", "label")
"""The columns of a table of votes."""

ROW_BITS, AFTER_ALL = 40, 1 << 62
"""A position is the number of the file, then that of the row in these bits; a second table comes after all."""

SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
"""What is no part of a name at its ends."""

ODD = f"^$|^[{SPACE}]|[{SPACE}]$|[\\r\\n\\x00]"
"""What is no name, or has space around it."""

CODE = "(row_number() OVER () - 1)::INTEGER AS code"

LINE, LONGEST_LINE = 2 << 20, 1 << 30
"""Bytes that a row of a CSV has room in, at first and where that does not do."""

LONG_NAME = 60
"""Letters of a column's name that a message shows."""


@dataclass(frozen=True)
class Limits:
    """What reading and scoring may take of the machine.

    Attributes
    ----------
    memory : int
        Bytes; what needs more is kept on disk.
    """

    memory: int
    threads: int

    @classmethod
    def of_machine(cls, memory: int | None = None, threads: int | None = None) -> "Limits":
        """Take half of the memory and all processors that this process may use, where nothing else is set."""
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        with suppress(OSError, ValueError):  # no container, or one without a limit
            total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
        return cls(memory or total // 2, threads or len(os.sched_getaffinity(0)))


@contextmanager
def database(folder: Path, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory that keeps in a folder what is too large for it."""
    config: dict[str, Any] = {
        "memory_limit": f"{max(limits.memory // 10**6, 100)}MB",
        "threads": limits.threads,
        "temp_directory": str(folder / "spill"),
        "autoinstall_known_extensions": False,  # nothing is fetched from anywhere
        "autoload_known_extensions": False,
    }
    with duckdb.connect(config=config) as connection:
        yield connection


@dataclass(frozen=True, eq=False)
class Table:
    """A view of the database: columns of text, and `position`, which orders the rows.

    Attributes
    ----------
    path : Path
        As the user named it.
    files : sequence of Path
        Those of a folder, or the file itself.
    notes : tuple of str
        What it was taken for, where it is that of another program.
    entries : sequence of int
        Of a JSON file, the entry of each row, from 1.
    width : int
        Rows of the table that a row of the file is: where each annotator has a column, one each.
    several : bool
        Whether an annotator chose several labels of a task.
    """

    connection: duckdb.DuckDBPyConnection
    name: str
    path: Path
    files: Sequence[Path]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    entries: Sequence[int] = ()
    width: int = 1
    several: bool = False

    def __len__(self) -> int:
        return int(self._fetch(f"SELECT count(*) AS n FROM {self.name}")["n"][0])

    def leave_out_missing(self, column: str) -> int:
        """Leave rows out that have nothing in a column, or a NaN; return how many."""
        missing = f""""{column}" IS NULL OR "{column}" IN ('', 'nan', 'NaN', 'NAN')"""
        rows = int(self._fetch(f"SELECT count(*) AS n FROM {self.name} WHERE {missing}")["n"][0])
        if rows:
            self.connection.execute(f"ALTER VIEW {self.name} RENAME TO {self.name}_all")
            self.connection.execute(f"CREATE VIEW {self.name} AS FROM {self.name}_all WHERE NOT ({missing})")
        return rows

    def code(self, column: str, other: "Table | None" = None) -> int:
        """Number the names of a column, and then those of another table, in order of appearance; return how many.

        Names have no space around them.

        Raises
        ------
        VotesError
            Where one is empty or would break a line; the message names the first row.
        """
        key, run = f"{self.name}_{column}", self.connection.execute
        rows = f'SELECT "{column}" AS raw, position FROM {self.name}'
        if other is not None:
            rows += f' UNION ALL SELECT "{column}", position + {AFTER_ALL} FROM {other.name}'
        try:
            run(f"CREATE TABLE {key}_raw AS SELECT raw, min(position) AS first FROM ({rows}) GROUP BY raw")
        except duckdb.Error as error:
            raise VotesError(f"{self.path} cannot be read: {first_line(error)}") from None
        if run(f"SELECT 1 FROM {key}_raw WHERE raw IS NULL OR regexp_matches(raw, ?) LIMIT 1", [ODD]).fetchone():
            self._trim(column, other)
        else:  # nearly always, and then a name is what the file has
            ordered = f"FROM {key}_raw ORDER BY first"
            run(f"CREATE TABLE {key}_names AS SELECT raw AS name, {CODE}, first FROM ({ordered})")
            run(f"CREATE VIEW {key} AS SELECT name AS raw, code FROM {key}_names")
        run(f"DROP TABLE {key}_raw")
        if other is not None:
            run(f"CREATE VIEW {other.name}_{column} AS FROM {key}")
        return int(self._fetch(f"SELECT count(*) AS n FROM {key}_names")["n"][0])

    def _trim(self, column: str, other: "Table | None") -> None:
        """Number names without the space around them, and refuse what is none."""
        key, run = f"{self.name}_{column}", self.connection.execute
        run(
            f"CREATE TABLE {key}_trimmed AS SELECT raw, first, "
            f"CASE WHEN regexp_matches(raw, ?) THEN trim(raw, ?) ELSE raw END AS name FROM {key}_raw",
            [ODD, SPACE],
        )
        run(
            f"CREATE TABLE {key}_names AS SELECT name, {CODE}, first "
            f"FROM (SELECT name, min(first) AS first FROM {key}_trimmed GROUP BY name ORDER BY first)"
        )
        bad = run(
            f"SELECT name, first FROM {key}_names WHERE name IS NULL OR name = '' OR regexp_matches(name, ?) "
            "ORDER BY first LIMIT 1",
            ["[\\r\\n\\x00]"],
        ).fetchone()
        if bad:
            of = other if other is not None and bad[1] >= AFTER_ALL else self
            raise VotesError(f"{of.place(bad[1] % AFTER_ALL)}: column {column!r} {_fault(bad[0])}")
        run(f"CREATE TABLE {key}_codes AS SELECT raw, code FROM {key}_trimmed JOIN {key}_names USING (name)")
        run(f"CREATE VIEW {key} AS FROM {key}_codes")
        run(f"DROP TABLE {key}_trimmed")

    def first_codes(self, column: str) -> int:
        """Count the names of a column that stand in this table, and not only in the other one."""
        names = f"{self.name}_{column}_names"
        return int(self._fetch(f"SELECT count(*) AS n FROM {names} WHERE first < {AFTER_ALL}")["n"][0])

    def names(self, column: str, first: int = 0, end: int = 1 << 62) -> Names:
        """Return the names of a column that is coded, from one code to before another."""
        names: Names = self._fetch(
            f"SELECT name FROM {self.name}_{column}_names WHERE code >= ? AND code < ?", [first, end]
        )["name"]
        return names

    def value(self, column: str, values: Callable[[str], float | None], wrong: Callable[[str], str]) -> None:
        """Let each name of a column stand for a value instead of a code.

        Raises
        ------
        VotesError
            With what `wrong` says of the first name that has none, behind its place.
        """
        self.code(column)
        names = self.names(column)
        numbers = [values(name) for name in names]
        if None in numbers:
            code = numbers.index(None)
            raise VotesError(f"{self.place_of(column, code)}: {wrong(names[code])}")
        key = f"{self.name}_{column}"
        self.connection.register(
            "numbers",
            {"code": np.arange(len(names), dtype=np.int32), "value": np.array(numbers, dtype=np.float64)},
        )
        self.connection.execute(
            f"CREATE TABLE {key}_values AS SELECT raw, value AS code FROM {key} JOIN numbers USING (code)"
        )
        self.connection.unregister("numbers")
        self.connection.execute(f"CREATE OR REPLACE VIEW {key} AS FROM {key}_values")

    def coded(self, *columns: str) -> str:
        """Return the query for coded columns and the position of each row."""
        codes = ", ".join(f'{column}_.code AS "{column}"' for column in columns)
        joins = " ".join(
            f'JOIN {self.name}_{column} AS {column}_ ON {column}_.raw = {self.name}."{column}"'
            for column in columns
        )
        return f"SELECT {codes}, position FROM {self.name} {joins}"

    def rows(self, *columns: str) -> dict[str, NDArray[Any]]:
        """Return coded columns and the positions, in the order of the rows."""
        return by_position(self._fetch(self.coded(*columns)))

    def place_of(self, column: str, code: int) -> str:
        """Name the first row with a code."""
        (first,) = self._fetch(f"SELECT first FROM {self.name}_{column}_names WHERE code = ?", [code])["first"]
        return self.place(int(first))

    def place(self, position: int) -> str:
        """Name a row; in a CSV by the line on which it ends."""
        number, row = divmod(position, 1 << ROW_BITS)
        file, row = self.files[number], row // self.width
        if self.entries:
            return f"{file}, entry {self.entries[row]}"
        if extension(file) in PARQUET:
            return f"{file}, row {row + 1}"
        lines = (line for _, line, _ in csv_text.rows(file))
        return f"{file}, line {next(itertools.islice(lines, row, None), row + 2)}"

    def _fetch(self, query: str, values: Sequence[Any] = ()) -> dict[str, NDArray[Any]]:
        return self.connection.execute(query, list(values)).fetchnumpy()


@dataclass(frozen=True)
class _Columns:
    """The columns that a table must have, in one of several headers, and may have."""

    headers: Sequence[Sequence[str]]
    optional: Sequence[str]

    def in_file(self, names: Sequence[str], path: Path) -> tuple[dict[str, str], Known | None]:
        """Find the columns of the last of the headers that fits, in any case, and how the file spells them.

        Where none fits, votes may be in a table of another program.
        """
        spelled = {name.lower(): name for name in reversed(names)}
        twice = next(
            (name for name in names if name and [header.lower() for header in names].count(name.lower()) > 1), None
        )
        if twice is not None:
            raise VotesError(f"{path} has two columns {twice!r}; take one out")
        header = next((header for header in reversed(self.headers) if set(header) <= set(spelled)), None)
        if header is None and VOTES in self.headers and (other := recognise(names, path)):
            return dict(other.columns), other
        if header is None:
            shown = ", ".join(name if len(name) <= LONG_NAME else f"{name[:LONG_NAME]}..." for name in names[:20])
            possible = " or ".join(",".join(header) for header in self.headers)
            remedy = (
                "; its columns are separated by bars: use commas" if len(names) == 1 and "|" in names[0] else ""
            )
            raise VotesError(f"{path} has the columns {shown or 'none'}; expected {possible}{remedy}")
        return {name: spelled[name] for name in (*header, *self.optional) if name in spelled}, None


def read_table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    headers: Sequence[Sequence[str]],
    optional: Sequence[str] = (),
) -> Table:
    """Let a view of the database stand for a file, or for the Parquet files of a folder.

    Parameters
    ----------
    name : str
        Of the view.
    path : Path
        CSV, CSV with gzip (.gz), Parquet (.parquet, .pq) or JSON (.json, .jsonl) by extension. Of a folder and the
        folders in it all Parquet files are read, by name, but those whose names start with . or _.
    headers : sequence of sequences of str
        Columns that must be there; where several headers fit, the last one counts.
    optional : sequence of str
        Columns that are read where they are there.

    Raises
    ------
    VotesError
        Where something cannot be read; the message names the file, the line where there is one, and the remedy.
    """
    expected = _Columns(headers, optional)
    try:
        if extension(path) in JSON:
            return _load_json(connection, name, path, expected)
        if path.is_dir() or extension(path) in PARQUET:
            return _view_parquet(connection, name, path, expected)
        return _load_csv(connection, name, path, expected)
    except (EOFError, zlib.error) as error:
        raise VotesError(f"{path} is no whole gzip file ({error}); copy or compress it again") from None
    except OSError as error:
        if csv_text.is_gzip(path) and error.errno is None:  # what the module gzip raises has no number
            raise VotesError(f"{path} is no whole gzip file ({error}); copy or compress it again") from None
        raise VotesError(f"{path} cannot be read: {error.strerror or error}") from None


def by_position(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Put rows into the order of their positions; mostly the joins have kept it, and DuckDB would sort slowly."""
    position = columns["position"]
    if (position[1:] > position[:-1]).all():
        return columns
    if position.max() == len(position) - 1:  # as in one file, and much quicker than to sort
        return {name: _put(column, position) for name, column in columns.items()}
    order = np.argsort(position)
    return {name: column[order] for name, column in columns.items()}


def _put(column: NDArray[Any], position: NDArray[np.int64]) -> NDArray[Any]:
    ordered = np.empty_like(column)
    ordered[position] = column
    return ordered


def extension(path: Path) -> str:
    """Extension of a file, in lower case."""
    return path.suffix.lower()


def first_line(error: Exception) -> str:
    """Return what an error of DuckDB says, without what it advises to programmers."""
    return str(error).strip().splitlines()[0]


def _load_csv(connection: duckdb.DuckDBPyConnection, name: str, path: Path, expected: _Columns) -> Table:
    header = csv_text.read_header(path)
    columns, other = expected.in_file(header.names, path)
    places = {column: header.names.index(spelled) for column, spelled in columns.items()}
    texts = ", ".join(f'c{place} AS "{column}"' for column, place in places.items())
    annotators = other.annotators if other else ()
    if annotators:
        labels = ", ".join(f"c{header.names.index(name)}" for name in annotators)
        texts += f", [{labels}] AS labels"
    kinds = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(header.names)))
    query = (
        f"CREATE OR REPLACE TABLE {name}_rows AS SELECT {texts} FROM read_csv(?, columns = {{{kinds}}}, "
        "auto_detect = false, header = false, skip = ?, delim = ?, quote = '\"', escape = '\"', "
        "compression = ?, max_line_size = ?, strict_mode = ?)"
    )
    compression = "gzip" if csv_text.is_gzip(path) else "none"
    given = [pattern(path), header.lines, header.separator, compression]
    try:
        connection.execute(query, [*given, LINE, True])
        strictly = bool(connection.execute(f"SELECT 1 FROM {name}_rows LIMIT 1").fetchone())
    except duckdb.Error:
        strictly = False
    n_rows = None
    if not strictly:  # none is also what it reads where lines above the header end otherwise than those below
        # DuckDB's message has no remedy; long lines and mixed line ends, which only it minds, it reads leniently.
        n_rows = csv_text.check(path, len(header.names))
        try:
            connection.execute(query, [*given, LONGEST_LINE, False])
        except duckdb.Error as error:
            raise VotesError(f"{path} cannot be read: {first_line(error)}") from None
    (n_read,) = connection.execute(f"SELECT count(*) FROM {name}_rows").fetchall()[0]
    if n_rows not in (None, n_read):
        raise VotesError(f"{path} is read as {n_read} rows and has {n_rows}; write it again with a CSV writer")
    notes = (f"{path} is {other.sentence}",) if other else ()
    if not annotators:
        connection.execute(f"CREATE VIEW {name} AS SELECT *, rowid AS position FROM {name}_rows")
        return Table(connection, name, path, [path], tuple(columns), notes)
    width, people = len(annotators), ", ".join("'" + who.replace("'", "''") + "'" for who in annotators)
    connection.execute(
        f"CREATE VIEW {name} AS SELECT * FROM (SELECT task, unnest([{people}]) AS annotator, "
        f"unnest(labels) AS label, unnest(range({width})) + rowid * {width} AS position FROM {name}_rows) "
        "WHERE trim(label) <> ''"
    )
    return Table(connection, name, path, [path], ("task", "annotator", "label"), notes, width=width)


def _load_json(connection: duckdb.DuckDBPyConnection, name: str, path: Path, expected: _Columns) -> Table:
    rows = read_json(path)
    columns, other = expected.in_file(list(rows.columns), path)
    texts = {
        column: np.array([*rows.columns[spelled], None], dtype=object)[:-1] for column, spelled in columns.items()
    }
    connection.register("json_columns", texts)
    selected = ", ".join(f'"{column}"::VARCHAR AS "{column}"' for column in columns)
    connection.execute(f"CREATE TABLE {name}_rows AS SELECT {selected} FROM json_columns")
    connection.unregister("json_columns")
    connection.execute(f"CREATE VIEW {name} AS SELECT *, rowid AS position FROM {name}_rows")
    sentence = other.sentence if other else f"read as {rows.program}"
    notes = (f"{path} is {sentence}",)
    return Table(connection, name, path, [path], tuple(columns), notes, rows.entries, several=rows.several)


def _view_parquet(connection: duckdb.DuckDBPyConnection, name: str, path: Path, expected: _Columns) -> Table:
    files = _parquet_files(path)
    first: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    for file in files:
        try:
            kinds = _kinds(connection, [file])
        except duckdb.IOException:
            file.open("rb").close()  # says why it cannot be read
            raise VotesError(f"{file} is no whole Parquet file; write it again") from None
        except duckdb.Error as error:
            raise VotesError(f"{file} is no whole Parquet file ({first_line(error)}); write it again") from None
        columns, other = expected.in_file(list(kinds), file)
        if other and other.annotators:
            raise VotesError(f"{file} has {other.sentence}; use CSV, or a row for each vote")
        first = first or columns
        notes = (f"{path} is {other.sentence}",) if other else ()
        if columns.keys() != first.keys():
            raise VotesError(f"{file} has the columns {','.join(columns)}, and {files[0]} {','.join(first)}")
        for column, spelled in columns.items():
            _check_kind(connection, file, column, spelled, kinds[spelled])
    kinds = _kinds(connection, files)
    texts = ", ".join(
        f'{_as_text(_quoted(spelled), kinds[spelled])} AS "{column}"' for column, spelled in first.items()
    )
    # A view cannot take parameters.
    names = ", ".join("'" + pattern(file).replace("'", "''") + "'" for file in files)
    connection.execute(
        f"CREATE VIEW {name} AS SELECT {texts}, (file_index::BIGINT << {ROW_BITS}) + file_row_number AS position "
        f"FROM read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
    )
    return Table(connection, name, path, files, tuple(first), notes)


def _parquet_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if extension(file) in PARQUET and file.is_file())
    files = [file for file in files if not any(name[0] in "._" for name in file.relative_to(path).parts)]
    if not files:
        raise VotesError(f"{path} is a folder without a Parquet file; name another, or a file")
    return files


def _kinds(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> dict[str, str]:
    """Return the columns of Parquet files and their types."""
    rows = connection.execute(
        "DESCRIBE SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)",
        [[pattern(file) for file in files]],
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def _check_kind(connection: duckdb.DuckDBPyConnection, file: Path, column: str, spelled: str, kind: str) -> None:
    """Refuse columns that are neither text nor numbers, dates and the like."""
    text = (
        kind != "BLOB"
        or not connection.execute(
            f"SELECT 1 FROM (SELECT {_quoted(spelled)} AS bytes FROM read_parquet(?)) "
            "WHERE bytes IS NOT NULL AND TRY(decode(bytes)) IS NULL",
            [[pattern(file)]],
        ).fetchone()
    )
    if not text or kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT")):
        raise VotesError(f"{file}: column {column!r} holds {kind}; use text or numbers")


def _as_text(name: str, kind: str) -> str:
    if kind == "BLOB":
        return f"decode({name})"
    if kind in ("FLOAT", "DOUBLE"):  # whole numbers are spelled as such
        return f"regexp_replace({name}::VARCHAR, '\\.0$', '')"
    return f"{name}::VARCHAR"


def pattern(path: Path) -> str:
    """Write a path so that it stands for this file alone."""
    return re.sub(r"([*?\[])", r"[\1]", str(path.absolute()))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _fault(name: str | None) -> str:
    if not name:
        return "is empty; fill it or take the row out"
    if set("\r\n") & set(name):
        return "holds a line break; is a quotation mark missing or too much?"
    return "holds a NUL character; take it out"
