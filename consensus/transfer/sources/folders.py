"""Folders that are named after classes."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from common.console import encodable
from consensus.core.dataset.names import BESIDE, MARKER, original_name
from consensus.errors import SourceError
from consensus.transfer.image_checks import NOT_SHOWN
from consensus.transfer.sources.records import ENDINGS, OTHER_IMAGES, LeftOut, Nested, Reading, Record

UNLABELLED = ("unlabelled", "unlabeled")
"""Names of folders that are no class."""
_OF_SYSTEMS = frozenset({"thumbs.db", "desktop.ini"})


def read_folders(folder: Path, *, nested: Nested = "path", unlabelled: Collection[str] = UNLABELLED) -> Reading:
    """Read images whose folders are their labels; those at the top have none.

    Of a folder that `consensus export` made, names are read as the labels that they were written for.

    Parameters
    ----------
    nested : {"path", "last", "each"}
        What a folder in a folder means: the names with a slash between, the innermost name, or a label a name.
    unlabelled : collection of str
        Folders, at any depth, whose images have no label.

    Raises
    ------
    SourceError
        Where the folder cannot be read.
    """
    reading, is_export = Reading(), (folder / MARKER).is_file()
    for path in _files(folder):
        relative = path.relative_to(folder)
        ending = path.suffix.lower()
        labels = _labels(relative, nested, unlabelled)
        if is_export:
            labels = tuple(map(original_name, labels))
        if ending in ENDINGS:
            reading.records.append(Record(encodable(relative.as_posix()), labels, path))
        elif ending in OTHER_IMAGES:
            why = f"{ending} is {NOT_SHOWN}"
            reading.left_out.append(LeftOut(relative.as_posix(), "not usable", why, labels, path))
        elif not (is_export and relative.as_posix() in BESIDE):
            why = "by its name it is no image"
            reading.left_out.append(LeftOut(relative.as_posix(), "other file", why, path=path))
    return reading


def _files(folder: Path) -> Iterator[Path]:
    """Give the files below a folder in the order of their names; hidden ones are passed over."""

    def fail(error: OSError) -> None:
        raise SourceError(f"the folder {error.filename} cannot be read: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in _OF_SYSTEMS:
                yield Path(place, name)


def _labels(relative: Path, nested: Nested, unlabelled: Collection[str]) -> tuple[str, ...]:
    names = relative.parts[:-1]
    if not names or not {*unlabelled}.isdisjoint(names):
        return ()
    if nested == "each":
        return tuple(dict.fromkeys(names))
    return ("/".join(names) if nested == "path" else names[-1],)
