"""Names to codes, and rows to parts, in DuckDB's SQL: what is too large for memory is on disk."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from consensus.core.arrays import Flags, Keys, Names
from consensus.core.votes.votes import STANDS
from consensus.errors import VotesError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROW_BITS, AFTER_ALL = 40, 1 << 62
"""A position is the file's number, then the row in these bits; given labels come after all files."""

WHITESPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
"""What is no part of a name at its ends."""


@dataclass(frozen=True, eq=False)
class Coder:
    """Gives codes, in order of appearance, column by column; `write` comes last.

    Attributes
    ----------
    database : DuckDBPyConnection
    files : sequence of Path
        Those of the votes.
    folder : Path
        Where the parts go.
    """

    database: "DuckDBPyConnection"
    files: Sequence[Path]
    folder: Path

    def view_votes(self, columns: Sequence[str]) -> None:
        """Let the table `votes` stand for the files."""
        texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in columns)
        names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in self.files)
        # A view cannot take parameters.
        self.database.execute(
            f"CREATE TEMP VIEW votes AS SELECT {texts}, "
            f"(file_index::BIGINT << {ROW_BITS}) + file_row_number AS position "
            f"FROM read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
        )

    def view_given(self, given: tuple[pa.Table, Flags] | None) -> None:
        """Let the table `given` stand for the given labels."""
        table, flags = given or (
            pa.table({"task": pa.array([], pa.string()), "label": pa.array([], pa.string())}),
            [],
        )
        positions = AFTER_ALL + np.arange(table.num_rows, dtype=np.int64)
        columns = {"task": table["task"], "label": table["label"], "given": pa.array(flags, pa.bool_())}
        self.database.register("given", pa.table({**columns, "position": positions}))

    def small(self, column: str) -> Names:
        """Code the names of a column that fit into memory."""
        source = f"SELECT {column} AS raw, position FROM votes"
        if column == "label":
            source += " UNION ALL SELECT label, position FROM given"
        found = self._seen(column, source)
        names = {name: code for code, name in enumerate(dict.fromkeys(name for _, name in found))}
        self._table(f"{column}s", [(raw, names[name]) for raw, name in found], "INTEGER")
        return _objects(names)

    def stands(self) -> None:
        """Code the votes yes, no and unsure."""
        found = self._seen("vote", "SELECT vote AS raw, position FROM votes", STANDS)
        self._table("stands", [(raw, int(STANDS[name.lower()])) for raw, name in found], "TINYINT")

    def tasks(self, part_votes: int) -> tuple[Keys, int]:
        """Code tasks and cut them into parts; return the first code of each part and the number of tasks."""
        run = self.database.execute
        run(
            "CREATE TABLE seen AS SELECT task AS raw, min(position) AS first, count(*) AS n, false AS listed "
            "FROM votes GROUP BY raw"
        )
        run("INSERT INTO seen SELECT task, min(position), count(*), true FROM given GROUP BY task")
        run(
            "CREATE TABLE tasks AS SELECT trim(raw, ?) AS name, min(first) AS first, sum(n)::BIGINT AS n "
            "FROM seen GROUP BY name ORDER BY first",
            [WHITESPACE],
        )
        bad = run(
            "SELECT first, name FROM tasks "
            "WHERE name IS NULL OR name = '' OR regexp_matches(name, '[\\r\\n\\x00]') ORDER BY first LIMIT 1"
        ).fetchone()
        if bad:
            self._refuse("task", bad[1], bad[0])
        # Without an order of their own, windows stream over the table in the order in which it was written.
        run(
            "CREATE TABLE coded AS SELECT name, code, (until - n) // ? AS part FROM (SELECT name, n, "
            "row_number() OVER () - 1 AS code, sum(n) OVER (ROWS UNBOUNDED PRECEDING) AS until FROM tasks)",
            [part_votes],
        )
        run("DROP TABLE tasks")
        run("CREATE TABLE parts AS SELECT part, min(code) AS first, count(*) AS n FROM coded GROUP BY part")
        found = run("SELECT first, n FROM parts ORDER BY part").fetchnumpy()
        return found["first"].astype(np.int64), int(found["n"].sum())

    def write(self, spelled_out: bool) -> int:  # noqa: FBT001  # one of two kinds of files
        """Write votes, given labels and names in parts; return the number of rows of votes."""
        number = "(SELECT part, row_number() OVER (ORDER BY part) - 1 AS number FROM parts)"
        stand, join = ("stand", "JOIN stands ON stands.raw = v.vote") if spelled_out else ("1::TINYINT", "")
        self._copy("names", f"SELECT name, code, number AS part FROM coded JOIN {number} USING (part)")
        self.database.execute(
            "CREATE TABLE keys AS SELECT raw, code, number AS part, listed "
            f"FROM seen JOIN coded ON name = trim(raw, ?) JOIN {number} USING (part)",
            [WHITESPACE],
        )
        for table in ("seen", "coded"):
            self.database.execute(f"DROP TABLE {table}")
        labels = "JOIN labels ON labels.raw = v.label"
        self._copy(
            "given",
            "SELECT keys.code AS task, labels.code AS label, given, position, part "
            f"FROM given v JOIN keys ON keys.raw = v.task AND keys.listed {labels}",
        )
        return self._copy(
            "votes",
            f"SELECT keys.code AS task, annotators.code AS annotator, labels.code AS label, {stand} AS vote, "
            f"position, part FROM votes v JOIN keys ON keys.raw = v.task AND NOT keys.listed "
            f"JOIN annotators ON annotators.raw = v.annotator {labels} {join}",
        )

    def _copy(self, name: str, query: str) -> int:
        to = str(self.folder / name).replace("'", "''")
        done = self.database.execute(
            f"COPY ({query}) TO '{to}' (FORMAT parquet, PARTITION_BY (part), COMPRESSION lz4)"
        ).fetchone()
        return int(done[0]) if done else 0

    def _table(self, name: str, rows: list[tuple[str, int]], kind: str) -> None:
        columns = pa.table(
            {"raw": pa.array([raw for raw, _ in rows], pa.string()), "code": [at for _, at in rows]}
        )
        self.database.register("rows", columns)
        code = "stand" if name == "stands" else "code"
        self.database.execute(f"CREATE TABLE {name} AS SELECT raw, code::{kind} AS {code} FROM rows")
        self.database.unregister("rows")

    def _seen(self, column: str, source: str, only: Container[str] = ()) -> list[tuple[str, str]]:
        """Values and the names they stand for, in order of appearance."""
        rows = self.database.execute(
            f"SELECT raw, min(position) AS first FROM ({source}) GROUP BY raw ORDER BY first"
        ).fetchall()
        found = []
        for raw, first in rows:
            name = (raw or "").strip(WHITESPACE)
            if not name or set(name) & set("\r\n\x00") or (only and name.lower() not in only):
                self._refuse(column, name, first)
            found.append((raw, name))
        return found

    def _refuse(self, column: str, name: str | None, position: int) -> None:
        file, row = divmod(position, 1 << ROW_BITS)
        where = f"{self.files[file]}, row {row + 1}" if position < AFTER_ALL else "the given labels"
        if not name:
            raise VotesError(f"{where}: column {column!r} is empty; fill it or take the row out")
        if set(name) & set("\r\n\x00"):
            raise VotesError(f"{where}: column {column!r} holds a line break or a NUL character; take it out")
        raise VotesError(f"{where}: vote {name!r} is unknown; use yes, no or unsure")


def _objects(names: dict[str, int]) -> Names:
    found: Names = np.empty(len(names), dtype=object)
    found[:] = list(names)
    return found
