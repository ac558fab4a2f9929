"""Columns of text as names and, of each row, the place of its name."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.votes.votes import encode
from consensus.errors import VotesError
from consensus.files.text_columns import codes_of, read_columns

NAMES = [" a", "a ", "unused", "b", "", "A"]


def dictionary(codes: list[int | None]) -> pa.DictionaryArray:
    """A column as other programs may have made it: names twice, unused, missing, in any order."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(NAMES))


def written(folder: Path, column: pa.Array) -> Path:
    """A Parquet file with one column."""
    pq.write_table(pa.table({"name": column}), folder / "names.parquet", row_group_size=2)
    return folder / "names.parquet"


@given(st.lists(st.sampled_from(["a", "b", "ä", "A", " a"]), max_size=8), st.integers(0, 8))
def test_codes_are_in_order_of_appearance(values: list[str], cut: int) -> None:
    """Two columns one below the other are coded like the list of their values."""
    parts = [pa.array(part, pa.string()).dictionary_encode() for part in (values[:cut], values[cut:])]
    codes, names = codes_of(pa.chunked_array(parts))
    expected, expected_names = encode(values)
    assert (codes.tolist(), names.tolist()) == (expected.tolist(), expected_names.tolist())
    assert codes.dtype == np.int32


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (dictionary([3, 0, 1, 5, 3]), ["b", "a", "a", "A", "b"]),
        (pa.array([2, 1, 2]), ["2", "1", "2"]),
        (pa.array(["b", "a"], pa.large_string()), ["b", "a"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([], pa.string()), []),
    ],
)
def test_any_column_of_names_is_read(tmp_path: Path, column: pa.Array, values: list[str]) -> None:
    """Dictionaries, numbers and texts become names without space around them, in order of appearance."""
    table = read_columns(written(tmp_path, column), (("name",),))
    assert table["name"].to_pylist() == values
    assert codes_of(table["name"])[1].tolist() == list(dict.fromkeys(values))


@pytest.mark.parametrize("codes", [[3, 0, None], [0, 1, 4]])
def test_missing_names_are_found(tmp_path: Path, codes: list[int | None]) -> None:
    """A row without a name or with an empty one is told by its number."""
    with pytest.raises(VotesError, match="row 3: column 'name' is empty"):
        read_columns(written(tmp_path, dictionary(codes)), (("name",),))


def test_lower_case_joins_names() -> None:
    """Names that differ in case alone become one, where it first appears."""
    codes, names = codes_of(pa.chunked_array([pa.array(["No", "yes", "NO"]).dictionary_encode()]), lower=True)
    assert (codes.tolist(), names.tolist()) == ([0, 1, 0], ["no", "yes"])


def test_a_csv_is_read_like_a_parquet_file(tmp_path: Path) -> None:
    """A name that stands in several blocks of a CSV has one code."""
    values = [f"name{number % 5000}" for number in range(200_000)]
    (tmp_path / "names.csv").write_text("\n".join(["name", *values]) + "\n")
    codes, names = codes_of(read_columns(tmp_path / "names.csv", (("name",),))["name"])
    assert names.tolist() == values[:5000]
    assert codes.tolist() == [number % 5000 for number in range(200_000)]
