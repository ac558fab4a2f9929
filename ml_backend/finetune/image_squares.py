"""A project's images, fetched and decoded once, as squares of bytes in one file."""

import hashlib
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from common.errors import FetchError
from ml_backend.embedding.gather import ImageRef
from ml_backend.embedding.reasons import NO_URL, fault_of, reason_of
from ml_backend.finetune.tuning_folder import TuningError
from ml_backend.images.decoder import Decoder, Square
from ml_backend.images.decoding import ImageLimits

log = structlog.get_logger()

_AHEAD = 4  # images a thread that may wait to be written
_SPARE = 500_000_000  # bytes that a disk shall have left for checkpoints

Fetch = Callable[[str, int], bytes]


@dataclass
class Prepared:
    """What became of the images.

    Parameters
    ----------
    refs : list of ImageRef
        Those in the file, in its order.
    contents : list of str
        SHA-256 of each.
    failures : Counter of str
        How many could not be prepared, by reason.
    """

    refs: list[ImageRef] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class ImageSquares:
    """What prepares images.

    Parameters
    ----------
    fetch : callable
        Gives the bytes at an address, for a task; raises FetchError.
    side : int
        Pixels of the squares.
    fetch_threads, decode_threads : int
        Downloads and images that are decoded at a time.
    """

    fetch: Fetch
    limits: ImageLimits
    side: int
    fetch_threads: int
    decode_threads: int

    def write(
        self, refs: Sequence[ImageRef], path: Path, advance: Callable[[int], None] = lambda _: None
    ) -> Prepared:
        """Write the images that can be read, one after the other.

        Parameters
        ----------
        advance : callable
            Told after each image how many are done.

        Raises
        ------
        TuningError
            If the disk has too little space.
        OSError
            If it cannot be written all the same.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_space(path.parent, len(refs) * 3 * self.side**2)
        done = Prepared()
        with path.open("wb") as file:
            for number, (ref, drawn) in enumerate(self._all(refs), start=1):
                if isinstance(drawn, str):
                    done.failures[drawn] += 1
                    log.warning("image_left_out", task=ref.task_id, reason=drawn)
                else:
                    content, square = drawn
                    file.write(square)
                    done.refs.append(ref)
                    done.contents.append(content)
                advance(number)
        return done

    def _all(self, refs: Sequence[ImageRef]) -> "Iterator[tuple[ImageRef, tuple[str, bytes] | str]]":
        decoder = Decoder(self.limits, self.decode_threads)
        waiting: deque[tuple[ImageRef, Future[tuple[str, bytes]]]] = deque()
        pool = ThreadPoolExecutor(self.fetch_threads, thread_name_prefix="tuning-image")
        try:
            for ref in refs:
                waiting.append((ref, pool.submit(self._square, ref, decoder)))
                if len(waiting) >= _AHEAD * self.fetch_threads:
                    first, future = waiting.popleft()
                    yield first, _result(future)
            while waiting:
                first, future = waiting.popleft()
                yield first, _result(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            decoder.close()

    def _square(self, ref: ImageRef, decoder: Decoder) -> tuple[str, bytes]:
        if (fault := fault_of(ref.url)) or ref.url is None:
            raise FetchError(fault or NO_URL)
        body = self.fetch(ref.url.strip(), ref.task_id)
        pixels = decoder.prepared(body, Square(self.side), short_side=self.side)
        return hashlib.sha256(body).hexdigest(), pixels.tobytes()


def _result(future: "Future[tuple[str, bytes]]") -> tuple[str, bytes] | str:
    """Return what a thread made, or the reason why it made nothing."""
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 - one image's fault, whatever it is, must not cost the others theirs
        return reason_of(error)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise TuningError(
            f"{str(folder)!r} has {free / 1e9:.1f} GB free, and the prepared images and checkpoints take "
            f"{(needed + _SPARE) / 1e9:.1f} GB: make room, or take fewer images with --max-images"
        )
