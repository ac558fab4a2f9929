"""The log of what an import left out: JSON Lines, one image a line, which can be imported again."""

import json
from collections.abc import Iterable
from pathlib import Path

from consensus.errors import SourceError
from consensus.transfer.sources.records import LeftOut, Reading, Record
from consensus.transfer.sources.tables import json_rows

_FOR_GOOD = ("duplicate", "no image", "other file")
"""Kinds of which another try would say the same."""


class FailureLog:
    """A file to which lines are added; it is made with the first.

    Parameters
    ----------
    path : Path or None
        None: nothing is written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.n_lines = path, 0

    def add(self, left_out: Iterable[LeftOut]) -> None:
        """Add lines; they are in the file when this returns."""
        lines = [json.dumps(_row(each), ensure_ascii=False) for each in left_out]
        self.n_lines += len(lines)
        if self.path is None or not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise SourceError(f"the log {self.path} cannot be written: {error.strerror}") from None


def _row(left_out: LeftOut) -> dict[str, object]:
    row: dict[str, object] = {"source": left_out.source, "kind": left_out.kind, "reason": left_out.reason}
    row["labels"] = left_out.labels
    path = {"path": str(left_out.path.absolute())} if left_out.path else {}
    return row | path | ({"address": left_out.address} if left_out.address else {})


def read_failures(path: Path) -> Reading:
    """Read the images of a log that may be imported after all: duplicates and what is no image are none.

    Raises
    ------
    SourceError
        Where it is no log of an import.
    """
    reading = Reading()
    for row in json_rows(path):
        name, labels = row.get("source"), row.get("labels")
        if not isinstance(name, str) or not isinstance(labels, list) or "kind" not in row:
            raise SourceError(f"{path} is no log of an import: a line has no source, labels and kind")
        file, address = row.get("path"), str(row.get("address") or "")
        if row["kind"] not in _FOR_GOOD and (file or address):
            reading.records.append(
                Record(name, tuple(map(str, labels)), Path(str(file)) if file else None, address)
            )
    if not reading.records:
        reading.notes.append(f"{path} holds nothing that could be imported after all")
    return reading
