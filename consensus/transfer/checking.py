"""Images that are checked in parallel, and parted into requests."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from consensus.transfer.image_checks import CheckedImage, UnusableImageError, check_image, image_workers
from consensus.transfer.sender import Image
from consensus.transfer.sources.records import LeftOut, Record

LARGEST_REQUEST, FILES_A_REQUEST = 32 * 2**20, 100
"""Bytes and files; Label Studio takes 250 MiB and 100 files."""
_AHEAD = 1024  # images that are checked while others are sent

Check = Callable[[Path], Future[CheckedImage]]


def checked(
    records: Iterable[Record], leave_out: Callable[[list[LeftOut]], None], check: Check
) -> Iterator[Image]:
    """Check images in parallel, and give them in the order of the source; those at an address are not fetched.

    What checks is its caller's: a generator that held it would end it whenever it is collected, in any thread.
    """
    waiting: deque[tuple[Record, Future[CheckedImage] | None]] = deque()
    coming = iter(records)
    while True:
        for record in islice(coming, _AHEAD - len(waiting)):
            waiting.append((record, check(record.path) if record.path else None))
        if not waiting:
            return
        record, future = waiting.popleft()
        try:
            image = future.result() if future else None
        except UnusableImageError as error:
            leave_out([record.left_out("not usable", str(error))])
            continue
        if image is None:
            yield Image(record, record.address, record.address)
        else:
            yield Image(record, image.checksum, record.address, image.ending, image.n_bytes)


@contextmanager
def checks(threads: int) -> Iterator[Check]:
    """Begin to check images, so many at a time."""
    with image_workers(threads) as workers, ending(ThreadPoolExecutor(threads, "check")) as pool:
        yield lambda path: pool.submit(check_image, path, workers)


@contextmanager
def ending(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """End a pool without the work that has not begun."""
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batches(images: Sequence[Image], size: int) -> Iterator[list[Image]]:
    """Part images into those of one request: so many, and neither too many files nor too many bytes."""
    batch: list[Image] = []
    n_bytes = 0
    for image in images:
        if batch and (len(batch) >= min(size, FILES_A_REQUEST) or n_bytes + image.n_bytes > LARGEST_REQUEST):
            yield batch
            batch, n_bytes = [], 0
        batch.append(image)
        n_bytes += image.n_bytes
    if batch:
        yield batch
