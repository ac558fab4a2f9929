"""Images on their way: fetched and decoded by a few threads, embedded in batches by others, kept by one."""

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ml_backend.embedding.batching import Batcher
from ml_backend.embedding.cache import Address, EmbeddingCache
from ml_backend.embedding.engines import Embedder
from ml_backend.embedding.keeping import Embedded, Keeper
from ml_backend.embedding.lanes import Job, Lane, Lanes
from ml_backend.errors import StoppingError
from ml_backend.images.decoding import ImageLimits, decode
from ml_backend.images.fetch import Fetcher, is_upload

Vector = NDArray[np.float32]
Prepared = NDArray[np.float32]

_CLOSING_S = 5.0  # for each kind of thread


@dataclass(frozen=True)
class Found:
    """The embedding of an image.

    Parameters
    ----------
    vector : (n_dimensions,) float32
    computed : bool
        Whether it was not there when it was asked for.
    """

    vector: Vector
    computed: bool


@dataclass(eq=False)
class Image:
    """What lies at an address, on its way to an embedding for all who ask for it meanwhile.

    Parameters
    ----------
    project_id : int
    url : str
    task_id : int
        Of one of the tasks that show it.
    embedding_key : str
    model : Embedder or Exception
        An image whose content is known needs none; the others fail with the exception.
    """

    project_id: int
    url: str
    task_id: int
    embedding_key: str
    model: Embedder | Exception
    found: Future[Found] = field(default_factory=Future)
    begun: bool = False

    @property
    def key(self) -> tuple[int, str, str]:
        """What makes two of them the same."""
        return self.project_id, self.embedding_key, self.url


class Pipeline:
    """The threads, and what is on its way through them.

    Parameters
    ----------
    fetcher : Fetcher
    cache : EmbeddingCache
    limits : ImageLimits
    keeper : Keeper
    fetch_threads, decode_threads : int
        Downloads at a time, and decoded images in memory at a time.
    batch_size : int
        Images a forward pass; twice as many may be prepared and wait for theirs.
    recheck_s : float
        How long what was seen at an address is trusted, unless that never changes.
    observe_batch : callable
        Told the size of each batch.
    """

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        cache: EmbeddingCache,
        limits: ImageLimits,
        keeper: Keeper,
        fetch_threads: int,
        decode_threads: int,
        batch_size: int,
        recheck_s: float,
        observe_batch: Callable[[int], None],
    ) -> None:
        self._fetcher, self._cache, self._limits, self._keeper = fetcher, cache, limits, keeper
        self._recheck_s = recheck_s
        self._lanes = Lanes(fetch_threads, "image")
        self._batcher = Batcher(batch_size=batch_size, waiting=2 * batch_size, observe=observe_batch)
        self._decoding = threading.Semaphore(decode_threads)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._images: dict[tuple[int, str, str], tuple[Image, Job]] = {}
        self._contents: dict[tuple[str, str], Future[Vector]] = {}

    def begin(self, image: Image, lane: Lane) -> Future[Found]:
        """Queue an image, or join the same one if it is on its way.

        Its future ends with what was found, or the error because of which nothing was.
        """
        with self._lock:
            model = image.model
            image, job = self._images.setdefault(image.key, (image, partial(self._run, image)))
            if isinstance(image.model, Exception):  # the first who asked had none; perhaps there is one now
                image.model = model
            waits = not image.begun
        if waits:
            self._add(lane, job)
        return image.found

    def prepared(self, url: str, task_id: int, model: Embedder, lane: Lane) -> Future[Prepared]:
        """Fetch and decode an image, and do no more with it."""
        future: Future[Prepared] = Future()

        def prepare() -> None:
            try:
                self._check()
                future.set_result(self._prepare(self._fetcher.fetch(url, task_id), model))
            except Exception as error:  # noqa: BLE001 - who waits for it decides
                future.set_exception(error)

        self._add(lane, prepare)
        return future

    def put_off(self, lane: Lane) -> None:
        """Let a lane's images wait until nothing else is to be done."""
        self._lanes.put_off(lane)

    def has_room(self, image: Image, backlog: int) -> bool:
        """Tell whether an image is on its way already, or fewer than so many wait to be begun."""
        return image.key in self._images or self._lanes.waiting < backlog

    def close(self) -> None:
        """End the threads; what was not begun fails with StoppingError."""
        self._stopping.set()
        for job in self._lanes.stop():
            job()
        self._batcher.close(_CLOSING_S)
        self._lanes.join(_CLOSING_S)
        self._keeper.close(_CLOSING_S)

    def _add(self, lane: Lane, job: Job) -> None:
        if not self._lanes.add(lane, job):
            job()  # which says that it is too late

    def _check(self) -> None:
        if self._stopping.is_set():
            raise StoppingError("the backend is being stopped")

    def _run(self, image: Image) -> None:
        """Find an embedding; one that has to be computed comes later, from the thread of the batches."""
        with self._lock:
            if image.begun:
                return
            image.begun = True
        try:
            self._check()
            body = self._fetcher.fetch(image.url, image.task_id)
            content = hashlib.sha256(body).hexdigest()
            known = self._cache.get(content, image.embedding_key)
            if known is not None:
                self._end(image, content, Found(known, computed=False))
            else:
                self._embed(image, content, body)
        except Exception as error:  # noqa: BLE001 - one task's fault, whatever it is, must not cost the others theirs
            self._fail(image, error)

    def _embed(self, image: Image, content: str, body: bytes) -> None:
        """Embed a file, once for all addresses at which it lies."""
        place, model = (image.embedding_key, content), image.model
        with self._lock:
            vector = self._contents.get(place)
            first = vector is None
            if vector is None:
                vector = self._contents[place] = Future()
        if first:
            vector.add_done_callback(partial(self._keep, place))
        vector.add_done_callback(partial(self._embedded, image, content, not vector.done()))
        if not first:
            return
        if isinstance(model, Exception):
            vector.set_exception(model)
            return
        try:
            self._batcher.add(model, self._prepare(body, model), vector)
        except Exception as error:  # noqa: BLE001 - all who wait for this file must hear it
            vector.set_exception(error)

    def _prepare(self, body: bytes, model: Embedder) -> Prepared:
        with self._decoding:
            return model.prepare(decode(body, self._limits, short_side=model.short_side))

    def _keep(self, place: tuple[str, str], vector: Future[Vector]) -> None:
        """Write an embedding; until it is written, who asks for the file finds it here."""
        forget = partial(self._forget_content, place)
        if vector.exception() is None:
            self._keeper.keep(Embedded(*place, vector.result()), forget)
        else:
            forget()

    def _embedded(self, image: Image, content: str, computed: bool, vector: Future[Vector]) -> None:  # noqa: FBT001
        error = vector.exception()
        if error is None:
            self._end(image, content, Found(vector.result(), computed))
        else:
            self._fail(image, error)

    def _end(self, image: Image, content: str, found: Found) -> None:
        """Write the address and tell what was found; until that is written, who asks for it finds it here."""
        until = float("inf") if is_upload(image.url) else time.time() + self._recheck_s
        self._keeper.keep(Address(image.project_id, image.url, content, until), partial(self._forget, image))
        image.found.set_result(found)  # now: who is told may take at once what was kept

    def _fail(self, image: Image, error: BaseException) -> None:
        self._forget(image)
        image.found.set_exception(error)

    def _forget(self, image: Image) -> None:
        with self._lock:
            self._images.pop(image.key, None)

    def _forget_content(self, place: tuple[str, str]) -> None:
        with self._lock:
            self._contents.pop(place, None)
