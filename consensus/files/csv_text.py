"""CSV as text: its header, where its rows stand, and what is wrong with it. Slow; rows are read by DuckDB."""

import csv
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from consensus.errors import VotesError

# A name may be as long as it likes; Python's reader stops at 131,072 characters by default.
csv.field_size_limit(2**31 - 1)

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

SEPARATORS = (",", ";", "\t")

SEPARATOR_LINE = re.compile(rb"sep=([,;\t])[\r\n]+", re.IGNORECASE)
"""The line before the header in which Excel says what separates the columns."""

OTHER_KINDS = {
    b"\x1f\x8b": "is compressed with gzip; give it a name that ends in .gz",
    b"PAR1": "is a Parquet file; give it a name that ends in .parquet",
    b"PK\x03\x04": "is a zip file or a spreadsheet; save it as CSV",
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
}
"""First bytes of files that are no CSV, and what to do with such a file."""


@dataclass(frozen=True)
class Header:
    """The first line of a CSV that is not empty.

    Attributes
    ----------
    lines : int
        Lines up to this one, with it.
    """

    names: list[str]
    separator: str
    lines: int


def is_gzip(path: Path) -> bool:
    """Whether a file is one of gzip by its extension."""
    return path.suffix.lower() == ".gz"


def read_header(path: Path) -> Header:
    """Read the header of a CSV.

    Raises
    ------
    VotesError
        Where the file is of another kind, or its header cannot be read.
    OSError, EOFError
        Where the file cannot be read.
    """
    with _opened(path) as file:
        line, lines = file.readline(), 1
        kind = next((remedy for mark, remedy in OTHER_KINDS.items() if line.startswith(mark)), None)
        if kind is not None:
            raise VotesError(f"{path} {kind}")
        line = line.removeprefix(BYTE_ORDER_MARK)
        excel = SEPARATOR_LINE.fullmatch(line)
        while line and ((excel and lines == 1) or not line.strip(b"\r\n")):
            line, lines = file.readline(), lines + 1
    text = line.rstrip(b"\r\n")
    if b"\r" in text:
        raise VotesError(
            f"{path} ends its lines with a carriage return alone; save it with line feeds (LF or CRLF)"
        )
    if text.count(b'"') % 2:
        raise VotesError(f"{path}, line 1: a quotation mark of the header is not closed; the header is one line")
    marks = (excel[1].decode(),) if excel else SEPARATORS
    readings = {mark: _fields(text.decode("utf-8", "replace"), mark) for mark in marks}
    separator = max(readings, key=lambda mark: len(readings[mark]))  # of equals the first, which is the comma
    return Header(readings[separator], separator, lines)


def rows(path: Path) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the rows of a CSV below its header, slowly, each with the lines on which it begins and ends."""
    separator = read_header(path).separator
    with _opened(path) as file, io.TextIOWrapper(file, "utf-8-sig", "replace", newline="") as text:
        reader = csv.reader(text, delimiter=separator)
        begin, below = 1, False
        for fields in reader:
            if fields and not below and SEPARATOR_LINE.fullmatch(f"{separator.join(fields)}\n".encode()):
                continue
            if fields and below:  # empty lines are no rows
                yield begin, reader.line_num, fields
            begin, below = reader.line_num + 1, below or bool(fields)


def check(path: Path, width: int) -> int:
    """Count the rows; refuse the first line that is no UTF-8, and the first row of another width than the header.

    Raises
    ------
    VotesError
        Naming the line on which it begins.
    """
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise VotesError(
                    f"{path}, line {number}: the byte {line[error.start]:#04x} is no UTF-8 text; "
                    "save the file as UTF-8"
                ) from None
    n_rows = 0
    for begin, _, fields in rows(path):
        n_rows += 1
        if len(fields) != width:
            raise VotesError(
                f"{path}, line {begin}: {len(fields)} columns where the header has {width}; "
                "put quotes around a value that holds a comma, and close those that are open"
            )
    return n_rows


def _fields(line: str, separator: str) -> list[str]:
    fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [name.strip() for name in fields]


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if is_gzip(path) else path.open("rb")
