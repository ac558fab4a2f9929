"""Small pictures of tasks: made once, kept on disk, and served by us with the rights of the page."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from werkzeug.exceptions import ServiceUnavailable

from common.errors import ImageRejectedError, SuiteError
from common.images.fetch import Fetcher
from common.images.workers import Workers
from common.label_studio.label_config import value_at
from consensus.console.picture_cache import PictureCache
from consensus.console.shrinking import LARGEST_IMAGE, small
from consensus.label_studio import Project, Studio
from consensus.serving.service import Service

SIDE = 320
"""Pixels of the longer side: 160 on a screen with two pixels to each."""
SIDES = {"small": SIDE, "large": 1280}
MAX_BYTES = 30_000_000
TIMEOUT_S = 20.0
ADDRESSES = 20_000
"""Tasks whose images' addresses are held in memory."""
AT_ONCE, LONGEST_S = 2, 5.0
"""Images that are made small at a time, and seconds of processor time that one may take."""
MOST_MEMORY = 16 * LARGEST_IMAGE + 4 * MAX_BYTES + 300_000_000
MAKERS, PATIENCE_S = 8, 2.0
"""Requests that fetch and make pictures at a time, half of all threads, and seconds that others wait for that."""
REFUSED = 10_000
"""Images that are known to be none, or to take too long."""


class Pictures:
    """Finds the images of tasks, and keeps a small picture of each.

    Parameters
    ----------
    cache : PictureCache
        Where they are kept; who may read its folder sees them.
    """

    def __init__(self, service: Service, cache: PictureCache) -> None:
        self._service, self._cache, self._lock = service, cache, threading.Lock()
        self._addresses: OrderedDict[tuple[int, int], dict[str, str]] = OrderedDict()
        self._refused: OrderedDict[str, str] = OrderedDict()
        self._makers = threading.BoundedSemaphore(MAKERS)
        self._turns = [threading.Semaphore() for _ in range(256)]
        self._workers = Workers(AT_ONCE, cpu_s=LONGEST_S, memory_bytes=MOST_MEMORY)
        self._opened, self._opening, self._own_fetcher = ExitStack(), threading.Lock(), list[Fetcher]()

    def close(self) -> None:
        """End the processes that make images small, and the connections."""
        self._workers.close()
        with self._opening:
            self._own_fetcher.clear()
            self._opened.close()

    @property
    def fetcher(self) -> Fetcher:
        """What asks Label Studio for images, over connections that stay; made when the first one is needed."""
        with self._opening:
            if not self._own_fetcher:
                studio = self._opened.enter_context(self._service.studio())
                fetcher = Fetcher(
                    base_url=studio.client.url,
                    authorization=studio.client.authorization,
                    max_bytes=MAX_BYTES,
                    timeout_s=TIMEOUT_S,
                    program="consensus",
                )
                self._own_fetcher.append(self._opened.enter_context(closing(fetcher)))
            return self._own_fetcher[0]

    def expect(self, project: int, tasks: Collection[int]) -> None:
        """Read the addresses of tasks' images, many in one question, where they are not known."""
        with self._lock:
            unknown = sorted({task for task in tasks if (project, task) not in self._addresses})
        if not unknown:
            return
        with self._service.studio() as studio:
            self._read(studio, studio.project(project), unknown)

    def expect_quietly(self, project: int, tasks: Collection[int]) -> None:
        """Do the same for a page that is shown all the same where Label Studio does not answer."""
        with suppress(SuiteError):
            self.expect(project, tasks)

    def path(self, project: int, task: int, control: str, size: str) -> Path | None:
        """Return a small picture; None where the control is not about one image.

        Raises
        ------
        FetchError, ImageRejectedError
            With a short reason.
        SuiteError
            Where Label Studio cannot be asked.
        ServiceUnavailable
            While too many are made.
        """
        self.expect(project, [task])
        with self._lock:
            address = self._addresses.get((project, task), {}).get(control)
        if not address:
            return None
        name = hashlib.sha256(f"{project}\n{task}\n{address}\n{size}".encode()).hexdigest()
        if path := self._cache.find(name):
            return path
        with _turn(self._turns[int(name[:2], 16)]):  # who asks for the same picture waits for it
            if path := self._cache.find(name):
                return path
            with _turn(self._makers):
                return self._cache.put(name, self._small(self._fetched(address, task), SIDES[size]))

    def _small(self, content: bytes, side: int) -> bytes:
        """Make an image small; one that was refused is refused at once."""
        checksum = hashlib.sha256(content).hexdigest()
        with self._lock:
            if reason := self._refused.get(checksum):
                raise ImageRejectedError(reason)
        try:
            made: bytes = self._workers.run(partial(small, side), content).tobytes()
        except ImageRejectedError as error:
            if error.lasting:
                with self._lock:
                    self._refused[checksum] = error.reason
                    while len(self._refused) > REFUSED:
                        self._refused.popitem(last=False)
            raise
        return made

    def _read(self, studio: Studio, project: Project, tasks: list[int]) -> None:
        tags = [tag for tag in project.config.choices if tag.image_key]
        for row in studio.client.tasks_by_id(project.id, "id,data", tasks):
            addresses = {tag.name: str(value_at(row["data"], tag.image_key or "") or "") for tag in tags}
            with self._lock:
                self._addresses[project.id, int(row["id"])] = addresses
                while len(self._addresses) > ADDRESSES:
                    self._addresses.popitem(last=False)

    def _fetched(self, address: str, task: int) -> bytes:
        return self.fetcher.fetch(address, task)


@contextmanager
def _turn(lock: threading.Semaphore) -> Iterator[None]:
    if not lock.acquire(timeout=PATIENCE_S):
        raise ServiceUnavailable("Too many pictures are made at this moment.", retry_after=5)
    try:
        yield
    finally:
        lock.release()
