"""The edge to tables: columns of text out of CSV, gzip and Parquet, and where in the file something stands."""

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from consensus.core.arrays import Codes, Names
from consensus.errors import VotesError

PARQUET = (".parquet", ".pq")

# Of Arrow's allocators this one gives back most of what is no longer needed, which numpy then can have.
with suppress(NotImplementedError):
    pa.set_memory_pool(pa.jemalloc_memory_pool())

# A name may be as long as it likes; Python's reader stops at 131,072 characters by default.
csv.field_size_limit(2**31 - 1)

OTHER_KINDS = {
    b"\x1f\x8b": "is compressed with gzip; give it a name that ends in .gz",
    b"PAR1": "is a Parquet file; give it a name that ends in .parquet",
    b"PK\x03\x04": "is a zip file or a spreadsheet; save it as CSV",
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
}
"""First bytes of files that are no CSV, and what to do with such a file."""


def read_columns(path: Path, headers: Sequence[Sequence[str]], optional: Sequence[str] = ()) -> pa.Table:
    """Read the columns of one of the headers, as text without gaps: names, and of each row the place of its name.

    Parameters
    ----------
    path : Path
        CSV, CSV with gzip (.gz) or Parquet (.parquet, .pq) by extension.
    headers : sequence of sequences of str
        Columns that must be there; where several headers fit, the last one counts.
    optional : sequence of str
        Columns that are read where they are there.

    Raises
    ------
    VotesError
        Where the file cannot be read; the message names the file, the line where there is one, and the remedy.
    """
    try:
        table = _read_parquet(path) if extension(path) in PARQUET else _read_csv(path, headers)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise VotesError(f"{path} is no whole gzip file ({error}); copy or compress it again") from None
    except OSError as error:
        raise VotesError(f"{path} cannot be read: {error.strerror or _first_line(error)}") from None
    except (pa.ArrowException, csv.Error) as error:
        if extension(path) in PARQUET:
            raise VotesError(f"{path} is no whole Parquet file ({_first_line(error)}); write it again") from None
        raise VotesError(f"{path}: {_first_line(error)}; {_expected(headers)}") from None
    header = header_of(table.column_names, path, headers)
    wanted = [*header, *(name for name in optional if name in table.column_names)]
    read = {name: table.column(name) for name in wanted}
    del table
    found = pa.table({name: _texts(read.pop(name), name, path) for name in wanted})
    pa.default_memory_pool().release_unused()  # else numpy cannot have what Arrow no longer needs
    return found


def codes_of(column: pa.ChunkedArray, *, lower: bool = False) -> tuple[Codes, Names]:
    """Codes in the order of appearance, and the names, without a Python object per row.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of dictionaries
        From `read_columns`, or several such columns one below the other.
    lower : bool
        Whether names that differ in case alone are one, in lower case.
    """
    encoded = column.unify_dictionaries().combine_chunks()
    codes = encoded.indices.to_numpy()
    values = encoded.dictionary.to_pylist()
    if lower:
        place_of: dict[str, int] = {}
        codes = np.array([place_of.setdefault(one.lower(), len(place_of)) for one in values], dtype=np.int32)[
            codes
        ]
        values = list(place_of)
    names = np.empty(len(values), dtype=object)
    names[:] = values
    return codes, names


def positions(column: pa.ChunkedArray, names: Names) -> Codes:
    """Position of each value among the names, -1 where it is not among them."""
    codes, values = codes_of(column)
    known = {name: position for position, name in enumerate(names)}
    return np.array([known.get(value, -1) for value in values], dtype=np.int32)[codes]


def number(text: str) -> float:
    """Return the number that a text spells, or NaN; Python would read 1_0 as 10."""
    try:
        return float(text.replace("_", "?"))
    except ValueError:
        return float("nan")


def place(path: Path, row: int) -> str:
    """Name the row, which counts from 0; in a CSV by the line on which it ends."""
    if extension(path) in PARQUET:
        return f"{path}, row {row + 1}"
    lines = (line for line, _ in _rows(path))
    return f"{path}, line {next(itertools.islice(lines, row, None), row + 2)}"


def extension(path: Path) -> str:
    """Extension of a file, in lower case."""
    return path.suffix.lower()


def header_of(names: list[str], path: Path, headers: Sequence[Sequence[str]]) -> Sequence[str]:
    """Find the last of the headers whose columns are all there.

    Raises
    ------
    VotesError
        Where there is none, or a column is there twice.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise VotesError(f"{path} has two columns {twice!r}; take one out")
    header = next((one for one in reversed(headers) if set(one) <= set(names)), None)
    if header is not None:
        return header
    found = ", ".join(name if len(name) <= 60 else f"{name[:60]}..." for name in names[:20])  # noqa: PLR2004  # to be read
    separators = {";": "semicolons", "\t": "tabs", "|": "bars"}
    other = next((word for mark, word in separators.items() if len(names) == 1 and mark in names[0]), None)
    remedy = f"; its columns are separated by {other}: use commas" if other else ""
    raise VotesError(f"{path} has the columns {found or 'none'}; {_expected(headers)}{remedy}")


def _read_csv(path: Path, headers: Sequence[Sequence[str]]) -> pa.Table:
    content = _content(path)
    kind = next((remedy for mark, remedy in OTHER_KINDS.items() if content.startswith(mark)), None)
    if kind is not None:
        raise VotesError(f"{path} {kind}")
    start = _start(content)
    if start == len(content):
        return pa.table({})
    if b"\r" in content and b"\n" not in content:
        raise VotesError(
            f"{path} ends its lines with a carriage return alone; save it with line feeds (LF or CRLF)"
        )
    end = content.find(b"\n", start)
    head, body = (content[start:end], end + 1) if end >= 0 else (content[start:], len(content))
    names = _names(head, path)
    header_of(names, path, headers)
    if not content[body:].strip():
        return pa.table({name: pa.array([], pa.string()) for name in names})
    try:
        return _parse_csv(content, body, names)
    except pa.ArrowInvalid:
        _check_text(content, path)
        _check_widths(path, len(names))
        raise


def _start(content: bytes) -> int:
    """Where the header begins: after a byte order mark and empty lines."""
    mark = len(b"\xef\xbb\xbf") if content.startswith(b"\xef\xbb\xbf") else 0
    return mark + len(content[mark:]) - len(content[mark:].lstrip(b"\r\n"))


def _names(head: bytes, path: Path) -> list[str]:
    if head.count(b'"') % 2:
        raise VotesError(f"{path}, line 1: a quotation mark of the header is not closed; the header is one line")
    line = head.decode("utf-8", "replace").strip("\r")
    return [name.strip() for name in next(csv.reader([line], skipinitialspace=True), [])]


def _parse_csv(content: bytes, body: int, names: list[str]) -> pa.Table:
    """Parse what stands below the header, without a copy of it."""
    longest = 1 << 20  # Arrow's own size of a block, in which a row must fit
    while True:
        try:
            return pyarrow.csv.read_csv(
                pa.BufferReader(pa.py_buffer(content).slice(body)),
                read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=longest),
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string())),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or longest > len(content):
                raise
            longest *= 16


def _content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if extension(path) == ".gz" else path.read_bytes()


def _check_text(content: bytes, path: Path) -> None:
    """Refuse the first line that is no UTF-8."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise VotesError(
            f"{path}, line {line}: the byte {content[error.start]:#04x} is no UTF-8 text; save the file as UTF-8"
        ) from None


def _check_widths(path: Path, width: int) -> None:
    """Refuse the first row that has more or fewer columns than the header."""
    for line, fields in _rows(path):
        if len(fields) != width:
            raise VotesError(
                f"{path}, line {line}: {len(fields)} columns where the header has {width}; "
                "put quotes around a value that holds a comma, and close those that are open"
            )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV below its header, slowly, each with the line on which it ends."""
    reader = csv.reader(io.StringIO(_content(path).decode("utf-8-sig", "replace"), newline=""))
    rows = ((reader.line_num, fields) for fields in reader if fields)  # empty lines are no rows
    next(rows, None)
    yield from rows


def _read_parquet(path: Path) -> pa.Table:
    if path.is_dir() and not any(extension(file) in PARQUET for file in path.rglob("*")):
        raise VotesError(f"{path} is a folder without a Parquet file; name a file")
    if path.is_dir():
        return pyarrow.parquet.read_table(path)
    with pyarrow.parquet.ParquetFile(path) as file:
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
    return pyarrow.parquet.read_table(path, read_dictionary=texts)


def _texts(column: pa.ChunkedArray, name: str, path: Path) -> pa.DictionaryArray:
    """Turn a column into codes and the names that occur, in order of appearance; look at each name once."""
    try:
        encoded = _joined(column if pa.types.is_dictionary(column.type) else column.dictionary_encode())
        texts = pc.cast(encoded.dictionary, pa.string())
    except pa.ArrowException:
        raise VotesError(f"{path}: column {name!r} holds {column.type}; use text or numbers") from None
    names, codes = _distinct(texts, encoded.indices)
    del encoded
    order, codes = _by_appearance(codes, len(names))
    names = names if order is None else names.take(pa.array(order))
    _check_names(names, codes, name, path)
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)


def _joined(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Join the chunks of a column; many share a dictionary, and Arrow would go through it once for each."""
    kind = pa.dictionary(pa.int32(), column.type.value_type)
    runs: list[tuple[pa.Array, list[pa.Array]]] = []
    for chunk in column.chunks:
        if not runs or not _is_same(runs[-1][0], chunk.dictionary):
            runs.append((chunk.dictionary, []))
        runs[-1][1].append(chunk.indices.cast(pa.int32()))
    arrays = [pa.DictionaryArray.from_arrays(pa.concat_arrays(indices), names) for names, indices in runs]
    return pa.chunked_array(arrays, kind).unify_dictionaries().combine_chunks()


def _is_same(first: pa.Array, second: pa.Array) -> bool:
    """Whether two arrays are one in memory."""
    return _memory(first) == _memory(second)


def _memory(array: pa.Array) -> tuple[int, ...]:
    return (len(array), array.offset, *(buffer.address if buffer else 0 for buffer in array.buffers()))


def _distinct(texts: pa.Array, indices: pa.Array) -> tuple[pa.Array, Codes]:
    """Let each name stand once, without space around it; the empty one is for what is missing."""
    trimmed = pc.utf8_trim_whitespace(texts)
    if not texts.null_count and not indices.null_count and trimmed.equals(texts):
        return texts, indices.to_numpy()  # as it is read, a dictionary has no value twice
    names = pa.concat_arrays([pc.fill_null(trimmed, ""), pa.array([""])]).dictionary_encode()
    return names.dictionary, names.indices.to_numpy()[pc.fill_null(indices, len(texts)).to_numpy()]


def _by_appearance(codes: Codes, n_codes: int) -> tuple[Codes | None, Codes]:
    """Say which codes occur, in order of appearance, and replace each by its place among these.

    The first is None where all of them occur and are in that order already.
    """
    largest = np.maximum.accumulate(codes)
    if len(codes) and codes[0] == 0 and largest[-1] == n_codes - 1 and (largest[1:] - largest[:-1] <= 1).all():
        return None, codes
    del largest
    first = np.full(n_codes, len(codes), dtype=np.int64)
    # Of several rows with a code the one that is written last stays: the first.
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int32 if len(codes) < 2**31 else np.int64)
    order = np.argsort(first, kind="stable")[: int((first < len(codes)).sum())]
    place_of = np.empty(n_codes, dtype=np.int32)
    place_of[order] = np.arange(len(order), dtype=np.int32)
    return order.astype(np.int32), place_of[codes]


def _check_names(names: pa.Array, codes: Codes, name: str, path: Path) -> None:
    """Refuse names that are empty or would break a line; the message names the first row."""
    empty = pc.index(names, "").as_py()
    if empty >= 0:
        row = int(np.flatnonzero(codes == empty)[0])
        raise VotesError(f"{place(path, row)}: column {name!r} is empty; fill it or take the row out")
    broken = pc.index(pc.match_substring_regex(names, "[\\r\\n\\x00]"), True).as_py()
    if broken >= 0:
        row = int(np.flatnonzero(codes == broken)[0])
        what = "a NUL character; take it out"
        if set("\r\n") & set(names[broken].as_py()):
            what = "a line break; is a quotation mark missing or too much?"
        raise VotesError(f"{place(path, row)}: column {name!r} holds {what}")


def _expected(headers: Sequence[Sequence[str]]) -> str:
    return "expected " + " or ".join(",".join(header) for header in headers)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
