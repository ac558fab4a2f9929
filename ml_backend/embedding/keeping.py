"""What was embedded goes to disk in the background, many images in one transaction."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from ml_backend.embedding.cache import Address, EmbeddingCache

log = structlog.get_logger()

_ROWS = 256  # a transaction
_WAITING = 20_000  # where the disk is that slow, some are not kept, which costs time later
_TIDIES = 20  # in the time that it takes to fill the allowed size
_ADDRESS_BYTES = 120  # of a row beside its address


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


class Keeper:
    """A thread that writes embeddings and addresses, and keeps the file within its size.

    Parameters
    ----------
    cache : EmbeddingCache
    max_bytes : int
        Of the file. It is tidied before the first write, and again whenever a twentieth of that has been added.
    in_use : callable
        Gives the keys of the embedders that some version needs; None if that is not known.
    """

    def __init__(
        self,
        cache: EmbeddingCache,
        max_bytes: int,
        in_use: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        self._cache, self._max_bytes, self._in_use = cache, max_bytes, in_use
        self._changed = threading.Condition()
        self._rows: deque[tuple[Embedded | Address, Callable[[], None]]] = deque()
        self._added = max_bytes  # bytes since the file was tidied
        self._thread: threading.Thread | None = None
        self._closed = False

    def keep(self, row: Embedded | Address, kept: Callable[[], None] = lambda: None) -> None:
        """Write something soon.

        Parameters
        ----------
        row : Embedded or Address
        kept : callable
            Called once it is written, or it is clear that it will not be.
        """
        with self._changed:
            accepted = not self._closed and len(self._rows) < _WAITING
            if accepted:
                self._rows.append((row, kept))
                self._wake()
        if not accepted:
            kept()

    def note_use(self) -> None:
        """Write soon which embeddings were used, if the cache has noted some for the first time that day."""
        if self._cache.noted:
            with self._changed:
                self._wake()

    def close(self, timeout_s: float) -> None:
        """Write what is left, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _wake(self) -> None:
        self._changed.notify()
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._rows or self._cache.noted)
                if self._closed and not self._rows:
                    return
                some = [self._rows.popleft() for _ in range(min(len(self._rows), _ROWS))]
            try:
                self._write([row for row, _ in some])
            except Exception as error:  # noqa: BLE001 - without this thread nothing would be kept any more
                log.error("embeddings_not_kept", error=type(error).__name__)
            for _, kept in some:
                kept()

    def _write(self, rows: Sequence[Embedded | Address]) -> None:
        if self._added * _TIDIES >= self._max_bytes and not self._closed:
            self._added = 0
            deleted = self._cache.tidy(self._max_bytes, self._in_use())
            if deleted:
                log.info("embeddings_deleted", embeddings=deleted)
        vectors = [(row.embedder, row.content, row.vector) for row in rows if isinstance(row, Embedded)]
        addresses = [row for row in rows if isinstance(row, Address)]
        self._cache.write(vectors, addresses)
        self._added += sum(vector.nbytes for _, _, vector in vectors)
        self._added += sum(len(row.url) + _ADDRESS_BYTES for row in addresses)
