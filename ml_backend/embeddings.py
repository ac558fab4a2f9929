"""Embeddings on disk, so that no image is embedded twice.

An entry belongs to the content of an image (SHA-256) and to the key of the embedder. SQLite in its write-ahead
mode lets several workers and a training read and write at once.
"""

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

log = structlog.get_logger()

_SCHEMA = """
CREATE TABLE IF NOT EXISTS embedding (
    content TEXT NOT NULL, embedder TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (content, embedder)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (url TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
"""
_BUSY_S = 5.0

Answer = TypeVar("Answer")


class EmbeddingCache:
    """A file of embeddings that any thread of any process may use.

    A file that is full, locked or damaged holds nothing, and is written to the log once: it costs time, not
    suggestions.

    Parameters
    ----------
    path : Path
        Made with its folder if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._faults: set[str] = set()
        self._tried(lambda _: None, None)

    def get(self, content: str, embedder: str) -> NDArray[np.float32] | None:
        """Give the embedding of an image, or None.

        Parameters
        ----------
        content : str
            SHA-256 of the file.
        embedder : str
            ``ResNetEmbedder.key``.

        Returns
        -------
        (n_dimensions,) float32 or None
        """
        row = self._row("SELECT vector FROM embedding WHERE content = ? AND embedder = ?", content, embedder)
        return None if row is None else np.frombuffer(row[0], dtype="<f4").astype(np.float32)

    def put(self, embedder: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep embeddings by content, in one transaction. What is there already stays."""
        rows = [
            (content, embedder, np.asarray(vector, dtype="<f4").tobytes()) for content, vector in vectors.items()
        ]
        self._write("INSERT OR IGNORE INTO embedding VALUES (?, ?, ?)", rows)

    def content_of_upload(self, url: str) -> str | None:
        """Give the SHA-256 of a file uploaded to Label Studio, if it was seen before."""
        row = self._row("SELECT content FROM upload WHERE url = ?", url)
        return None if row is None else str(row[0])

    def remember_upload(self, url: str, content: str) -> None:
        """Keep the SHA-256 of an uploaded file, whose address never gets another content."""
        self._write("INSERT OR IGNORE INTO upload VALUES (?, ?)", [(url, content)])

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    def _row(self, query: str, *values: str) -> Any:  # noqa: ANN401 - a row, or None
        return self._tried(lambda database: database.execute(query, values).fetchone(), None)

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany(statement, rows)

        self._tried(write, None)

    def _tried(self, do: Callable[[sqlite3.Connection], Answer], otherwise: Answer) -> Answer:
        try:
            return do(self._database())
        except sqlite3.Error as error:
            if str(error) not in self._faults:
                self._faults.add(str(error))
                log.error("embedding_cache_unusable", path=str(self._path), error=str(error))
            return otherwise

    def _database(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._local.connection = connection
            self._opened.append(connection)
        return connection
