"""An image with its labels, as a source has it, and what of a source is left out."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from common.console import encodable

Layout = Literal["folders", "csv", "jsonl", "parquet", "coco", "voc", "imagefolder", "label-studio"]
Nested = Literal["path", "last", "each"]
Kind = Literal["other file", "no image", "not usable", "duplicate", "label", "refused"]


ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
"""Of the images that browsers show, Label Studio takes and Pillow opens."""
OTHER_IMAGES = frozenset({".avif", ".heic", ".heif", ".jfif", ".jp2", ".psd", ".svg", ".tif", ".tiff"})
ADDRESS = re.compile(r"(https?|s3|gs|azure-blob)://[^/]", re.IGNORECASE)
"""How addresses begin at which Label Studio can fetch an image by itself."""
_FILE_ADDRESS = re.compile(r"file://[^/]*", re.IGNORECASE)
SERVED = ("/data/upload/", "/data/local-files/")
"""Paths below which a Label Studio serves images."""


@dataclass(frozen=True, slots=True)
class Record:
    """An image of a source: a file here, or an address at which it stays.

    Attributes
    ----------
    source : str
        What it is called in the source: its path below the folder, or its address.
    labels : tuple of str
        Each once, in the order of the source; none where it has no label.
    """

    source: str
    labels: tuple[str, ...] = ()
    path: Path | None = None
    address: str = ""

    def left_out(self, kind: Kind, reason: str) -> "LeftOut":
        """Return why it is not imported."""
        return LeftOut(self.source, kind, reason, self.labels, self.path, self.address)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not imported, and why.

    Attributes
    ----------
    kind : str
        A duplicate, or a file that is no image by its name, is left out for good; the rest are failures.
    """

    source: str
    kind: Kind
    reason: str
    labels: tuple[str, ...] = ()
    path: Path | None = None
    address: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether an image is missing that the source has."""
        return self.kind not in ("duplicate", "other file")


@dataclass
class Reading:
    """A source as it was read.

    Attributes
    ----------
    notes : list of str
        What was guessed, for a person.
    """

    records: list[Record] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, labels: Iterable[str], root: Path) -> None:
        """Add an image by the path or address that the source has for it; paths begin in a folder."""
        name, texts = name.strip(), tuple(dict.fromkeys(labels))
        if not name or "\0" in name:
            self.left_out.append(LeftOut(repr(name), "no image", "the source names no image", texts))
        elif ADDRESS.match(name) or name.startswith(SERVED):
            self.records.append(Record(encodable(name), texts, address=encodable(name)))
        else:
            local = _FILE_ADDRESS.match(name)
            path = Path(unquote(name[local.end() :]) if local else name)
            self.records.append(Record(encodable(name), texts, path=root / path))


def is_file(path: Path) -> bool:
    """Return whether there is a file; a name that no file can have is that of none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where a name is too long


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; a name that none can have is that of none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a name is too long


def texts_of(value: Any, separator: str | None = None) -> tuple[str, ...]:  # noqa: ANN401 - whatever a file holds
    """Return the labels that a value holds: a text, a number, or a list of them.

    Parameters
    ----------
    separator : str, optional
        Between the labels of a text; None: a text is one label.

    Examples
    --------
    >>> texts_of("cat; dog;", ";"), texts_of(["cat", None, 3.0]), texts_of(float("nan"))
    (('cat', 'dog'), ('cat', '3'), ())
    """
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(text for each in value for text in texts_of(each, separator)))
    if value is None or value != value:  # noqa: PLR0124 - not a number
        return ()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    texts = str(value).split(separator) if separator else [str(value)]
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))
