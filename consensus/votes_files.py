"""The edge to files: votes, given labels and trust in; results out. CSV, gzip or Parquet by extension."""

import csv
import gzip
import io
import itertools
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from consensus.core.arrays import Codes, Names
from consensus.core.belief import Gold
from consensus.core.classifications import Listed
from consensus.core.scoring import Scored
from consensus.core.votes import STANDS, YES, Votes, latest
from consensus.errors import VotesError

CHOSEN = ("task", "annotator", "label")
SPELLED_OUT = ("task", "label", "annotator", "vote")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, eq=False)
class Ballot:
    """Everything that a set of files says.

    Attributes
    ----------
    votes : Votes
    listed : Listed
    fixed_trust : (n_annotators,) float64
        NaN where trust is to be learned.
    replaced : int
        Votes that a later one of the same annotator replaced.
    unused_trust : int
        Annotators whose trust is set but who have no vote.
    """

    votes: Votes
    listed: Listed
    fixed_trust: np.typing.NDArray[np.float64]
    replaced: int
    unused_trust: int

    @property
    def gold(self) -> Gold:
        """Files hold no gold."""
        none: Codes = np.zeros(0, dtype=np.int32)
        return Gold(none, none, np.zeros(0, dtype=bool))


def read_ballot(
    votes: Path, given: Path | None, trust: Path | None, choice: Literal["single", "multiple"]
) -> Ballot:
    """Read votes, the labels that the tasks came with, and trust set by hand.

    Parameters
    ----------
    votes : Path
        Columns `task,annotator,label` (a row is a chosen label) or `task,label,annotator,vote`.
    given : Path or None
        Columns `task,label` and optionally `given` (1, or 0 for a candidate).
    trust : Path or None
        Columns `annotator,trust`.
    choice : {"single", "multiple"}
        How many labels an annotator may choose; for the first kind of votes file.

    Raises
    ------
    VotesError
        Where a file cannot be read; the message names the file, the line and the remedy.
    """
    table = _read(votes, (CHOSEN, SPELLED_OUT), optional=())
    spoken = "vote" in table.column_names
    if spoken and choice == "multiple":
        raise VotesError(
            f"{votes} spells its votes out in column 'vote', so --choice multiple says nothing; leave it out"
        )
    listed = _read(given, (("task", "label"),), optional=("given",)) if given else None
    task_codes, task_names = _shared_codes(table, listed, "task")
    label_codes, label_names = _shared_codes(table, listed, "label")
    annotator_codes, annotator_names = _codes(table.column("annotator"))
    n_votes = table.num_rows
    all_votes = Votes(
        choice="each" if spoken else choice,
        task=task_codes[:n_votes],
        annotator=annotator_codes,
        label=label_codes[:n_votes],
        vote=_stands(table.column("vote"), votes) if spoken else np.full(n_votes, YES),
        task_names=task_names,
        annotator_names=annotator_names,
        label_names=label_names,
    )
    if all_votes.choice == "single" and len(all_votes) and len(label_names) == 1:
        raise VotesError(
            f"{votes}: all votes are for the label {label_names[0]!r}, and a choice of one label decides nothing; "
            "name the other labels in --given with given=0, or use the columns task,label,annotator,vote"
        )
    kept, replaced = latest(all_votes)
    fixed_trust, unused_trust = _fixed_trust(trust, annotator_names)
    return Ballot(
        votes=kept,
        listed=Listed(task_codes[n_votes:], label_codes[n_votes:], _given_flags(listed, given)),
        fixed_trust=fixed_trust,
        replaced=replaced,
        unused_trust=unused_trust,
    )


def result_table(votes: Votes, scored: Scored) -> pa.Table:
    """Lay the result out as `task,label,given,yes,no,unsure,confidence,posterior,report`."""
    rows = scored.classifications
    return pa.table(
        {
            "task": _decoded(rows.task, votes.task_names),
            "label": _decoded(rows.label, votes.label_names),
            "given": rows.given.astype(np.int8),
            "yes": scored.counts.yes.astype(np.int64),
            "no": scored.counts.no.astype(np.int64),
            "unsure": scored.counts.unsure.astype(np.int64),
            "confidence": scored.confidence,
            "posterior": scored.posterior,
            "report": pa.array(scored.report.tolist(), pa.string()),
        }
    )


def annotators_table(votes: Votes, scored: Scored) -> pa.Table:
    """Lay the annotators out as `annotator,votes,trust`."""
    return pa.table(
        {
            "annotator": pa.array(votes.annotator_names.tolist(), pa.string()),
            "votes": scored.votes_by_annotator.astype(np.int64),
            "trust": scored.trust,
        }
    )


def check_outputs(inputs: Sequence[Path | None], outputs: Sequence[Path | None]) -> None:
    """Refuse an output that would overwrite an input or another output.

    Raises
    ------
    VotesError
        Naming the file.
    """
    taken = {path.resolve() for path in inputs if path}
    for path in (path for path in outputs if path):
        if path.resolve() in taken:
            raise VotesError(f"{path} is to be written, but it is also another of the files; name another file")
        taken.add(path.resolve())


def write(table: pa.Table, path: Path) -> None:
    """Write a table, whole or not at all.

    Raises
    ------
    VotesError
        Where the file cannot be written.
    """
    if not path.name or path.is_dir():
        raise VotesError(f"{path} cannot be written: it is a folder; name a file")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if _extension(path) in PARQUET:
            pyarrow.parquet.write_table(table, partial, compression="zstd")
        elif _extension(path) == ".gz":
            with gzip.open(partial, "wb") as file:
                _write_csv(table, file)
        else:
            with partial.open("wb") as file:
                _write_csv(table, file)
        partial.replace(path)
    except OSError as error:
        raise VotesError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _write_csv(table: pa.Table, file: Any) -> None:  # noqa: ANN401  # any binary file
    # Arrow would put quotes around the names of the columns.
    file.write((",".join(table.column_names) + "\n").encode())
    texts = [column for column in table.columns if pa.types.is_string(column.type)]
    special = any(pc.any(pc.match_substring_regex(column, '[",\\r\\n]')).as_py() for column in texts)
    style = "needed" if special else "none"
    pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=False, quoting_style=style))


def _read(path: Path, headers: Sequence[Sequence[str]], optional: Sequence[str]) -> pa.Table:
    """Read the columns of one of the headers, as text without gaps."""
    try:
        table = _read_parquet(path) if _extension(path) in PARQUET else _read_csv(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise VotesError(f"{path} is no whole gzip file ({error}); copy or compress it again") from None
    except OSError as error:
        raise VotesError(f"{path} cannot be read: {error.strerror or _first_line(error)}") from None
    except (pa.ArrowException, csv.Error) as error:
        raise VotesError(f"{path}: {_first_line(error)}; {_expected(headers)}") from None
    twice = next((name for name in table.column_names if table.column_names.count(name) > 1), None)
    if twice is not None:
        raise VotesError(f"{path} has two columns {twice!r}; take one out")
    header = next((one for one in reversed(headers) if set(one) <= set(table.column_names)), None)
    if header is None:
        raise VotesError(f"{path} has the columns {', '.join(table.column_names) or 'none'}; {_expected(headers)}")
    wanted = [*header, *(name for name in optional if name in table.column_names)]
    return pa.table({name: _texts(table.column(name), name, path) for name in wanted})


def _read_csv(path: Path) -> pa.Table:
    content = _content(path)
    if not content.strip():
        return pa.table({})
    header = content.split(b"\n", 1)[0].decode("utf-8", "replace").lstrip("\ufeff").strip("\r")
    names = [name.strip() for name in next(csv.reader([header], skipinitialspace=True), [])]
    try:
        return _parse_csv(content, names)
    except pa.ArrowInvalid:
        _check_widths(path, len(names))
        raise


def _parse_csv(content: bytes, names: list[str]) -> pa.Table:
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if _extension(path) == ".gz" else path.read_bytes()


def _check_widths(path: Path, width: int) -> None:
    """Refuse the first row that has more or fewer columns than the header."""
    for line, fields in _rows(path):
        if len(fields) != width:
            raise VotesError(
                f"{path}, line {line}: {len(fields)} columns where the header has {width}; "
                "put quotes around a value that holds a comma"
            )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV below its header, slowly, each with the line on which it ends."""
    reader = csv.reader(io.StringIO(_content(path).decode("utf-8", "replace"), newline=""))
    next(reader)
    yield from ((reader.line_num, fields) for fields in reader if fields)  # empty lines are no rows


def _read_parquet(path: Path) -> pa.Table:
    return pyarrow.parquet.read_table(path)


def _texts(column: pa.ChunkedArray, name: str, path: Path) -> pa.Array:
    try:
        texts = pc.cast(column, pa.string()).combine_chunks()
    except pa.ArrowException:
        raise VotesError(f"{path}: column {name!r} holds {column.type}; use text or numbers") from None
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    if texts.null_count:
        line = int(np.flatnonzero(pc.is_null(texts).to_numpy(zero_copy_only=False))[0])
        raise VotesError(f"{_place(path, line)}: column {name!r} is empty; fill it or take the row out")
    broken = pc.match_substring_regex(texts, "[\\r\\n]").to_numpy(zero_copy_only=False)
    if broken.any():
        line = int(np.flatnonzero(broken)[0])
        raise VotesError(
            f"{_place(path, line)}: column {name!r} holds a line break; is a quotation mark missing or too much?"
        )
    return texts


def _codes(column: pa.ChunkedArray) -> tuple[Codes, Names]:
    """Codes in the order of appearance, and the names, without a Python object per row."""
    encoded = column.combine_chunks().dictionary_encode()
    names = np.empty(len(encoded.dictionary), dtype=object)
    names[:] = encoded.dictionary.to_pylist()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), names


def _shared_codes(table: pa.Table, listed: pa.Table | None, name: str) -> tuple[Codes, Names]:
    chunks = [table.column(name), *([listed.column(name)] if listed is not None else [])]
    return _codes(pa.chunked_array([chunk for column in chunks for chunk in column.chunks], pa.string()))


def _decoded(codes: Codes, names: Names) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names.tolist(), pa.string())).cast(pa.string())


def _stands(column: pa.ChunkedArray, path: Path) -> np.typing.NDArray[np.int8]:
    codes, names = _codes(pc.utf8_lower(column))
    for position, name in enumerate(names):
        if name not in STANDS:
            line = int(np.flatnonzero(codes == position)[0])
            raise VotesError(f"{_place(path, line)}: vote {name!r} is unknown; use yes, no or unsure")
    return np.array([STANDS[name] for name in names], dtype=np.int8)[codes]


def _given_flags(listed: pa.Table | None, path: Path | None) -> np.typing.NDArray[np.bool_]:
    if listed is None or path is None:
        return np.zeros(0, dtype=bool)
    if "given" not in listed.column_names:
        return np.ones(listed.num_rows, dtype=bool)
    values: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}
    codes, names = _codes(pc.utf8_lower(listed.column("given")))
    for position, name in enumerate(names):
        if name not in values:
            line = int(np.flatnonzero(codes == position)[0])
            raise VotesError(f"{_place(path, line)}: given is {name!r}; use 1, or 0 for a candidate")
    return np.array([values[name] for name in names], dtype=bool)[codes]


def _fixed_trust(path: Path | None, annotators: Names) -> tuple[np.typing.NDArray[np.float64], int]:
    """Trust by annotator, NaN where none is set; and how many it is set for in vain."""
    fixed = np.full(len(annotators), np.nan)
    if path is None:
        return fixed, 0
    table = _read(path, (("annotator", "trust"),), optional=())
    positions = {name: position for position, name in enumerate(annotators)}
    rows = zip(table.column("annotator").to_pylist(), table.column("trust").to_pylist(), strict=True)
    for line, (annotator, trust) in enumerate(rows):
        try:
            value = float(trust)
        except ValueError:
            value = float("nan")
        if not 0 <= value < float("inf"):
            raise VotesError(
                f"{_place(path, line)}: trust of annotator {annotator!r} is {trust!r}; use a number of 0 or more"
            )
        if annotator in positions:
            if not np.isnan(fixed[positions[annotator]]):
                raise VotesError(
                    f"{_place(path, line)}: trust of annotator {annotator!r} is set twice; take one out"
                )
            fixed[positions[annotator]] = value
    return fixed, len(set(table.column("annotator").to_pylist()) - set(positions))


def _place(path: Path, row: int) -> str:
    """Name the row, which counts from 0; in a CSV by the line on which it ends."""
    if _extension(path) in PARQUET:
        return f"{path}, row {row + 1}"
    lines = (line for line, _ in _rows(path))
    return f"{path}, line {next(itertools.islice(lines, row, None), row + 2)}"


def _extension(path: Path) -> str:
    return path.suffix.lower()


def _expected(headers: Sequence[Sequence[str]]) -> str:
    return "expected " + " or ".join(",".join(header) for header in headers)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
