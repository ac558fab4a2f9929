"""Embeddings on disk, so that no image is embedded twice.

An entry belongs to the content of an image (SHA-256) and to the key of the embedder. SQLite in its write-ahead
mode lets several workers and a training read and write at once.
"""

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SCHEMA = """
CREATE TABLE IF NOT EXISTS embedding (
    content TEXT NOT NULL, embedder TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (content, embedder)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (url TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
"""
_BUSY_S = 30.0


class EmbeddingCache:
    """A file of embeddings that any thread of any process may use.

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
        self._database.executescript(_SCHEMA)

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
        row = self._database.execute(
            "SELECT vector FROM embedding WHERE content = ? AND embedder = ?", (content, embedder)
        ).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype="<f4").astype(np.float32)

    def put(self, embedder: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep embeddings by content, in one transaction. What is there already stays."""
        rows = [
            (content, embedder, np.asarray(vector, dtype="<f4").tobytes()) for content, vector in vectors.items()
        ]
        with self._database as database:
            database.executemany("INSERT OR IGNORE INTO embedding VALUES (?, ?, ?)", rows)

    def content_of_upload(self, url: str) -> str | None:
        """Give the SHA-256 of a file uploaded to Label Studio, if it was seen before."""
        row = self._database.execute("SELECT content FROM upload WHERE url = ?", (url,)).fetchone()
        return None if row is None else str(row[0])

    def remember_upload(self, url: str, content: str) -> None:
        """Keep the SHA-256 of an uploaded file, whose address never gets another content."""
        with self._database as database:
            database.execute("INSERT OR IGNORE INTO upload VALUES (?, ?)", (url, content))

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    @property
    def _database(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._local.connection = connection
            self._opened.append(connection)
        return connection
