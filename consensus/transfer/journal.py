"""What an import has sent, and was about to send when it ended: a file for each project, beside the store.

Before an image is uploaded and before its task is made, that is written down. After a kill at any point the file
says whose end is unknown, and Label Studio what has arrived.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from consensus.errors import StoreError

State = Literal["uploading", "uploaded", "sending", "done"]
_TABLES = """
CREATE TABLE IF NOT EXISTS project (url TEXT, id INTEGER, title TEXT);
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, source TEXT, pid INTEGER, total INTEGER, began REAL, seen REAL, ended REAL,
    sent INTEGER DEFAULT 0, earlier INTEGER DEFAULT 0, left_out INTEGER DEFAULT 0
);
CREATE TABLE IF NOT EXISTS image (
    key TEXT PRIMARY KEY, source TEXT, state TEXT, address TEXT, task INTEGER, at REAL
);
"""


@dataclass(frozen=True)
class Entry:
    """An image that was sent, or about to be.

    Attributes
    ----------
    key : str
        The checksum of its file, or its address.
    at : float
        Seconds since 1970, when its state was written.
    """

    key: str
    source: str
    state: State
    address: str
    task_id: int | None
    at: float


@dataclass(frozen=True)
class ImportStatus:
    """How far the last import into a project is.

    Attributes
    ----------
    sent, earlier, left_out : int
        Images whose tasks were made by it, whose tasks were there before, and that it does not import.
    began, seen, ended : float
        Seconds since 1970; ``seen`` is its last sign of life, ``ended`` is 0 where it has not ended.
    """

    url: str
    project_id: int
    title: str
    source: str
    pid: int
    total: int
    sent: int
    earlier: int
    left_out: int
    began: float
    seen: float
    ended: float

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.sent / max((self.ended or self.seen) - self.began, 1e-3)

    @property
    def waiting(self) -> int:
        """Images that are still to come."""
        return max(self.total - self.sent - self.earlier - self.left_out, 0)


def journal_file(folder: Path, url: str, project_id: int, created_at: str) -> Path:
    """Name the journal of a project; another project that gets its id after a reset has another one."""
    digest = hashlib.sha256(f"{url} {project_id} {created_at}".encode()).hexdigest()[:8]
    return folder / f"project-{project_id}-{digest}.db"


class Journal:
    """The journal of one project; its methods may be called from several threads.

    Raises
    ------
    StoreError
        Where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock, self._run = path, threading.Lock(), 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=wal")
            self._database.execute("PRAGMA synchronous=normal")
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the journal of imports {path} cannot be used: {error}") from None

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._database.close()

    def begin(self, url: str, project_id: int, title: str, source: str, total: int, now: float) -> None:
        """Note that an import begins."""
        with self._lock, self._database as database:
            database.execute("DELETE FROM project")
            database.execute("INSERT INTO project VALUES (?, ?, ?)", (url, project_id, title))
            row = (source, os.getpid(), total, now, now, 0.0)
            inserted = database.execute(
                "INSERT INTO run (source, pid, total, began, seen, ended) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            self._run = inserted.lastrowid or 0

    def progress(self, *, sent: int, earlier: int, left_out: int, now: float, ended: bool = False) -> None:
        """Note how far the import is."""
        with self._lock, self._database as database:
            database.execute(
                "UPDATE run SET sent = ?, earlier = ?, left_out = ?, seen = ?, ended = ? WHERE id = ?",
                (sent, earlier, left_out, now, now if ended else 0.0, self._run),
            )

    def note(self, entries: Iterable[Entry]) -> None:
        """Write the states of images, on disk before anything is sent."""
        rows = [(each.key, each.source, each.state, each.address, each.task_id, each.at) for each in entries]
        with self._lock, self._database as database:
            database.executemany("INSERT OR REPLACE INTO image VALUES (?, ?, ?, ?, ?, ?)", rows)

    def forget(self, keys: Sequence[str]) -> None:
        """Drop images of which nothing has arrived."""
        with self._lock, self._database as database:
            database.executemany("DELETE FROM image WHERE key = ?", [(key,) for key in keys])

    def entries(self) -> dict[str, Entry]:
        """Return all images by key."""
        with self._lock:
            return {row[0]: Entry(*row) for row in self._database.execute("SELECT * FROM image")}


def entries_in(path: Path) -> dict[str, Entry]:
    """Return all images of a journal by key, without writing anything; none where there is no such file.

    Raises
    ------
    StoreError
        Where the file cannot be read.
    """
    if not path.exists():
        return {}
    try:
        with closing(_read_only(path)) as database:
            return {row[0]: Entry(*row) for row in database.execute("SELECT * FROM image")}
    except sqlite3.Error as error:
        raise StoreError(f"the journal of imports {path} cannot be read: {error}") from None


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)


def statuses(folder: Path) -> Iterator[ImportStatus]:
    """Read how far the last import into each project is, also while it runs."""
    for path in sorted(folder.glob("project-*.db")):
        try:
            with closing(_read_only(path)) as database:
                row = database.execute(
                    "SELECT project.url, project.id, title, source, pid, total, sent, earlier, left_out, began, "
                    "seen, ended FROM project, run ORDER BY run.id DESC LIMIT 1"
                ).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the journal of imports {path} cannot be read: {error}") from None
        if row:
            yield ImportStatus(*row)
