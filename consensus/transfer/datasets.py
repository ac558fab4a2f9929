"""Sources for who sees no files of this machine: one folder with all below it, and lists of addresses."""

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from common.console import encodable
from common.files import write_whole
from consensus.errors import SourceError
from consensus.transfer.sources.layouts import NO_OPTIONS, SourceOptions, read_source
from consensus.transfer.sources.records import Layout, LeftOut, Reading, is_file, is_folder

LISTS = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json"})
FILES = LISTS | {".parquet", ".xml"}
"""Endings of the files that can be a source."""
LARGEST_FILE, LARGEST_LIST = 200 << 20, 50 << 20
"""Bytes of a file that lists images: in the folder, and sent with a form."""
MOST_LISTS = 20
"""Lists that were sent and are kept."""
_OUTSIDE = "it lies outside of the folder of datasets"
_LINK_OUT = "a link out of the folder of datasets or to nothing: put in its place what it leads to"
_NO_FILES = (
    "it is no address, and a list that is sent has no files beside it (put both into the folder of datasets)"
)
_LIST = re.compile(r"[0-9a-f]{64}\.[a-z]+")


@dataclass(frozen=True)
class Dataset:
    """What lies at the top of the folder.

    Attributes
    ----------
    n_bytes : int or None
        Of a file; None: it is a folder.
    """

    name: str
    n_bytes: int | None = None


class Datasets:
    """A folder of datasets, and nothing that lies outside of it, whatever links and lists in it say.

    Raises
    ------
    SourceError
        Where there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if not self.folder.is_dir():
            raise SourceError("the folder that CONSENSUS_IMPORT_DIR names is not there")

    def all(self) -> list[Dataset]:
        """List folders and files that can be a source, by name; links that lead out are passed over."""
        try:
            with os.scandir(self.folder) as entries:
                there = [dataset for entry in entries if (dataset := self._dataset(entry))]
        except OSError as error:
            raise SourceError(f"the folder of datasets cannot be read: {error.strerror}") from None
        return sorted(there, key=lambda each: each.name)

    def _dataset(self, entry: os.DirEntry[str]) -> Dataset | None:
        name = entry.name
        if name.startswith(".") or encodable(name) != name:  # no address of a page can name it
            return None
        if entry.is_symlink() and not self._holds(Path(entry.path)):
            return None
        if entry.is_dir():
            return Dataset(name)
        if entry.is_file() and Path(name).suffix.lower() in FILES:
            return Dataset(name, entry.stat().st_size)
        return None

    def _holds(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.folder)
        except (OSError, ValueError, RuntimeError):  # a name that no file can have, links in a circle
            return False

    def place(self, name: str) -> Path:
        """Return where something lies that is at the top of the folder.

        Raises
        ------
        SourceError
            Where nothing of that name may be read.
        """
        path = self.folder / name
        if name.startswith(".") or path.parent != self.folder or "\0" in name or not self._holds(path):
            raise SourceError(f"the folder of datasets has no {name!r}")
        if not is_folder(path) and not (is_file(path) and path.suffix.lower() in FILES):
            raise SourceError(f"{name!r} is no folder, and no file of {', '.join(sorted(FILES))}")
        return path.resolve()

    def read(self, name: str, layout: Layout | None, options: SourceOptions = NO_OPTIONS) -> Reading:
        """Read a source; its images that lie outside of the folder are left out.

        Raises
        ------
        SourceError
            Where it cannot be read, is too large, or a link in it leads out of the folder.
        """
        path = self.place(name)
        if path.is_dir():
            self._check_links(path)
        elif path.stat().st_size > LARGEST_FILE:
            raise SourceError(f"{name} has more than {LARGEST_FILE >> 20} MiB; consensus import reads larger ones")
        try:
            reading = read_source(path, layout, options)
        except SourceError as error:
            raise SourceError(self.shown(str(error))) from None
        records, reading.records = reading.records, []
        for record in records:
            name = self.shown(record.source)
            if record.path is None:
                reading.records.append(record)
            elif self._holds(record.path):
                reading.records.append(replace(record, source=name, path=record.path.resolve()))
            else:
                reading.left_out.append(LeftOut(name, "refused", _OUTSIDE, record.labels))
        reading.left_out = [replace(each, reason=self.shown(each.reason)) for each in reading.left_out]
        return reading

    def shown(self, text: str) -> str:
        """Leave out of a text where the folder lies."""
        return text.replace(f"{self.folder}/", "").replace(str(self.folder), "the folder of datasets")

    def _check_links(self, source: Path) -> None:
        """Refuse links that lead out of the folder: a list behind one would be read before its images are."""
        waiting, seen = [source], {source}
        while waiting:
            place = waiting.pop()
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        path = Path(entry.path)
                        if not entry.is_symlink():
                            if entry.is_dir(follow_symlinks=False):
                                waiting.append(path)
                            elif not entry.is_file(follow_symlinks=False):
                                raise SourceError(f"{self.shown(str(path))!r} is neither a file nor a folder")
                        elif not self._holds(path):
                            raise SourceError(f"{self.shown(str(path))!r} is {_LINK_OUT}")
                        elif entry.is_dir() and path.resolve() not in seen:
                            seen.add(path.resolve())
                            waiting.append(path.resolve())
            except OSError as error:
                raise SourceError(f"{self.shown(str(place))} cannot be read: {error.strerror}") from None


class SentLists:
    """Lists of addresses that somebody has sent, each under the checksum of what it holds.

    Parameters
    ----------
    folder : Path
        Made with the first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, file_name: str, content: bytes) -> str:
        """Keep a list, and return the name that it has here; the oldest of too many go.

        Raises
        ------
        SourceError
            Where it cannot be one by its name or size, or cannot be kept.
        """
        ending = Path(file_name).suffix.lower()
        if ending not in LISTS:
            raise SourceError(f"a list is a file of {', '.join(sorted(LISTS))}, and not {Path(file_name).name!r}")
        if not 0 < len(content) <= LARGEST_LIST:
            raise SourceError(f"the list has {len(content)} bytes; 1 to {LARGEST_LIST} are taken")
        name = f"{hashlib.sha256(content).hexdigest()}{ending}"
        try:
            write_whole(self._folder / name, content)
            by_age = sorted(self._folder.glob("*.*"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in by_age[MOST_LISTS:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(f"the list cannot be kept: {error.strerror}") from None
        return name

    def read(self, name: str, layout: Layout | None, options: SourceOptions = NO_OPTIONS) -> Reading:
        """Read a list; what is no address in it is left out.

        Raises
        ------
        SourceError
            Where it is not kept here any more, or cannot be read.
        """
        path = self._folder / name
        if not _LIST.fullmatch(name) or not path.is_file():
            raise SourceError("the list is not here any more: send it again")
        nowhere = self._folder / "none"  # no path in the list begins where there are files
        try:
            reading = read_source(path, layout, replace(options, root=nowhere))
        except SourceError as error:
            raise SourceError(str(error).replace(str(path), "the list")) from None
        records, reading.records = reading.records, []
        for record in records:
            if record.path is None:
                reading.records.append(record)
            else:
                reading.left_out.append(LeftOut(record.source, "refused", _NO_FILES, record.labels))
        return reading
