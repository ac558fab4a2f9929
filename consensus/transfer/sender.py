"""Images and tasks into Label Studio, each once, whatever happens to a request or to this program."""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from common.errors import LabelStudioError, LostAnswerError, RefusedError
from common.label_studio.client import TASK_ONLY, LabelStudioClient
from consensus.transfer.journal import Entry, Journal, State
from consensus.transfer.sources.records import LeftOut, Record
from consensus.transfer.targets import Target

LOOKS_SECONDS = (0.0, 5.0, 15.0, 40.0)
"""Pauses before each look at what has arrived, while a request whose answer was lost may be at work."""
SENDINGS = 3
_TOO_MANY_REQUESTS = httpx.codes.TOO_MANY_REQUESTS
_REFUSED_FOR_CONTENT = (httpx.codes.BAD_REQUEST, httpx.codes.REQUEST_ENTITY_TOO_LARGE)
_PREFIX_LENGTH = 24
_PREFIX = re.compile(rf"/[^/]*?-([0-9a-f]{{{_PREFIX_LENGTH}}})(?![0-9a-f])[^/]*$")
_NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Image:
    """An image that goes into a project.

    Attributes
    ----------
    key : str
        The checksum of its file, or the address at which it stays.
    address : str
        Where Label Studio finds it; "" until it is uploaded.
    ending : str
        Of its format.
    """

    record: Record
    key: str
    address: str = ""
    ending: str = ""
    n_bytes: int = 0

    @property
    def checksum(self) -> str:
        """Of its file; "" where it stays at an address."""
        return self.key if self.record.path else ""

    @property
    def upload_name(self) -> str:
        """Name of the uploaded file: the beginning of the checksum tells that it has arrived."""
        stem = re.sub(r"[^A-Za-z0-9]+", "-", self.record.path.stem if self.record.path else "").strip("-")
        return f"{self.key[:_PREFIX_LENGTH]}-{stem[:_NAME_LENGTH] or 'image'}{self.ending}"


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """A task of the project that an import made.

    Attributes
    ----------
    labels : object
        What its data holds under the key of the given label.
    """

    id: int
    source: str
    labels: Any


def read_tasks(client: LabelStudioClient, project_id: int) -> Iterator[dict[str, Any]]:
    """Read the data of a project's tasks."""
    return client.tasks(project_id, "id,data", fields=TASK_ONLY)


def key_of(task: Mapping[str, Any], target: Target) -> str:
    """Return the key of a task's image: the checksum of the file that was imported, or its address."""
    data = task.get("data") or {}
    return str(data.get("checksum") or data.get(target.image_key) or "")


def tasks_by_key(tasks: Iterable[Mapping[str, Any]], target: Target) -> dict[str, ImportedTask]:
    """Return tasks by the key of their image, of several the first."""
    by_key: dict[str, ImportedTask] = {}
    for task in tasks:
        data = task.get("data") or {}
        imported = ImportedTask(task["id"], str(data.get("source") or ""), data.get(target.given_key))
        by_key.setdefault(key_of(task, target), imported)
    return by_key


class Sender:
    """Sends images and tasks to one project, and looks what has arrived where an answer is lost.

    Parameters
    ----------
    sleep, clock : callable
        Seconds; the clock counts since 1970.
    """

    def __init__(
        self,
        client: LabelStudioClient,
        target: Target,
        journal: Journal,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._project_id, self._target, self._journal = (
            client,
            target.project_id or 0,
            target,
            journal,
        )
        self._sleep, self._clock, self._newest_id, self._is_unsure = sleep, clock, 0, False
        self.refused: list[LeftOut] = []
        self._refusing = threading.Lock()

    def there(self) -> dict[str, ImportedTask]:
        """Read the tasks of the project by the key of their image."""
        return self._by_key(read_tasks(self._client, self._project_id))

    def _by_key(self, tasks: Iterable[Mapping[str, Any]]) -> dict[str, ImportedTask]:
        by_key = tasks_by_key(tasks, self._target)
        self._newest_id = max([self._newest_id, *(task.id for task in by_key.values())])
        return by_key

    def _arrived(self, keys: Sequence[str], since_id: int, looks: Sequence[float]) -> dict[str, ImportedTask]:
        """Look for tasks that a request makes or has made, until all are there or the last look was taken."""
        self._is_unsure |= bool(looks)
        arrived: dict[str, ImportedTask] = {}
        for pause in looks:
            self._sleep(pause)
            arrived = self._by_key(self._client.tasks_after(self._project_id, "id,data", since_id))
            if all(key in arrived for key in keys):
                break
        return arrived

    def settle(self, there: dict[str, ImportedTask]) -> dict[str, Entry]:
        """Find out what an earlier import was sending when it was killed, and return the journal's images.

        Parameters
        ----------
        there : dict of str to ImportedTask
            What the project holds; what arrives meanwhile is added.
        """
        entries = self._journal.entries()
        unsure = [each for each in entries.values() if each.state == "sending" and each.key not in there]
        age = self._clock() - max((each.at for each in unsure), default=0.0)
        looks = [pause for pause in LOOKS_SECONDS[1:] if age < sum(LOOKS_SECONDS)] if unsure else []
        there |= self._arrived([each.key for each in unsure], self._newest_id, looks)
        uploads: dict[str, str] = {}
        if any(each.state == "uploading" for each in entries.values()):
            uploads = self._uploads_by_prefix()
        settled: dict[str, Entry] = {}
        for key, entry in entries.items():
            state: State = "done" if key in there or entry.state == "done" else "uploaded"
            address = entry.address or uploads.get(key[:_PREFIX_LENGTH], "")
            task_id = there[key].id if key in there else entry.task_id
            settled[key] = replace(entry, state=state, address=address, task_id=task_id)
        self._journal.note(settled[key] for key, entry in entries.items() if settled[key] != entry)
        return settled

    def doubled(self) -> list[str]:
        """Name tasks of one image, where a request may have been at work for longer than was waited."""
        if not self._is_unsure:
            return []
        ids: dict[str, list[int]] = {}
        imported = self._journal.entries()
        for task in read_tasks(self._client, self._project_id):
            ids.setdefault(key_of(task, self._target), []).append(task["id"])
        return [", ".join(map(str, tasks)) for key, tasks in ids.items() if key in imported and len(tasks) > 1]

    def _uploads_by_prefix(self, upload_ids: Sequence[int] | None = None) -> dict[str, str]:
        paths = self._client.uploads(self._project_id, upload_ids).values()
        return {match[1]: f"/data/{path}" for path in paths if (match := _PREFIX.search(f"/{path}"))}

    def upload(self, images: Sequence[Image]) -> list[int]:
        """Upload images in one request; return the ids of the uploads, fewer where Label Studio refuses some."""
        contents = [(image, content) for image in images if (content := self._content(image)) is not None]
        for attempt in range(SENDINGS):
            if not contents:
                return []
            self._note((image for image, _ in contents), "uploading")
            try:
                files = [(image.upload_name, content) for image, content in contents]
                return self._client.upload_images(self._project_id, files)
            except LabelStudioError as error:
                if _refused_for_content(error):
                    return self._halves([image for image, _ in contents], self.upload, str(error))
                if attempt == SENDINGS - 1 or not _may_be_tried_again(error):
                    raise
                self._sleep(LOOKS_SECONDS[attempt + 1])
                arrived = self._uploads_by_prefix() if _may_be_done(error) else {}
                contents = [each for each in contents if each[0].key[:_PREFIX_LENGTH] not in arrived]
        return []

    def _content(self, image: Image) -> bytes | None:
        path = image.record.path or Path()
        try:
            content = path.read_bytes()
        except OSError as error:
            self._refuse(image, f"the file cannot be read: {error.strerror}")
            return None
        if hashlib.sha256(content).hexdigest() != image.key:
            self._refuse(image, "the file was changed while it was imported")
            return None
        return content

    def addressed(self, images: Sequence[Image], upload_ids: Sequence[int]) -> list[Image]:
        """Return the images with the addresses of their uploads; those that were refused are left out."""
        by_prefix = self._uploads_by_prefix(upload_ids)
        missing = [each for each in images if not each.address and each.key[:_PREFIX_LENGTH] not in by_prefix]
        if missing:  # uploaded by a request whose answer was lost, or refused
            by_prefix = self._uploads_by_prefix() | by_prefix
        placed = [
            replace(each, address=each.address or by_prefix.get(each.key[:_PREFIX_LENGTH], "")) for each in images
        ]
        addressed = [each for each in placed if each.address]
        self._note(addressed, "uploaded")
        self._journal.forget([each.key for each in placed if not each.address])
        return addressed

    def make_tasks(self, images: Sequence[Image]) -> int:
        """Make the tasks of images that have an address, and return how many were made."""
        waiting = list(images)
        made = 0
        for attempt in range(SENDINGS):
            if not waiting:
                break
            since_id = self._newest_id
            self._note(waiting, "sending")
            tasks = [{"data": self._target.data(each.record, each.address, each.checksum)} for each in waiting]
            try:
                ids = self._client.make_tasks(self._project_id, tasks)
            except LabelStudioError as error:
                if _refused_for_content(error):
                    halves = self._halves(waiting, lambda half: [self.make_tasks(half)], str(error))
                    return made + sum(halves)
                if attempt == SENDINGS - 1 or not _may_be_tried_again(error):
                    raise
                looks = LOOKS_SECONDS if _may_be_done(error) else LOOKS_SECONDS[attempt + 1 : attempt + 2]
                arrived = self._arrived([each.key for each in waiting], since_id, looks)
                ids = [arrived[each.key].id for each in waiting if each.key in arrived]
                done = [each for each in waiting if each.key in arrived]
                waiting = [each for each in waiting if each.key not in arrived]
            else:
                done, waiting = waiting, []
            self._newest_id = max([self._newest_id, *ids])
            self._journal.note(
                Entry(each.key, each.record.source, "done", each.address, task_id, self._clock())
                for each, task_id in zip(done, ids, strict=True)
            )
            made += len(done)
        return made

    def _halves(
        self, images: Sequence[Image], send: Callable[[Sequence[Image]], list[int]], reason: str
    ) -> list[int]:
        """Send the halves of what was refused as a whole; what is refused alone is left out."""
        if len(images) > 1:
            middle = len(images) // 2
            return [*send(images[:middle]), *send(images[middle:])]
        self._refuse(images[0], reason)
        return []

    def _refuse(self, image: Image, reason: str) -> None:
        with self._refusing:
            self.refused.append(image.record.left_out("refused", reason))
        self._journal.forget([image.key])

    def _note(self, images: Iterable[Image], state: State) -> None:
        now = self._clock()
        self._journal.note(Entry(each.key, each.record.source, state, each.address, None, now) for each in images)


def _may_be_done(error: LabelStudioError) -> bool:
    """Whether Label Studio may have done what it answered an error to, or nothing."""
    failed = isinstance(error, RefusedError) and error.http_status >= httpx.codes.INTERNAL_SERVER_ERROR
    return failed or isinstance(error, LostAnswerError)


def _may_be_tried_again(error: LabelStudioError) -> bool:
    refused = isinstance(error, RefusedError) and error.http_status != _TOO_MANY_REQUESTS
    return _may_be_done(error) or not refused


def _refused_for_content(error: LabelStudioError) -> bool:
    return isinstance(error, RefusedError) and error.http_status in _REFUSED_FOR_CONTENT
