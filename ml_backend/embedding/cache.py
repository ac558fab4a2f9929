"""Embeddings on disk, so that no image is embedded twice, nor fetched again while its address is known.

An embedding belongs to the content of an image (SHA-256) and to the key of the embedder. What lies at an address
is kept by project: one that may not read a file learns nothing from another that may. SQLite in its write-ahead
mode lets several workers and a training read and write at once. What was embedded goes to disk in the background,
many images in one transaction.
"""

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from common.files import held

log = structlog.get_logger()

_VERSION = 3
_SCHEMA = f"""
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS embedding;
DROP TABLE IF EXISTS upload;
CREATE TABLE IF NOT EXISTS image (
    id INTEGER PRIMARY KEY, embedder TEXT NOT NULL, content TEXT NOT NULL, used INTEGER NOT NULL,
    UNIQUE (embedder, content)
);
CREATE INDEX IF NOT EXISTS image_used ON image (used);
CREATE TABLE IF NOT EXISTS vector (id INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS address (
    project INTEGER NOT NULL, url TEXT NOT NULL, content TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (project, url)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refusal (
    content TEXT NOT NULL, limits TEXT NOT NULL, reason TEXT NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (content, limits)
) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
COMMIT;
"""
# The order of the joins is given: without statistics SQLite might walk through all vectors.
_KNOWN = """
SELECT asked.key, image.id, image.used, vector.vector FROM json_each(?) AS asked
CROSS JOIN address ON address.project = ? AND address.url = asked.value AND address.until > ?
CROSS JOIN image ON image.embedder = ? AND image.content = address.content
CROSS JOIN vector ON vector.id = image.id
"""
_OF_CONTENT = """
SELECT image.id, image.used, vector.vector FROM image CROSS JOIN vector ON vector.id = image.id
WHERE image.embedder = ? AND image.content = ?
"""
_REFUSED = """
SELECT asked.key, refusal.reason FROM json_each(?) AS asked
CROSS JOIN address ON address.project = ? AND address.url = asked.value AND address.until > ?
CROSS JOIN refusal ON refusal.content = address.content AND refusal.limits = ?
"""
_DELETE_ADDRESSES = """
DELETE FROM address
WHERE content NOT IN (SELECT content FROM image) AND content NOT IN (SELECT content FROM refusal)
"""
_BUSY_S = 5.0
_MAX_BYTES = 2_000_000_000
_ROWS = 256  # a transaction
_WAITING = 20_000  # where the disk is that slow, some are not kept, which costs time later
_TIDIES = 20  # in the time that it takes to fill the allowed size
_ADDRESS_BYTES = 120  # of a row beside its address
_DAY_S = 86_400
_WAL_BYTES = 16_000_000
_STEP = 500  # rows that are deleted at a time, so that nobody waits long for the file
_LEFT = 0.9  # of the allowed size, after what was used least has been deleted
_REFUSAL_DAYS = 90
_UNUSED_DAYS = 2  # a training writes vectors before there is a version that needs them

Answer = TypeVar("Answer")
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Address:
    """What lies at an address, as one project saw it.

    Parameters
    ----------
    content : str
        SHA-256 of the file.
    until : float
        Seconds since 1970; after that it has to be fetched again. ``inf`` if it never changes.
    """

    project_id: int
    url: str
    content: str
    until: float


@dataclass(frozen=True)
class Embedded:
    """An embedding that is to be kept.

    Parameters
    ----------
    embedder : str
        Key of what computed it.
    content : str
        SHA-256 of the image's file.
    vector : (n_dimensions,) float32
    """

    embedder: str
    content: str
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be decoded.

    Parameters
    ----------
    content : str
        SHA-256 of the file.
    limits : str
        Names the limits under which it was refused.
    """

    content: str
    limits: str
    reason: str


Row = Embedded | Address | Refusal


class EmbeddingCache:
    """A file of embeddings that any thread of any process may use.

    A file that is full or locked holds nothing, and is written to the log once: it costs time, not suggestions. A
    damaged one is moved aside, to ``<name>.damaged``, and a new one begun.

    Parameters
    ----------
    path : Path
        Made with its folder if it does not exist.
    clock : callable
        Seconds since 1970.
    max_bytes : int
        Of the file. It is tidied before the first ``keep`` is written, and again whenever a twentieth of that has
        been added.
    in_use : callable
        Gives the keys of the embedders that some version needs; None if that is not known.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        *,
        max_bytes: int = _MAX_BYTES,
        in_use: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._idle: list[tuple[int, sqlite3.Connection]] = []  # as many as threads were in the file at once
        self._closed = False
        self._faults: set[str] = set()
        self._used_lock = threading.Lock()
        self._used: set[int] = set()  # rows that were last used on an earlier day
        self._max_bytes, self._in_use = max_bytes, in_use
        self._waiting = threading.Condition()
        self._rows: deque[tuple[Row, Callable[[], None]]] = deque()
        self._added = max_bytes  # bytes since the file was tidied
        self._thread: threading.Thread | None = None
        self._ending = False
        self._tried(lambda _: None, None)

    def keep(self, row: Row, when_written: Callable[[], None] = lambda: None) -> None:
        """Write something soon.

        Parameters
        ----------
        when_written : callable
            Called once it is written, or it is clear that it will not be.
        """
        with self._waiting:
            accepted = not self._ending and len(self._rows) < _WAITING
            if accepted:
                self._rows.append((row, when_written))
                self._wake()
        if not accepted:
            when_written()

    def note_use(self) -> None:
        """Write soon which embeddings were used, if the cache has noted some for the first time that day."""
        if self.noted:
            with self._waiting:
                self._wake()

    def vectors_at(self, project_id: int, urls: Sequence[str], embedder: str) -> dict[str, Vector]:
        """Return the embeddings of the images at those addresses that a project has seen and may still trust.

        Parameters
        ----------
        urls : sequence of str
            Any number: they are looked up at once.
        embedder : str
            Key of the embedder.

        Returns
        -------
        dict of str to (n_dimensions,) float32
        """
        parameters = (json.dumps(list(urls)), project_id, self._clock(), embedder)
        none: list[tuple[int, int, int, bytes]] = []
        rows = self._tried(lambda database: database.execute(_KNOWN, parameters).fetchall(), none)
        self._note_use((row, used) for _, row, used, _ in rows)
        vectors = ((urls[place], _decoded(vector)) for place, _, _, vector in rows)
        return {url: vector for url, vector in vectors if vector is not None}

    def get(self, content: str, embedder: str) -> Vector | None:
        """Return the embedding of an image by its SHA-256, (n_dimensions,) float32, or None."""
        row = self._tried(lambda database: database.execute(_OF_CONTENT, (embedder, content)).fetchone(), None)
        if row is None:
            return None
        self._note_use([row[:2]])
        return _decoded(row[2])

    def refusals_at(self, project_id: int, urls: Sequence[str], limits: str) -> dict[str, str]:
        """Return why the files at those addresses that a project has seen and may still trust were refused."""
        if not urls:
            return {}
        parameters = (json.dumps(list(urls)), project_id, self._clock(), limits)
        none: list[tuple[int, str]] = []
        rows = self._tried(lambda database: database.execute(_REFUSED, parameters).fetchall(), none)
        return {urls[place]: reason for place, reason in rows}

    def refusal(self, content: str, limits: str) -> str:
        """Return why a file was refused under those limits; empty if it was not."""
        query = "SELECT reason FROM refusal WHERE content = ? AND limits = ?"
        row = self._tried(lambda database: database.execute(query, (content, limits)).fetchone(), None)
        return str(row[0]) if row else ""

    def put(self, embedder: str, vectors: Mapping[str, Vector]) -> None:
        """Keep embeddings by content, in one transaction. What is there already stays."""
        self.write([Embedded(embedder, content, vector) for content, vector in vectors.items()])

    def write(self, rows: Sequence[Row]) -> None:
        """Keep rows, and the day of what was used, in one transaction."""
        today = self._today()
        with self._used_lock:
            used, self._used = self._used, set()
        contents = [
            (row.embedder, row.content, np.asarray(row.vector, dtype="<f4").tobytes())
            for row in rows
            if isinstance(row, Embedded)
        ]
        places = [(row.project_id, row.url, row.content, row.until) for row in rows if isinstance(row, Address)]
        refusals = [(row.content, row.limits, row.reason, today) for row in rows if isinstance(row, Refusal)]

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany(
                    "INSERT OR IGNORE INTO image (embedder, content, used) VALUES (?, ?, ?)",
                    [(embedder, content, today) for embedder, content, _ in contents],
                )
                database.executemany(
                    "INSERT OR IGNORE INTO vector SELECT id, ? FROM image WHERE embedder = ? AND content = ?",
                    [(vector, embedder, content) for embedder, content, vector in contents],
                )
                database.executemany("INSERT OR REPLACE INTO address VALUES (?, ?, ?, ?)", places)
                database.executemany("INSERT OR REPLACE INTO refusal VALUES (?, ?, ?, ?)", refusals)
                database.executemany("UPDATE image SET used = ? WHERE id = ?", [(today, row) for row in used])

        self._tried(write, None)

    def tidy(self, max_bytes: int, in_use: Collection[str] | None = None) -> int:
        """Delete what is not needed any more, and what was used longest ago where the file is too large.

        Takes a while and does it in short steps; not for a thread that somebody waits for.

        Parameters
        ----------
        max_bytes : int
            Of the file.
        in_use : collection of str, optional
            Keys of embedders. Embeddings of all others go, unless they were used today or yesterday.

        Returns
        -------
        int
            Number of deleted embeddings.
        """
        return self._tried(lambda database: self._tidied(database, max_bytes, in_use), 0)

    def forget(self, project_id: int) -> None:
        """Delete what a project saw at which address; embeddings that nobody uses go with time."""

        def delete(database: sqlite3.Connection) -> None:
            with database:
                database.execute("DELETE FROM address WHERE project = ?", (project_id,))

        self._tried(delete, None)

    def close(self, timeout_s: float = _BUSY_S) -> None:
        """Write what waits, and close the connections; one that a thread is using just now, once that is done."""
        with self._waiting:
            self._ending = True
            self._waiting.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for _, connection in idle:
            connection.close()

    def _wake(self) -> None:
        self._waiting.notify()
        if self._thread is None and not self._ending:
            self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._waiting:
                self._waiting.wait_for(lambda: self._ending or self._rows or self.noted)
                if self._ending and not self._rows:
                    return
                some = [self._rows.popleft() for _ in range(min(len(self._rows), _ROWS))]
            try:
                self._write_some([row for row, _ in some])
            except Exception as error:  # noqa: BLE001 - without this thread nothing would be kept any more
                log.error("embeddings_not_kept", error=type(error).__name__)
            for _, when_written in some:
                when_written()

    def _write_some(self, rows: Sequence[Row]) -> None:
        if self._added * _TIDIES >= self._max_bytes and not self._ending:
            self._added = 0
            deleted = self.tidy(self._max_bytes, self._in_use())
            if deleted:
                log.info("embeddings_deleted", embeddings=deleted)
        self.write(rows)
        self._added += sum(_size_of(row) for row in rows)

    def _tidied(self, database: sqlite3.Connection, max_bytes: int, in_use: Collection[str] | None) -> int:
        deleted = 0
        if in_use is not None:
            keys = [key for (key,) in database.execute("SELECT DISTINCT embedder FROM image")]
            for key in set(keys) - set(in_use):
                query = "SELECT id FROM image WHERE embedder = ? AND used <= ? LIMIT ?"
                deleted += sum(_deleted(database, query, key, self._today() - _UNUSED_DAYS, _STEP))
        with database:
            database.execute("DELETE FROM address WHERE until <= ?", (self._clock(),))
            database.execute("DELETE FROM refusal WHERE day <= ?", (self._today() - _REFUSAL_DAYS,))
        if _size(database) > max_bytes:
            for some in _deleted(database, "SELECT id FROM image ORDER BY used, id LIMIT ?", _STEP):
                deleted += some
                if _size(database) <= _LEFT * max_bytes:
                    break
        if deleted:
            with database:
                database.execute(_DELETE_ADDRESSES)
        _shrink(database)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return deleted

    def _note_use(self, rows: Iterable[tuple[int, int]]) -> None:
        today = self._today()
        old = [row for row, used in rows if used < today]
        if old:
            with self._used_lock:
                self._used.update(old)

    @property
    def noted(self) -> bool:
        """Whether a use was noted that the next ``write`` will keep."""
        return bool(self._used)

    def _today(self) -> int:
        return int(self._clock() // _DAY_S)

    def _tried(self, do: Callable[[sqlite3.Connection], Answer], otherwise: Answer) -> Answer:
        try:
            with self._connected() as database:
                return do(database)
        except sqlite3.Error as error:
            if isinstance(error, _DamageError) and self._renewed(error.inode, str(error)):
                with suppress(sqlite3.Error), self._connected() as database:
                    return do(database)
            if str(error) not in self._faults:
                self._faults.add(str(error))
                log.error("embedding_cache_unusable", path=str(self._path), error=str(error))
            return otherwise

    def _renewed(self, inode: int, error: str) -> bool:
        """Move a damaged file aside, unless somebody else has; return whether there is another one now."""
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            with held(self._path.with_name(f"{self._path.name}.lock"), wait=True):
                if self._path.exists() and self._path.stat().st_ino == inode:
                    self._path.replace(aside)
                    for side in ("-wal", "-shm"):
                        self._path.with_name(self._path.name + side).unlink(missing_ok=True)
                    log.error("embedding_cache_renewed", path=str(self._path), moved_to=str(aside), error=error)
        except OSError:
            return False
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()
        return True

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one thread: closed by another meanwhile, it would take the process with it."""
        with self._lock:
            inode, connection = self._idle.pop() if self._idle else (0, None)
        whole = True
        try:
            if connection is None:
                with suppress(OSError):
                    self._path.touch()
                    inode = self._path.stat().st_ino
                connection = _opened(self._path)
            yield connection
        except sqlite3.Error as error:
            if _is_damage(error):
                whole = False
                raise _DamageError(str(error), inode) from error
            raise
        finally:
            with self._lock:
                reusable = whole and not self._closed
                if reusable and connection is not None:
                    self._idle.append((inode, connection))
            if connection is not None and not reusable:
                connection.close()


class _DamageError(sqlite3.DatabaseError):
    """A file is damaged, the one with this inode."""

    def __init__(self, reason: str, inode: int) -> None:
        super().__init__(reason)
        self.inode = inode


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _size_of(row: Row) -> int:
    """Return the bytes that a row takes, roughly."""
    if isinstance(row, Embedded):
        return row.vector.nbytes
    return _ADDRESS_BYTES + (len(row.url) if isinstance(row, Address) else 0)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    try:
        _prepare(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare(database: sqlite3.Connection) -> None:
    if not database.execute("PRAGMA page_count").fetchone()[0]:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # decides about a file that is still empty
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    if database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        database.executescript(_SCHEMA)


def _deleted(database: sqlite3.Connection, query: str, *values: object) -> Iterator[int]:
    """Delete the images that a query finds, some at a time; yield how many."""
    while rows := database.execute(query, values).fetchall():
        with database:
            database.executemany("DELETE FROM vector WHERE id = ?", rows)
            database.executemany("DELETE FROM image WHERE id = ?", rows)
        yield len(rows)


def _shrink(database: sqlite3.Connection) -> None:
    """Give free pages back to the disk; a file from before that was possible keeps them for what comes."""
    free = database.execute("PRAGMA freelist_count").fetchone()[0]
    if database.execute("PRAGMA auto_vacuum").fetchone()[0]:
        for _ in range(0, free, _STEP):
            database.executescript(f"PRAGMA incremental_vacuum({_STEP})")  # execute() would stop at one page


def _size(database: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _decoded(blob: bytes) -> Vector | None:
    return np.frombuffer(blob, dtype="<f4").astype(np.float32) if len(blob) % 4 == 0 else None
