"""Small pictures of tasks: made once, kept on disk, and served by us with the rights of the page."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

from flask import Blueprint, Response, request, send_file
from werkzeug.exceptions import NotFound, ServiceUnavailable

from common.errors import FetchError, ImageRejectedError, SuiteError
from common.files import write_whole
from common.images.fetch import Fetcher
from common.images.workers import Workers
from common.label_studio.label_config import value_at
from consensus.console.access import Role, needs
from consensus.console.shrinking import LARGEST_IMAGE, small
from consensus.label_studio import Project, Studio
from consensus.serving.service import Service, snapshot_of

SIDE = 320
"""Pixels of the longer side: 160 on a screen with two pixels to each."""
SIDES = {"small": SIDE, "large": 1280}
MAX_BYTES = 30_000_000
TIMEOUT_S = 20.0
KEPT_S = 86_400
ADDRESSES = 20_000
"""Tasks whose images' addresses are held in memory."""
AT_ONCE, LONGEST_S = 2, 5.0
"""Images that are made small at a time, and seconds of processor time that one may take."""
MOST_MEMORY = 16 * LARGEST_IMAGE + 4 * MAX_BYTES + 300_000_000
MAKERS, PATIENCE_S = 8, 2.0
"""Requests that fetch and make pictures at a time, half of all threads, and seconds that others wait for that."""
REFUSED = 10_000
"""Images that are known to be none, or to take too long."""

picture_pages = Blueprint("pictures", __name__)


class Pictures:
    """Finds the images of tasks, and keeps a small picture of each.

    Parameters
    ----------
    folder : Path
        Where they are kept; who may read it sees them.
    """

    def __init__(self, service: Service, folder: Path) -> None:
        self._service, self._folder, self._lock = service, folder, threading.Lock()
        self._addresses: OrderedDict[tuple[int, int], dict[str, str]] = OrderedDict()
        self._refused: OrderedDict[str, str] = OrderedDict()
        self._makers = threading.BoundedSemaphore(MAKERS)
        self._workers = Workers(AT_ONCE, cpu_s=LONGEST_S, memory_bytes=MOST_MEMORY)

    def close(self) -> None:
        """End the processes that make images small."""
        self._workers.close()

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
        path = self._folder / name[:2] / f"{name}.webp"
        if not path.exists():
            if not self._makers.acquire(timeout=PATIENCE_S):
                raise ServiceUnavailable("Too many pictures are made at this moment.", retry_after=5)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, self._small(self._fetched(address, task), SIDES[size]), alone=True)
            finally:
                self._makers.release()
        return path

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
        with self._service.studio() as studio:
            fetcher = Fetcher(
                base_url=studio.client.url,
                authorization=studio.client.authorization,
                max_bytes=MAX_BYTES,
                timeout_s=TIMEOUT_S,
                program="consensus",
            )
            try:
                return fetcher.fetch(address, task)
            finally:
                fetcher.close()


@picture_pages.get("/projects/<int:project>/tasks/<int:task>/picture")
@needs(Role.REVIEWER)
def picture(project: int, task: int) -> Response:
    """Serve the small picture of a task."""
    from consensus.console.desk import console  # noqa: PLC0415 - the parts are made of this

    here = console()
    with snapshot_of(here.service, project):
        pass
    size = request.args.get("size", "small")
    if size not in SIDES:
        raise NotFound(f"pictures are {' or '.join(SIDES)}")
    try:
        path = here.pictures.path(project, task, request.args.get("control", ""), size)
    except (FetchError, ImageRejectedError) as error:
        raise NotFound(f"the image of task {task} cannot be shown: {error.reason.replace('_', ' ')}") from None
    if path is None:
        raise NotFound(f"task {task} has no image for this control")
    answer = send_file(path, mimetype="image/webp", max_age=KEPT_S, conditional=True)
    answer.headers["Cache-Control"] = f"private, max-age={KEPT_S}"
    return answer
