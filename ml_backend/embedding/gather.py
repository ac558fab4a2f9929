"""Tasks become embeddings: fetched, decoded and embedded, or taken from the cache; faults stay with their task.

A few threads fetch and decode, others embed in batches, and the cache writes with one of its own.
"""

import hashlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ImageRejectedError
from common.images.fetch import Connect, Fetcher, is_upload
from common.images.local_files import LocalFiles
from common.label_studio.label_config import value_at
from ml_backend import __version__
from ml_backend.embedding.batching import Batcher
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache, Refusal
from ml_backend.embedding.engines import Embedder
from ml_backend.embedding.lanes import Job, Lane, Lanes
from ml_backend.embedding.reasons import COSTLY, DEADLINE, NO_URL, OVERLOADED, fault_of, reason_of
from ml_backend.errors import StoppingError
from ml_backend.images.decoder import Decoder
from ml_backend.images.decoding import ImageLimits
from ml_backend.settings import Settings

Vector = NDArray[np.float32]

Prepared = NDArray[np.float32]

_CLOSING_S = 5.0  # for each kind of thread
_WINDOW = 256  # images of one request that are on their way at a time


@dataclass(frozen=True)
class ImageRef:
    """One image of one task; ``url`` is None where the task holds no text."""

    task_id: int
    key: str
    url: str | None

    @classmethod
    def of(cls, task_id: int, key: str, data: Mapping[str, Any]) -> "ImageRef":
        """Name a task's image. What its data holds at the key or path may be anything, also a list or a number."""
        url = value_at(data, key)
        return cls(task_id, key, url if isinstance(url, str) else None)


@dataclass
class Gathered:
    """What became of the images.

    Parameters
    ----------
    vectors : dict of ImageRef to (n_dimensions,) float32
        In the order in which the images were asked for.
    failures : dict of ImageRef to str
        A short reason each. Every image is in one of the two.
    embedded : int
        How many of the vectors were not in the cache.
    """

    vectors: dict[ImageRef, Vector] = field(default_factory=dict)
    failures: dict[ImageRef, str] = field(default_factory=dict)
    embedded: int = 0


def make_fetcher(settings: Settings, authorization: Callable[[], str], connect: Connect | None = None) -> Fetcher:
    """Make what downloads images; ``connect`` is another network for images, for tests."""
    local = settings.local_files_dir
    return Fetcher(
        base_url=settings.label_studio_url,
        authorization=authorization,
        max_bytes=settings.max_image_bytes,
        timeout_s=settings.fetch_timeout_s,
        hosts=settings.allowed_hosts,
        local_files=LocalFiles(local, settings.max_image_bytes) if local else None,
        program=f"ml-backend/{__version__}",
        connect=connect,
    )


@dataclass(frozen=True)
class Embedding:
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
    task_id : int
        Of one of the tasks that show it.
    model : Embedder or Exception
        An image whose content is known needs none; the others fail with the exception.
    """

    project_id: int
    url: str
    task_id: int
    embedding_key: str
    model: Embedder | Exception
    embedding: Future[Embedding] = field(default_factory=Future)
    begun: bool = False

    @property
    def key(self) -> tuple[int, str, str]:
        """What makes two of them the same."""
        return self.project_id, self.embedding_key, self.url


class Gatherer:
    """Finds the embeddings of images: looks them up, and sends those that are not known through its threads.

    An address that is asked for twice is fetched once, and a file that lies at two is embedded once. The threads
    serve the requests in turn. What a request could not wait for is finished when nothing else is to be done, so
    that it is known when it is asked for again.

    Parameters
    ----------
    fetch_threads, decode_threads : int
        Downloads at a time, and images of a project that are decoded at a time.
    batch_size : int
        Images a forward pass; twice as many may be prepared and wait for theirs.
    recheck_s : float
        How long what was seen at an address is trusted. A file uploaded to Label Studio never changes.
    backlog : int
        Images that may wait although nobody waits for them.
    observe_batch : callable
        Told the size of each batch.
    """

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        cache: EmbeddingCache,
        limits: ImageLimits,
        fetch_threads: int = 8,
        decode_threads: int = 2,
        batch_size: int = 32,
        recheck_s: float = 3600,
        backlog: int = 10_000,
        observe_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._fetcher, self._cache = fetcher, cache
        self._recheck_s, self._backlog = recheck_s, backlog
        self._lanes = Lanes(fetch_threads, "image")
        self._batcher = Batcher(batch_size=batch_size, waiting=2 * batch_size, observe=observe_batch)
        self._decoder, self._limits_key = Decoder(limits, decode_threads), limits.key
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._images: dict[tuple[int, str, str], tuple[Image, Job]] = {}
        self._contents: dict[tuple[str, str], Future[Vector]] = {}

    def gather(
        self,
        refs: Sequence[ImageRef],
        *,
        embedding_key: str,
        embedder: Callable[[], Embedder],
        ends_at: float = float("inf"),
        advance: Callable[[int], None] = lambda _: None,
        project_id: int = 0,
    ) -> Gathered:
        """Embed images.

        Parameters
        ----------
        embedding_key : str
            Of the wanted embeddings.
        embedder : callable
            Gives the embedder with that key; called only if some image is not known.
        ends_at : float
            On the monotonic clock. What is not done then fails with reason ``deadline`` and is finished in the
            background; where too much waits for that already, with reason ``overloaded``, and is not.
        advance : callable
            Told how many more images are done, again and again.
        project_id : int
            One project learns nothing from what another has seen at an address.
        """
        outcome: dict[ImageRef, Embedding | str] = {}
        refs_of: dict[str, list[ImageRef]] = {}
        for ref in refs:
            fault = fault_of(ref.url)
            if fault is None and ref.url is not None:
                refs_of.setdefault(ref.url.strip(), []).append(ref)
            else:
                outcome[ref] = fault or NO_URL
        cached = self._cache.vectors_at(project_id, list(refs_of), embedding_key)
        self._cache.note_use()
        for url, vector in cached.items():
            outcome |= dict.fromkeys(refs_of[url], Embedding(vector, computed=False))
        advance(len(outcome))
        missing = {url: waiting[0].task_id for url, waiting in refs_of.items() if url not in cached}
        for url, reason in self._cache.refusals_at(project_id, list(missing), self._limits_key).items():
            outcome |= dict.fromkeys(refs_of[url], reason)
            del missing[url]
            advance(len(refs_of[url]))
        if missing:
            model = _tried(embedder)
            images = [Image(project_id, url, task_id, embedding_key, model) for url, task_id in missing.items()]
            for url, result in self._wait_for(images, ends_at, lambda url: advance(len(refs_of[url]))).items():
                outcome |= dict.fromkeys(refs_of[url], result)
        return _in_order(refs, outcome)

    def prepare(
        self, refs: Iterable[ImageRef], embedder: Embedder
    ) -> tuple[list[NDArray[np.float32]], Counter[str]]:
        """Fetch and decode images without the cache, as calibration needs them; count why some cannot be."""
        lane, faults, futures = Lane(), Counter[str](), []
        for ref in refs:
            fault = fault_of(ref.url)
            if fault is None and ref.url is not None:
                futures.append(self._prepared(ref.url.strip(), ref.task_id, embedder, lane))
            else:
                faults[fault or NO_URL] += 1
        errors = [future.exception() for future in futures]
        faults.update(reason_of(error) for error in errors if error is not None)
        return [future.result() for future, error in zip(futures, errors, strict=True) if error is None], faults

    def close(self) -> None:
        """Stop the threads and close the connections; who still waits is told by a StoppingError."""
        self._stopping.set()
        self._decoder.close()
        for job in self._lanes.stop():
            job()
        self._batcher.close(_CLOSING_S)
        self._lanes.join(_CLOSING_S)
        self._cache.close(_CLOSING_S)
        self._fetcher.close()

    def _wait_for(
        self, images: Sequence[Image], ends_at: float, done: Callable[[str], None]
    ) -> dict[str, Embedding | str]:
        """Send images on their way, some at a time, and wait for them."""
        outcome: dict[str, Embedding | str] = {}
        finished: SimpleQueue[tuple[str, bool, Future[Embedding]]] = SimpleQueue()
        lane, left, on_the_way = Lane(images[0].project_id), deque(images), 0
        while left or on_the_way:
            while left and on_the_way < _WINDOW:
                image = left.popleft()
                future = self._begin(image, lane)
                future.add_done_callback(partial(_tell, finished, image.url, future.done()))
                on_the_way += 1
            try:
                url, was_there, future = finished.get(timeout=_seconds_until(ends_at))
            except Empty:
                break
            on_the_way -= 1
            outcome[url] = _outcome(future, was_there=was_there)
            done(url)
        self._lanes.put_off(lane)
        outcome |= dict.fromkeys(self._finish_later(left, lane), OVERLOADED)
        return {image.url: outcome.get(image.url, DEADLINE) for image in images}

    def _finish_later(self, images: Iterable[Image], lane: Lane) -> list[str]:
        """Queue images for which nobody waits, and give the addresses of those that are too many."""
        refused = []
        for image in images:
            if image.key not in self._images and self._lanes.waiting >= self._backlog:
                refused.append(image.url)
            elif not isinstance(image.model, Exception):  # else it could only fail
                self._begin(image, lane)
        return refused

    def _begin(self, image: Image, lane: Lane) -> Future[Embedding]:
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
        return image.embedding

    def _prepared(self, url: str, task_id: int, model: Embedder, lane: Lane) -> Future[Prepared]:
        """Fetch and decode an image, and do no more with it."""
        future: Future[Prepared] = Future()

        def prepare() -> None:
            try:
                self._check()
                body = self._fetcher.fetch(url, task_id)
                future.set_result(self._prepare(body, hashlib.sha256(body).hexdigest(), model, lane.owner))
            except Exception as error:  # noqa: BLE001 - who waits for it decides
                future.set_exception(error)

        self._add(lane, prepare)
        return future

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
            # again, now that it is in _images: whoever had it there before has written it since the request looked
            written = self._cache.vectors_at(image.project_id, [image.url], image.embedding_key)
            if image.url in written:
                self._forget(image)
                image.embedding.set_result(Embedding(written[image.url], computed=False))
                return
            body = self._fetcher.fetch(image.url, image.task_id)
            content = hashlib.sha256(body).hexdigest()
            cached = self._cache.get(content, image.embedding_key)
            if cached is not None:
                self._end(image, content, Embedding(cached, computed=False))
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
        cached = self._cache.get(content, image.embedding_key)  # again, as in _run
        if cached is not None:
            vector.set_result(cached)
            return
        if isinstance(model, Exception):
            vector.set_exception(model)
            return
        try:
            self._batcher.add(model, self._prepare(body, content, model, image.project_id), vector)
        except Exception as error:  # noqa: BLE001 - all who wait for this file must hear it
            vector.set_exception(error)

    def _prepare(self, body: bytes, content: str, model: Embedder, project_id: Hashable) -> Prepared:
        """Decode a file; one that was refused under the same limits is refused at once."""
        if reason := self._cache.refusal(content, self._limits_key):
            raise ImageRejectedError(reason)
        return self._decoder.prepared(body, model.prepare, short_side=model.short_side, owner=project_id)

    def _keep(self, place: tuple[str, str], vector: Future[Vector]) -> None:
        """Write an embedding or why there is none; until it is written, who asks for the file finds it here."""
        forget, error = partial(self._forget_content, place), vector.exception()
        if error is None:
            self._cache.keep(Embedded(*place, vector.result()), forget)
        elif isinstance(error, ImageRejectedError) and error.lasting:
            self._cache.keep(Refusal(place[1], self._limits_key, error.reason), forget)
        else:
            forget()

    def _embedded(self, image: Image, content: str, computed: bool, vector: Future[Vector]) -> None:  # noqa: FBT001
        error = vector.exception()
        if error is None:
            self._end(image, content, Embedding(vector.result(), computed))
            return
        # What may be another thing in a minute, such as a page in place of an image, is fetched again.
        if is_upload(image.url) or (isinstance(error, ImageRejectedError) and error.reason in COSTLY):
            self._cache.keep(self._address(image, content))
        self._fail(image, error)

    def _end(self, image: Image, content: str, embedding: Embedding) -> None:
        """Write the address and tell what was found; until that is written, who asks for it finds it here."""
        self._cache.keep(self._address(image, content), partial(self._forget, image))
        image.embedding.set_result(embedding)  # now: who is told may take at once what was kept

    def _address(self, image: Image, content: str) -> Address:
        until = float("inf") if is_upload(image.url) else time.time() + self._recheck_s
        return Address(image.project_id, image.url, content, until)

    def _fail(self, image: Image, error: BaseException) -> None:
        self._forget(image)
        image.embedding.set_exception(error)

    def _forget(self, image: Image) -> None:
        with self._lock:
            self._images.pop(image.key, None)

    def _forget_content(self, place: tuple[str, str]) -> None:
        with self._lock:
            self._contents.pop(place, None)


def _tell(
    finished: SimpleQueue[tuple[str, bool, Future[Embedding]]],
    url: str,
    was_there: bool,  # noqa: FBT001
    future: Future[Embedding],
) -> None:
    finished.put((url, was_there, future))


def _outcome(future: Future[Embedding], *, was_there: bool) -> Embedding | str:
    """Return what was found, or the reason why nothing was."""
    if (error := future.exception()) is not None:
        return reason_of(error)
    embedding = future.result()
    return Embedding(embedding.vector, embedding.computed and not was_there)


def _in_order(refs: Iterable[ImageRef], outcome: Mapping[ImageRef, Embedding | str]) -> Gathered:
    done = Gathered()
    for ref in dict.fromkeys(refs):
        result = outcome[ref]
        if isinstance(result, str):
            done.failures[ref] = result
        else:
            done.vectors[ref] = result.vector
            done.embedded += result.computed
    return done


def _seconds_until(ends_at: float) -> float | None:
    return None if ends_at == float("inf") else max(ends_at - time.monotonic(), 0)


def _tried(embedder: Callable[[], Embedder]) -> Embedder | Exception:
    try:
        return embedder()
    except Exception as error:  # noqa: BLE001 - each image that needs it says why there is none
        return error
