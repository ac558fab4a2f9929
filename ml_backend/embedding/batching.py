"""Prepared images of all requests become full batches for the network, while the next ones are being decoded."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from ml_backend.embedding.engines import Embedder
from ml_backend.errors import EmbeddingError, StoppingError

log = structlog.get_logger()

Vector = NDArray[np.float32]
Prepared = NDArray[np.float32]

_LINGER_S = 0.004


@dataclass(frozen=True)
class _Waiting:
    image: Prepared
    since: float  # on the monotonic clock
    vector: Future[Vector]


@dataclass
class _Line:
    """The images that wait for one embedder."""

    embedder: Embedder
    images: deque[_Waiting] = field(default_factory=deque)


class Batcher:
    """Threads that embed what other threads have prepared, as many as the embedders want.

    Parameters
    ----------
    batch_size : int
        Images that an embedder gets at once, at most.
    waiting : int
        Prepared images that may wait, over all embedders; who adds one more has to wait too.
    linger_s : float
        How long a batch that is not full waits for more.
    observe : callable
        Told the size of each batch.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        waiting: int,
        linger_s: float = _LINGER_S,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._batch_size, self._room, self._linger_s, self._observe = batch_size, waiting, linger_s, observe
        self._changed = threading.Condition()
        self._lines: dict[str, _Line] = {}  # in the order of their turns; each holds an image
        self._threads: list[threading.Thread] = []
        self._closed = False

    def add(self, embedder: Embedder, image: Prepared, vector: Future[Vector]) -> None:
        """Queue an image, as soon as there is room for it.

        Parameters
        ----------
        image : (3, height, width) float32
            From ``embedder.prepare``.
        vector : Future
            Gets the (dimension,) embedding, EmbeddingError if that image cannot be embedded, or StoppingError.

        Raises
        ------
        StoppingError
            If the threads have been told to end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._room > 0)
            if self._closed:
                raise StoppingError("the backend is being stopped")
            self._room -= 1
            line = self._lines.setdefault(embedder.key, _Line(embedder))
            line.images.append(_Waiting(image, time.monotonic(), vector))
            self._changed.notify_all()
            while len(self._threads) < embedder.streams:
                self._threads.append(threading.Thread(target=self._run, name="embedding", daemon=True))
                self._threads[-1].start()

    @property
    def waiting(self) -> int:
        """Images that no batch has taken."""
        with self._changed:
            return sum(len(line.images) for line in self._lines.values())

    def close(self, timeout_s: float) -> None:
        """End the threads after the batches that they are at; what waits gets StoppingError."""
        ends_at = time.monotonic() + timeout_s
        with self._changed:
            self._closed = True
            left = [image for line in self._lines.values() for image in line.images]
            self._lines.clear()
            self._changed.notify_all()
        for image in left:
            image.vector.set_exception(StoppingError("the backend is being stopped"))
        for thread in self._threads:
            thread.join(max(ends_at - time.monotonic(), 0))

    def _run(self) -> None:
        while self._embed_next():
            pass

    def _embed_next(self) -> bool:
        """Embed one batch; False at the end. No image stays in memory while the next ones are waited for."""
        taken = self._next()
        if taken is None:
            return False
        embedder, batch = taken
        self._observe(len(batch))
        self._embed(embedder, batch)
        return True

    def _next(self) -> tuple[Embedder, list[_Waiting]] | None:
        """Take the batch of the embedder whose turn it is; None at the end."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                due = {key: line.images[0].since + self._linger_s for key, line in self._lines.items()}
                for key, line in self._lines.items():
                    if len(line.images) >= self._batch_size or self._room <= 0 or due[key] <= now:
                        return self._take(key, line)
                self._changed.wait(min(due.values()) - now if due else None)
        return None

    def _take(self, key: str, line: _Line) -> tuple[Embedder, list[_Waiting]]:
        batch = [line.images.popleft() for _ in range(min(len(line.images), self._batch_size))]
        del self._lines[key]
        if line.images:  # to the end of the turns
            self._lines[key] = line
        self._room += len(batch)
        self._changed.notify_all()
        return line.embedder, batch

    def _embed(self, embedder: Embedder, batch: list[_Waiting]) -> None:
        """Embed a batch; one that fails again image by image, so that only the guilty ones are lost."""
        try:
            vectors = embedder.embed([waiting.image for waiting in batch])
            answers = [_checked(vectors[row]) for row in range(len(batch))]
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread goes on
            if len(batch) > 1:
                for waiting in batch:
                    self._embed(embedder, [waiting])
                return
            log.error("embedding_failed", error=type(error).__name__)
            answers = [None]
        for waiting, answer in zip(batch, answers, strict=True):
            if answer is None:
                waiting.vector.set_exception(EmbeddingError("the network gave no numbers for this image"))
            else:
                waiting.vector.set_result(answer)


def _checked(vector: Vector) -> Vector | None:
    """Copy an embedding out of its batch, which would stay in memory as long; None if a number is not finite."""
    return vector.copy() if np.isfinite(vector).all() else None
