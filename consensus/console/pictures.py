"""Small pictures of tasks: made once, kept on disk, and served by us with the rights of the page."""

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from flask import Blueprint, Response, request, send_file
from PIL import Image, ImageOps
from werkzeug.exceptions import NotFound

from common.errors import FetchError, SuiteError
from common.files import write_whole
from common.images.fetch import Fetcher
from common.label_studio.label_config import value_at
from consensus.console.access import Role, needs
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
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")

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
        FetchError, UnreadableError
            With a short reason.
        SuiteError
            Where Label Studio cannot be asked.
        """
        self.expect(project, [task])
        with self._lock:
            address = self._addresses.get((project, task), {}).get(control)
        if not address:
            return None
        name = hashlib.sha256(f"{project}\n{task}\n{address}\n{size}".encode()).hexdigest()
        path = self._folder / name[:2] / f"{name}.webp"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, small(self._fetched(address, task), SIDES[size]), alone=True)
        return path

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


def small(content: bytes, side: int) -> bytes:
    """Make a small picture of an image, upright, as WebP.

    Raises
    ------
    FetchError
        With reason ``not_an_image``.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((side, side))
            made = io.BytesIO()
            upright.convert("RGBA" if "A" in upright.getbands() else "RGB").save(made, "WEBP", quality=80)
    except Exception:  # noqa: BLE001 - a decoder fails in any way on what a stranger made
        raise FetchError("not_an_image") from None
    return made.getvalue()


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
    except FetchError as error:
        raise NotFound(f"the image of task {task} cannot be shown: {error}") from None
    if path is None:
        raise NotFound(f"task {task} has no image for this control")
    answer = send_file(path, mimetype="image/webp", max_age=KEPT_S, conditional=True)
    answer.headers["Cache-Control"] = f"private, max-age={KEPT_S}"
    return answer
