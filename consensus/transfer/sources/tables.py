"""Tables of images and labels: CSV, JSON Lines and Parquet."""

import csv
import glob
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.console import original_text
from consensus.core.dataset.names import MARKER
from consensus.errors import SourceError
from consensus.transfer.sources.records import LeftOut, Reading, texts_of

IMAGE_COLUMNS = (
    "image", "path", "file", "file_name", "filename", "filepath", "image_path", "image_url", "url", "uri",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "given", "given_label", "class", "classes", "category", "categories", "tags", "target",
)  # fmt: skip
_SEPARATORS = (",", ";", "\t")
_LONGEST_CELL = 10_000_000

Row = Mapping[Any, Any]  # of CSV, cells beyond those of the head are under None


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what.

    Attributes
    ----------
    image : str, optional
        The path or address of the image; None: by its name.
    labels : tuple of str
        Their values together are the labels; empty: one by its name.
    separator : str, optional
        Between several labels in one text.
    """

    image: str | None = None
    labels: tuple[str, ...] = ()
    separator: str | None = None


NO_COLUMNS = Columns()


def read_table(path: Path, root: Path, columns: Columns = NO_COLUMNS) -> Reading:
    """Read a table, by the ending of its name.

    Raises
    ------
    SourceError
        Where it cannot be read, or which column holds the images is unclear.
    """
    rows = READERS.get(path.suffix.lower(), _csv_rows)(path)
    reading, chosen, is_export = Reading(), Columns(), (path.parent / MARKER).is_file()
    for number, row in enumerate(rows, start=1):
        if number == 1:
            chosen = _chosen(path, [name for name in row if name is not None], columns)
            reading.notes.append(_about(chosen))
        if any(row.get(None) or ()):  # an address or label with a separator in it, and no quotes around
            reading.left_out.append(LeftOut(f"row {number}", "no image", "it has more cells than the head"))
            continue
        name = row.get(chosen.image or "")
        if not isinstance(name, str):
            reading.left_out.append(LeftOut(f"row {number}", "no image", f"{chosen.image} holds no text"))
            continue
        labels = [text for column in chosen.labels for text in texts_of(row.get(column), chosen.separator)]
        if is_export and reading.records and reading.records[-1].source == name.strip():  # a row a label
            labels = [*reading.records.pop().labels, *labels]
        reading.add(name, labels, root)
    return reading


def _chosen(path: Path, names: Sequence[str], columns: Columns) -> Columns:
    absent = [name for name in (columns.image, *columns.labels) if name and name not in names]
    if absent:
        raise SourceError(f"{path} has no column {absent[0]!r}; it has {', '.join(names)}")
    by_name = {name.lower(): name for name in reversed(names)}
    image = columns.image or next((by_name[name] for name in IMAGE_COLUMNS if name in by_name), None)
    if image is None:
        raise SourceError(
            f"which column of {path} holds the path or address of an image is unclear; name it with --image-column"
            f" ({', '.join(names)})"
        )
    guessed = (by_name[name] for name in LABEL_COLUMNS if name in by_name and by_name[name] != image)
    labels = columns.labels or tuple(name for name in [next(guessed, None)] if name)
    return Columns(image, labels, columns.separator)


def _about(columns: Columns) -> str:
    labels = " and ".join(repr(name) for name in columns.labels) or "no column"
    return f"images from column {columns.image!r}, labels from {labels}"


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = max(_SEPARATORS, key=first.count)
            file.seek(0)
            rows = csv.DictReader(file, delimiter=separator)
            if not (path.parent / MARKER).is_file():
                yield from rows
            for row in rows:  # as `consensus export` wrote them
                yield {name: original_text(text) if isinstance(text, str) else text for name, text in row.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None


def json_rows(path: Path) -> Iterator[Row]:
    """Read JSON Lines; blank lines are passed over.

    Raises
    ------
    SourceError
        Naming the line that is no JSON object.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise SourceError(f"{path}, line {number}: not a JSON object")
                yield row
    except json.JSONDecodeError as error:
        raise SourceError(f"{path}, line {number}: not JSON: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None
    except (RecursionError, ValueError) as error:  # nested too deeply, a number of thousands of digits
        raise SourceError(f"{path}, line {number}: cannot be read: {error}") from None


def _parquet_rows(path: Path) -> Iterator[Row]:
    import duckdb  # noqa: PLC0415 - slow, and only Parquet needs it

    try:
        with duckdb.connect() as database:
            answer = database.execute("SELECT * FROM read_parquet(?)", [glob.escape(str(path))])
            names = [column[0] for column in answer.description or ()]
            while rows := answer.fetchmany(10_000):
                yield from (dict(zip(names, row, strict=True)) for row in rows)
    except duckdb.Error as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
    return SourceError(f"{path} cannot be read: {reason}")


READERS = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".parquet": _parquet_rows,
}
