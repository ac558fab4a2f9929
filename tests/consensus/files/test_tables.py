"""Columns of text as names and, of each row, the place of its name."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from consensus.core.votes.votes import encode
from consensus.errors import VotesError
from consensus.files.tables import Limits, Table, database, read_table

NAMES = [" a", "a ", "unused", "b", "", "A"]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[list[Table]]:
    """Where a test puts the table that it reads, so that its database is closed in the end."""
    with database(tmp_path, Limits(10**9, 2)) as connection:
        yield [Table(connection, "names", tmp_path, [], ())]


def read(empty: list[Table], path: Path) -> tuple[list[int], list[str]]:
    """Codes and names of the column `name`."""
    table = read_table(empty[0].connection, "names", path, (("name",),))
    table.code("name")
    return table.rows("name")["name"].tolist(), table.names("name").tolist()


def dictionary(codes: list[int | None]) -> pa.DictionaryArray:
    """A column as other programs may have made it: names twice, unused, missing, in any order."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(NAMES))


def written(folder: Path, column: pa.Array) -> Path:
    """A Parquet file with one column."""
    pq.write_table(pa.table({"name": column}), folder / "names.parquet", row_group_size=2)
    return folder / "names.parquet"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (dictionary([3, 0, 1, 5, 3]), ["b", "a", "a", "A", "b"]),
        (pa.array([2, 1, 2]), ["2", "1", "2"]),
        (pa.array(["b", "a"], pa.large_string()), ["b", "a"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["\u2003x\x85", "x", "\ty"]), ["x", "x", "y"]),
        (pa.array([], pa.string()), []),
    ],
)
def test_any_column_of_names_is_read(
    tmp_path: Path, table: list[Table], column: pa.Array, values: list[str]
) -> None:
    """Dictionaries, numbers and texts become names without space around them, in order of appearance."""
    expected, names = encode(values)
    assert read(table, written(tmp_path, column)) == (expected.tolist(), names.tolist())


@pytest.mark.parametrize("codes", [[3, 0, None], [0, 1, 4]])
def test_missing_names_are_found(tmp_path: Path, table: list[Table], codes: list[int | None]) -> None:
    """A row without a name or with an empty one is named by its number."""
    with pytest.raises(VotesError, match="row 3: column 'name' is empty"):
        read(table, written(tmp_path, dictionary(codes)))


@pytest.mark.parametrize("name", ["names.csv", "names.csv.gz"])
def test_many_names_are_coded_in_order(tmp_path: Path, table: list[Table], name: str) -> None:
    """However many blocks of a file a name stands in, and on whatever thread, it has one code."""
    values = [f"name{number % 5000}" for number in range(200_000)]
    with pa.output_stream(str(tmp_path / name), compression="gzip" if name.endswith("gz") else None) as file:
        pyarrow.csv.write_csv(pa.table({"name": values}), file)
    codes, names = read(table, tmp_path / name)
    assert names == values[:5000]
    assert codes == [number % 5000 for number in range(200_000)]


def test_limits_are_those_of_the_machine_unless_they_are_set() -> None:
    """There is at least a processor and some memory; what is set stays."""
    assert Limits.of_machine(10**9, 3) == Limits(10**9, 3)
    found = Limits.of_machine()
    assert (found.memory > 10**8, found.threads > 0) == (True, True)
