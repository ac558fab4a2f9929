"""Small pictures on disk: checked before they are served, and of all only as many bytes as are allowed."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from common.files import write_whole

LOG = structlog.get_logger()
LARGEST = 2 << 30
"""Bytes of all pictures together."""
EACH_SWEEP, ROOM = 500, 0.9
"""After so many new pictures the oldest are looked for, and deleted down to this share of what is allowed."""
TOUCHED_EVERY_S = 3_600.0
"""So often it is noted at most that a picture is used."""
_RIFF, _HEAD = b"RIFF", 12


class PictureCache:
    """Keeps pictures by name; those that were longest not asked for go first.

    Parameters
    ----------
    largest : int
        Bytes of all together.
    """

    def __init__(self, folder: Path, largest: int = LARGEST, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._largest, self._clock = folder, largest, clock
        self._lock, self._sweeping, self._n_new = threading.Lock(), threading.Lock(), 0

    def path(self, name: str) -> Path:
        """Return where a picture lies, or would."""
        return self._folder / name[:2] / f"{name}.webp"

    def find(self, name: str) -> Path | None:
        """Return a picture that is there and whole, and note that it is used."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                head, status = file.read(_HEAD), os.fstat(file.fileno())
            if not is_whole(head, status.st_size):
                return None
            if self._clock() - status.st_atime > TOUCHED_EVERY_S:
                os.utime(path, (self._clock(), status.st_mtime))
        except OSError:
            return None
        return path

    def put(self, name: str, content: bytes) -> Path:
        """Keep a picture; now and then let a thread see how many bytes there are."""
        path = self.path(name)
        write_whole(path, content)
        with self._lock:
            due, self._n_new = self._n_new % EACH_SWEEP == 0, self._n_new + 1
        if due:
            threading.Thread(target=self.sweep, name="sweeping-pictures", daemon=True).start()
        return path

    def sweep(self) -> None:
        """Delete what was longest not used until there is room, and what a killed process has left."""
        if not self._sweeping.acquire(blocking=False):
            return
        try:
            files = sorted(self._files())
            total, n_deleted = sum(size for _, size, _ in files), 0
            if total <= self._largest:
                return
            for _, size, path in files:
                if total <= ROOM * self._largest:
                    break
                with suppress(OSError):
                    path.unlink()
                    total, n_deleted = total - size, n_deleted + 1
            LOG.info("pictures_swept", deleted=n_deleted, bytes_left=total)
        finally:
            self._sweeping.release()

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return when each file was used, its size and path; the half-written ones of the past are deleted."""
        files = []
        for path in self._folder.glob("??/*"):
            with suppress(OSError):
                status = path.stat()
                if path.name.startswith(".") and self._clock() - status.st_mtime > TOUCHED_EVERY_S:
                    path.unlink()
                else:
                    files.append((status.st_atime, status.st_size, path))
        return files


def is_whole(head: bytes, n_bytes: int) -> bool:
    """Return whether a file of WebP has the length that its head says.

    Examples
    --------
    >>> is_whole(b"RIFF" + (4).to_bytes(4, "little") + b"WEBP", 12), is_whole(b"", 0)
    (True, False)
    """
    length = int.from_bytes(head[4:8], "little") + 8
    return head[:4] == _RIFF and head[8:] == b"WEBP" and length == n_bytes
