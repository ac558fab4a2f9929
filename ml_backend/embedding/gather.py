"""Tasks become embeddings: fetched, decoded and embedded, or taken from the cache; faults stay with their task."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.label_studio.label_config import value_at
from ml_backend.embedding.cache import EmbeddingCache
from ml_backend.embedding.engines import Embedder
from ml_backend.embedding.keeping import Keeper
from ml_backend.embedding.lanes import Lane
from ml_backend.embedding.pipeline import Found, Image, Pipeline
from ml_backend.embedding.reasons import DEADLINE, NO_URL, OVERLOADED, fault_of, reason_of
from ml_backend.images.decoding import ImageLimits
from ml_backend.images.fetch import Connect, Fetcher
from ml_backend.images.local_files import LocalFiles
from ml_backend.settings import Settings

Vector = NDArray[np.float32]

_WINDOW = 256  # images of one request that are on their way at a time
_CACHE_BYTES = 2_000_000_000


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
        connect=connect,
    )


class Gatherer:
    """Finds the embeddings of images: looks them up, and sends those that are not known through its threads.

    An address that is asked for twice is fetched once, and a file that lies at two is embedded once. The threads
    serve the requests in turn. What a request could not wait for is finished when nothing else is to be done, so
    that it is known when it is asked for again.

    Parameters
    ----------
    fetcher : Fetcher
    cache : EmbeddingCache
    limits : ImageLimits
    keeper : Keeper, optional
        What writes to the cache.
    fetch_threads, decode_threads : int
        Downloads at a time, and decoded images in memory at a time.
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
        keeper: Keeper | None = None,
        fetch_threads: int = 8,
        decode_threads: int = 2,
        batch_size: int = 32,
        recheck_s: float = 3600,
        backlog: int = 10_000,
        observe_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._fetcher, self._cache, self._backlog = fetcher, cache, backlog
        self._keeper = keeper or Keeper(cache, _CACHE_BYTES)
        self._pipeline = Pipeline(
            fetcher=fetcher,
            cache=cache,
            limits=limits,
            keeper=self._keeper,
            fetch_threads=fetch_threads,
            decode_threads=decode_threads,
            batch_size=batch_size,
            recheck_s=recheck_s,
            observe_batch=observe_batch,
        )

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
        refs : sequence of ImageRef
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
        outcome: dict[ImageRef, Found | str] = {}
        refs_of: dict[str, list[ImageRef]] = {}
        for ref in refs:
            fault = fault_of(ref.url)
            if fault is None and ref.url is not None:
                refs_of.setdefault(ref.url.strip(), []).append(ref)
            else:
                outcome[ref] = fault or NO_URL
        known = self._cache.known(project_id, list(refs_of), embedding_key)
        self._keeper.note_use()
        for url, vector in known.items():
            outcome |= dict.fromkeys(refs_of[url], Found(vector, computed=False))
        advance(len(outcome))
        missing = {url: waiting[0].task_id for url, waiting in refs_of.items() if url not in known}
        if missing:
            model = _tried(embedder)
            images = [Image(project_id, url, task_id, embedding_key, model) for url, task_id in missing.items()]
            for url, found in self._wait_for(images, ends_at, lambda url: advance(len(refs_of[url]))).items():
                outcome |= dict.fromkeys(refs_of[url], found)
        return _in_order(refs, outcome)

    def prepare(
        self, refs: Iterable[ImageRef], embedder: Embedder
    ) -> tuple[list[NDArray[np.float32]], Counter[str]]:
        """Fetch and decode images without the cache, as calibration needs them; count why some cannot be."""
        lane, faults, futures = Lane(), Counter[str](), []
        for ref in refs:
            fault = fault_of(ref.url)
            if fault is None and ref.url is not None:
                futures.append(self._pipeline.prepared(ref.url.strip(), ref.task_id, embedder, lane))
            else:
                faults[fault or NO_URL] += 1
        errors = [future.exception() for future in futures]
        faults.update(reason_of(error) for error in errors if error is not None)
        return [future.result() for future, error in zip(futures, errors, strict=True) if error is None], faults

    def close(self) -> None:
        """Stop the threads and close the connections; who still waits is told."""
        self._pipeline.close()
        self._fetcher.close()
        self._cache.close()

    def _wait_for(
        self, images: Sequence[Image], ends_at: float, done: Callable[[str], None]
    ) -> dict[str, Found | str]:
        """Send images on their way, some at a time, and wait for them."""
        outcome: dict[str, Found | str] = {}
        finished: SimpleQueue[tuple[str, bool, Future[Found]]] = SimpleQueue()
        lane, left, on_the_way = Lane(images[0].project_id), deque(images), 0
        while left or on_the_way:
            while left and on_the_way < _WINDOW:
                image = left.popleft()
                future = self._pipeline.begin(image, lane)
                future.add_done_callback(partial(_tell, finished, image.url, future.done()))
                on_the_way += 1
            try:
                url, was_there, future = finished.get(timeout=_seconds_until(ends_at))
            except Empty:
                break
            on_the_way -= 1
            outcome[url] = _outcome(future, was_there=was_there)
            done(url)
        self._pipeline.put_off(lane)
        outcome |= dict.fromkeys(self._finish_later(left, lane), OVERLOADED)
        return {image.url: outcome.get(image.url, DEADLINE) for image in images}

    def _finish_later(self, images: Iterable[Image], lane: Lane) -> list[str]:
        """Queue images for which nobody waits, and give the addresses of those that are too many."""
        refused = []
        for image in images:
            if not self._pipeline.has_room(image, self._backlog):
                refused.append(image.url)
            elif not isinstance(image.model, Exception):  # else it could only fail
                self._pipeline.begin(image, lane)
        return refused


def _tell(
    finished: SimpleQueue[tuple[str, bool, Future[Found]]],
    url: str,
    was_there: bool,  # noqa: FBT001
    future: Future[Found],
) -> None:
    finished.put((url, was_there, future))


def _outcome(future: Future[Found], *, was_there: bool) -> Found | str:
    """Give what was found, or the reason why nothing was."""
    if (error := future.exception()) is not None:
        return reason_of(error)
    found = future.result()
    return Found(found.vector, found.computed and not was_there)


def _in_order(refs: Iterable[ImageRef], outcome: Mapping[ImageRef, Found | str]) -> Gathered:
    done = Gathered()
    for ref in dict.fromkeys(refs):
        found = outcome[ref]
        if isinstance(found, str):
            done.failures[ref] = found
        else:
            done.vectors[ref] = found.vector
            done.embedded += found.computed
    return done


def _seconds_until(ends_at: float) -> float | None:
    return None if ends_at == float("inf") else max(ends_at - time.monotonic(), 0)


def _tried(embedder: Callable[[], Embedder]) -> Embedder | Exception:
    try:
        return embedder()
    except Exception as error:  # noqa: BLE001 - each image that needs it says why there is none
        return error
