"""Tasks become embeddings: fetched, decoded and embedded, or taken from the cache; faults stay with their task."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
from numpy.typing import NDArray

from ml_backend.core.images import ImageLimits, ImageRejectedError, decode
from ml_backend.embeddings import EmbeddingCache
from ml_backend.errors import FetchError, MLBackendError, ModelLoadingError
from ml_backend.fetch import Fetcher, is_upload

if TYPE_CHECKING:
    import torch

    from ml_backend.core.embedder import ResNetEmbedder

log = structlog.get_logger()

_SLICE = 16  # images that are embedded before the clock is read again


@dataclass(frozen=True)
class ImageRef:
    """One image of one task; ``url`` is None where the task holds no text."""

    task_id: int
    key: str
    url: str | None

    @classmethod
    def of(cls, task_id: int, key: str, data: Mapping[str, Any]) -> "ImageRef":
        """Name a task's image. What its data holds under the key may be anything, also a list or a number."""
        url = data.get(key)
        return cls(task_id, key, url if isinstance(url, str) else None)


@dataclass
class Gathered:
    """What became of the images.

    Parameters
    ----------
    vectors : dict of ImageRef to (n_dimensions,) float32
    failures : dict of ImageRef to str
        A short reason each. Every image is in one of the two.
    embedded : int
        How many were not in the cache.
    """

    vectors: dict[ImageRef, NDArray[np.float32]] = field(default_factory=dict)
    failures: dict[ImageRef, str] = field(default_factory=dict)
    embedded: int = 0


@dataclass(frozen=True)
class _Prepared:
    content: str
    image: "torch.Tensor"


class Gatherer:
    """Finds the embeddings of images, with a small pool of threads for the slow parts.

    Parameters
    ----------
    fetcher : Fetcher
    cache : EmbeddingCache
    limits : ImageLimits
    fetch_threads, decode_threads : int
        Downloads at a time, and decoded images in memory at a time.
    chunk : int
        Images that are fetched before they are embedded.
    """

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        cache: EmbeddingCache,
        limits: ImageLimits,
        fetch_threads: int = 8,
        decode_threads: int = 2,
        chunk: int = 64,
    ) -> None:
        self._fetcher, self._cache, self._limits, self._chunk = fetcher, cache, limits, chunk
        self._pool = ThreadPoolExecutor(fetch_threads, thread_name_prefix="image")
        self._decoding = threading.Semaphore(decode_threads)
        self._embedding = threading.Lock()

    def gather(
        self,
        refs: Sequence[ImageRef],
        *,
        embedding_key: str,
        embedder: "Callable[[], ResNetEmbedder]",
        ends_at: float = float("inf"),
        advance: Callable[[int], None] = lambda _: None,
    ) -> Gathered:
        """Embed images.

        Parameters
        ----------
        refs : sequence of ImageRef
        embedding_key : str
            Of the wanted embeddings.
        embedder : callable
            Gives the embedder with that key; called only for images that are not in the cache.
        ends_at : float
            On the monotonic clock; what is not done then fails with reason ``deadline``.
        advance : callable
            Told after each chunk how many images it had.
        """
        done = Gathered()
        for start in range(0, len(refs), self._chunk):
            chunk = refs[start : start + self._chunk]
            if time.monotonic() >= ends_at:
                done.failures |= dict.fromkeys(chunk, "deadline")
                continue
            self._gather_chunk(chunk, embedding_key, embedder, ends_at, done)
            advance(len(chunk))
        return done

    def prepare(
        self, refs: Iterable[ImageRef], embedder: "ResNetEmbedder"
    ) -> "tuple[list[torch.Tensor], Counter[str]]":
        """Fetch and decode images without the cache, as calibration needs them; count why some cannot be."""
        futures = [self._pool.submit(self._one, ref, None, lambda: embedder) for ref in refs]
        results = [_result(future) for future in futures]
        prepared = [result.image for result in results if isinstance(result, _Prepared)]
        return prepared, Counter(result for result in results if isinstance(result, str))

    def close(self) -> None:
        """Stop the threads and close the connections; what was not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._fetcher.close()
        self._cache.close()

    def _gather_chunk(
        self,
        chunk: Sequence[ImageRef],
        embedding_key: str,
        embedder: "Callable[[], ResNetEmbedder]",
        ends_at: float,
        done: Gathered,
    ) -> None:
        futures = {ref: self._pool.submit(self._one, ref, embedding_key, embedder) for ref in chunk}
        left = _seconds_until(ends_at)
        _, late = wait(futures.values(), timeout=None if left < 0 else left)
        prepared: dict[ImageRef, _Prepared] = {}
        for ref, future in futures.items():
            if future in late:
                future.cancel()
                done.failures[ref] = "deadline"
                continue
            match _result(future):
                case str() as reason:
                    done.failures[ref] = reason
                case _Prepared() as one:
                    prepared[ref] = one
                case vector:
                    done.vectors[ref] = vector
        if prepared:
            self._embed(prepared, embedding_key, embedder, ends_at, done)

    def _embed(
        self,
        prepared: dict[ImageRef, _Prepared],
        embedding_key: str,
        embedder: "Callable[[], ResNetEmbedder]",
        ends_at: float,
        done: Gathered,
    ) -> None:
        distinct = {one.content: one.image for one in prepared.values()}
        vectors: dict[str, NDArray[np.float32]] = {}
        reason = "deadline"
        try:
            model = embedder()
            for contents in _slices(list(distinct), _SLICE):
                if not self._embedding.acquire(timeout=_seconds_until(ends_at)):
                    break
                try:
                    embedded = model.embed([distinct[content] for content in contents])
                finally:
                    self._embedding.release()
                vectors |= zip(contents, embedded, strict=True)
        except Exception as error:  # noqa: BLE001 - what was embedded before stays
            reason = "embedding_failed"
            log.error(reason, error=type(error).__name__, images=len(distinct) - len(vectors))
        self._cache.put(embedding_key, vectors)
        done.embedded += len(vectors)
        for ref, one in prepared.items():
            if one.content in vectors:
                done.vectors[ref] = vectors[one.content]
            else:
                done.failures[ref] = reason

    def _one(
        self, ref: ImageRef, embedding_key: str | None, embedder: "Callable[[], ResNetEmbedder]"
    ) -> "NDArray[np.float32] | _Prepared":
        if not ref.url or not ref.url.strip():
            raise FetchError("no_url")
        url = ref.url.strip()
        content = self._cache.content_of_upload(url) if is_upload(url) and embedding_key else None
        if content and embedding_key and (known := self._cache.get(content, embedding_key)) is not None:
            return known
        body = self._fetcher.fetch(url, ref.task_id)
        content = hashlib.sha256(body).hexdigest()
        if embedding_key and (known := self._cache.get(content, embedding_key)) is not None:
            found: NDArray[np.float32] | _Prepared = known
        else:
            model = embedder()  # may wait: not while others wait to decode
            with self._decoding:
                found = _Prepared(content, model.prepare(decode(body, self._limits)))
        if is_upload(url):
            self._cache.remember_upload(url, content)
        return found


def _seconds_until(ends_at: float) -> float:
    """Give the time that is left, at least 0; -1, which locks take for no limit, where the end is infinite."""
    return -1 if ends_at == float("inf") else max(ends_at - time.monotonic(), 0)


def _slices(contents: list[str], size: int) -> list[list[str]]:
    return [contents[start : start + size] for start in range(0, len(contents), size)]


def _result(future: "Future[NDArray[np.float32] | _Prepared]") -> "NDArray[np.float32] | _Prepared | str":
    """Give what a thread found, or the reason why it found nothing."""
    try:
        return future.result()
    except (FetchError, ImageRejectedError) as error:
        return error.reason
    except ModelLoadingError:
        return "model_loading"
    except MLBackendError:
        return "model_unavailable"
    except Exception as error:  # noqa: BLE001 - one task's fault, whatever it is, must not cost the others theirs
        return f"unexpected_{type(error).__name__}"
