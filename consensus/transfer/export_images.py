"""The images of a dataset: from where they were imported, or fetched from their address, to their place."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from common.errors import FetchError, FilesError
from common.images.fetch import Fetcher
from consensus.core.dataset.names import ENDINGS, FileNames, file_name
from consensus.core.dataset.option_names import Link
from consensus.transfer.export_items import TaskImage

LARGEST_IMAGE = 100 * 2**20
"""Bytes."""
AT_A_TIME = 8
"""Downloads."""
IN_WORDS = {
    "missing": "there is none at its address",
    "unsupported_url": "its address is none that can be fetched",
    "data_url": "the task holds the image itself in place of an address",
    "signature_expired": "the signature in its address has expired",
    "host_not_allowed": "its host may not be asked; --image-hosts names those that may",
    "private_address": "its host has a private address; --image-hosts names those that may be asked all the same",
    "too_many_bytes": f"it has more than {LARGEST_IMAGE} bytes",
    "timeout": "it did not arrive in time",
    "unreachable": "its host cannot be reached",
    "unknown_host": "its host is unknown",
}
"""Why an image is left out, by the reasons of `Fetcher`."""
_BEGINNINGS = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG\r\n": ".png",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"RIFF": ".webp",
    b"<svg": ".svg",
}


@dataclass(frozen=True)
class Original:
    """Where an image lies: as it was imported, or fetched into a file that may be moved."""

    path: Path
    fetched: bool


class ImageSource:
    """Finds images among those that were imported, and fetches the others.

    Parameters
    ----------
    originals : Path or None
        The folder that was imported. A file of it is taken only where its checksum is the task's: who writes
        tasks could name any file.
    """

    def __init__(self, fetcher: Fetcher, originals: Path | None = None) -> None:
        self._fetcher = fetcher
        self._originals = originals.resolve() if originals else None

    def original(self, image: TaskImage) -> Path | None:
        """Return the file that an image was imported from, if it is there as it was."""
        if self._originals is None or not (image.source and image.checksum):
            return None
        with suppress(OSError, ValueError):  # a name that no file can have
            path = (self._originals / image.source).resolve()
            if path.is_relative_to(self._originals) and path.is_file():
                with path.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() == image.checksum:
                        return path
        return None

    def get(self, image: TaskImage, folder: Path) -> Original | str:
        """Return where an image lies, fetched into the folder if need be, or why it cannot be had."""
        path = self.original(image)
        if path is not None:
            return Original(path, fetched=False)
        if not image.address:
            return "the task has no address of it"
        try:
            content = self._fetcher.fetch(image.address, image.task)
        except FetchError as error:
            return IN_WORDS.get(error.reason, error.reason.replace("_", " "))
        if not content:
            return "it is empty"
        path = folder / str(image.task)
        path.write_bytes(content)
        return Original(path, fetched=True)

    def get_all(self, images: Iterable[TaskImage], folder: Path) -> Iterator[tuple[TaskImage, Original | str]]:
        """Get images side by side, and give them in their order."""
        listed = list(images)
        pool = ThreadPoolExecutor(AT_A_TIME)
        try:
            yield from zip(listed, pool.map(lambda image: self.get(image, folder), listed), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


class Places:
    """Puts images into the folders of a dataset, under names that no other has.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    link : {"hard", "symbolic"} or None
        Whether what was not fetched is linked; None: it is copied.
    """

    def __init__(self, root: Path, link: Link | None = None) -> None:
        self._root, self._link, self._names = root, link, FileNames()

    def put(self, image: TaskImage, original: Original, folder: str, *, last: bool = True) -> str:
        """Put an image into a folder; return its path within the dataset.

        Parameters
        ----------
        last : bool
            Whether a fetched file is needed nowhere else.

        Raises
        ------
        FilesError
            Where it cannot be linked.
        """
        stem, ending = file_name(image.source or image.address)
        name = self._names.add(folder, stem, ending or ending_of(original.path))
        place = self._root / folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if original.fetched and last:
            original.path.replace(place)
        elif self._link is None or original.fetched:
            shutil.copyfile(original.path, place)
        elif self._link == "symbolic":
            place.symlink_to(original.path)
        else:
            _link(original.path, place)
        return f"{folder}/{name}"


def _link(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        raise FilesError(
            f"{path} cannot be linked from {place.parent.parent} ({error.strerror}); use --link symbolic, or copy"
        ) from None


def ending_of(path: Path) -> str:
    """Return the ending of an image file by its first bytes; "" where it is of no known kind."""
    with path.open("rb") as file:
        beginning = file.read(16).lstrip()
    ending = next((ending for magic, ending in _BEGINNINGS.items() if beginning.startswith(magic)), "")
    return ending if ending in ENDINGS else ""
