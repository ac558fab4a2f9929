"""A project read with few requests: only what has changed since the last time, where that is certain.

Once a day all is read all the same and compared with what the changes came to, and a difference is logged.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from common.errors import LabelStudioError
from common.label_studio.annotations import moment_of
from common.label_studio.client import LabelStudioClient
from common.label_studio.rows import Project
from common.label_studio.task_cache import IN_MEMORY, Reading, TaskCache, is_locked

log = structlog.get_logger()

ANNOTATION_KEYS = (
    "id", "result", "completed_by", "was_cancelled", "ground_truth", "created_at", "updated_at", "lead_time",
    "parent_prediction", "updated_by",
)  # fmt: skip
PREDICTION_KEYS = ("id", "result", "model_version", "score", "created_at")
LEAN_FIELDS = f"data,annotations,{','.join(ANNOTATION_KEYS)}"
FIELDS = f"{LEAN_FIELDS},predictions,model_version,score"
"""Keys to ask for: `include` reaches into annotations and predictions as well."""
_REFRESHED = 2_000  # tasks; beyond, it is quicker to list the predictions of all
_OVERLAP = timedelta(seconds=30)  # for what was being written while the last reading began
_TRUSTED_FOR = timedelta(days=1)
_ATTEMPTS = 3  # to read at a moment in which nobody submits anything
_NAMED = 10  # tasks in a log line
_DOUBT, _DOUBTED = "deletions", "deletions-read"
_AGED = "all was last read over a day ago"

Advance = Callable[[int], None]
Versions = dict[str, tuple[int, str]]
Tasks = TypeVar("Tasks")


@dataclass(frozen=True)
class Pulled(Generic[Tasks]):
    """All tasks of a project.

    Parameters
    ----------
    tasks : Tasks
        What was made of them.
    read : int
        How many of them Label Studio was asked for.
    why_all : str
        Why that were all of them; empty where only changes were.
    wrong : tuple of int
        Tasks that a reading of the changes alone had not as they are.
    """

    tasks: Tasks
    read: int
    why_all: str = ""
    wrong: tuple[int, ...] = ()


class IncrementalSync(Generic[Tasks]):
    """Reads projects.

    Parameters
    ----------
    client : LabelStudioClient
    folder : Path or None
        What was read of each project lies in a folder of its id; without one, all is read each time.
    make : callable
        Makes of the cache, once it is up to date, what is returned. It holds Label Studio's JSON: ``id``,
        ``data``, ``annotations`` with `ANNOTATION_KEYS`, and ``predictions`` with `PREDICTION_KEYS`, both by id.
        What was read stays read where this fails.
    version_prefix : str
        Of the versions whose predictions are read.
    """

    def __init__(
        self,
        client: LabelStudioClient,
        folder: Path | None,
        make: Callable[[TaskCache], Tasks],
        version_prefix: str = "",
    ) -> None:
        self._client, self._folder, self._make, self._prefix = client, folder, make, version_prefix

    def pull(
        self,
        project: Project,
        config: str,
        now: datetime,
        advance: Advance = lambda _: None,
        accounts: Collection[int] = (),
    ) -> Pulled[Tasks]:
        """Read a project's tasks, annotations and predictions.

        All is read if the cache is damaged or missing, is older than a day, was read with another label config, if
        something was deleted, or if Label Studio counts other numbers of tasks and annotations than are in it. A
        cache that another program has open is left alone.

        Parameters
        ----------
        project : Project
            As read just before.
        config : str
            Digest of its label config.
        now : datetime
            Aware.
        advance : callable
            Told how many tasks have been read so far.
        accounts : collection of int
            Ids of all accounts.

        Raises
        ------
        LabelStudioError
            If Label Studio cannot be reached or refuses, or if tasks were deleted during each of several readings.
            Nothing is forgotten then.
        """
        state = project, config, now, sorted(accounts)
        if self._folder is None:
            return self._pull(IN_MEMORY, *state, advance, doubted=False)
        path = self._path(project)
        doubted = _take_doubt(path.parent)
        try:
            pulled = self._pull(path, *state, advance, doubted=doubted)
        except sqlite3.Error as error:
            log.warning("cache_not_used", project=project.id, error=str(error))
            if is_locked(error):
                return self._pull(IN_MEMORY, *state, advance, doubted=True)
            _delete(path)
            # What is not damaged cannot be written: a full disk, for example.
            renewed = IN_MEMORY if isinstance(error, sqlite3.OperationalError) else path
            pulled = self._pull(renewed, *state, advance, doubted=True)
        with contextlib.suppress(OSError):
            (path.parent / _DOUBTED).unlink()
        _sweep(path, now)
        return pulled

    def refresh(self, project: Project, task_ids: Collection[int], counts: Mapping[str, int]) -> None:
        """Read tasks again whose predictions were written, so that the next reading need not read those of all.

        Where this cannot be done, or there are too many, the next reading finds out by itself.

        Parameters
        ----------
        project : Project
        task_ids : collection of int
        counts : mapping of str to int
            How many predictions each version that was written has now. Where Label Studio counts others, somebody
            else has written as well, and the next reading lists the predictions of all tasks.
        """
        if self._folder is None or not 0 < len(task_ids) <= _REFRESHED:
            return
        try:
            with TaskCache(self._path(project)) as cache:
                reading = cache.reading()
                if reading is None:
                    return
                cache.put(map(self._kept, self._client.tasks_by_id(project.id, FIELDS, sorted(task_ids))))
                versions = self._client.version_counts(project.id)
                if all(versions.get(version, (0, ""))[0] == count for version, count in counts.items()):
                    written = {version: versions[version] for version in counts if version in versions}
                    others = {name: seen for name, seen in reading.versions.items() if name not in counts}
                    cache.note(replace(reading, versions=others | written))
        except (sqlite3.Error, LabelStudioError) as error:
            log.warning("cache_not_refreshed", project=project.id, error=str(error))

    def _path(self, project: Project) -> Path:
        """One file for each project that any Label Studio has had."""
        digest = hashlib.blake2b(f"{self._client.url}\n{project.id}\n{project.created_at}".encode(), digest_size=8)
        return Path(self._folder or "") / str(project.id) / f"tasks-{digest.hexdigest()}.sqlite"

    def _pull(
        self,
        path: Path,
        project: Project,
        config: str,
        now: datetime,
        accounts: list[int],
        advance: Advance,
        *,
        doubted: bool,
    ) -> Pulled[Tasks]:
        all_versions = self._client.version_counts(project.id)
        versions = {version: seen for version, seen in all_versions.items() if version.startswith(self._prefix)}
        n_predictions = sum(count for count, _ in all_versions.values())
        with TaskCache(path) as cache:
            last = cache.reading()
            why_all = _why_all(last, config, now, accounts, project, doubted=doubted)
            read, wrong = 0, tuple[int, ...]()
            if last and why_all in ("", _AGED):
                read = self._read_changes(cache, project, last, versions, n_predictions)
                why_all = why_all if read >= 0 else "the counts of tasks or annotations do not fit"
            if not last or why_all:
                before = cache.digests() if why_all == _AGED else {}
                read = self._read_all(cache, project, versions, n_predictions, advance)
                if before:
                    wrong = self._differing(cache, project, versions, before)
            cache.note(
                Reading(
                    config=config,
                    all_read_at=now if why_all or not last else last.all_read_at,
                    changes_since=project.read_at - _OVERLAP if project.read_at else None,
                    versions=versions,
                    accounts=accounts,
                )
            )
            cache.keep()
            return Pulled(self._make(cache), read, why_all, wrong)

    def _read_all(
        self, cache: TaskCache, project: Project, versions: Versions, n_predictions: int, advance: Advance
    ) -> int:
        def read() -> int:
            cache.clear()
            return cache.put(_counted(map(self._kept, self._client.tasks(project.id, LEAN_FIELDS)), advance))

        tasks = self._client.read_steadily(project.id, read, lambda number: number)
        if versions:
            self._read_predictions(cache, project, n_predictions)
        return tasks

    def _read_changes(
        self, cache: TaskCache, project: Project, last: Reading, versions: Versions, n_predictions: int
    ) -> int:
        """Read what has changed; return the number of tasks, or -1 if the cache does not fit even then."""
        with_predictions = bool(versions) and versions == last.versions
        fields, since = FIELDS if with_predictions else LEAN_FIELDS, last.changes_since or last.all_read_at
        for _ in range(_ATTEMPTS):
            read = cache.put(map(self._kept, self._client.changed_tasks(project.id, fields, since)))
            if cache.counts() == project.counts:
                break
            project = self._client.project(project.id)  # perhaps somebody has submitted meanwhile
            if cache.counts() == project.counts:
                break
        else:
            return -1
        if versions != last.versions:
            self._read_predictions(cache, project, n_predictions if versions else 0)
        return read

    def _read_predictions(self, cache: TaskCache, project: Project, n_predictions: int) -> None:
        """Read the predictions of all tasks: an import of them changes no task's time."""
        listed = self._client.predictions(project.id, n_predictions, self._prefix) if n_predictions else ()
        cache.put_predictions(
            (task_id, _only(row, PREDICTION_KEYS)) for task_id, row in listed if self._is_read(row)
        )

    def _is_read(self, prediction: Mapping[str, Any]) -> bool:
        return str(prediction.get("model_version")).startswith(self._prefix)

    def _kept(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the cache keeps of a task."""
        return {
            "id": task["id"],
            "data": task.get("data") or {},
            "updated_at": task.get("updated_at"),
            "annotations": [_only(row, ANNOTATION_KEYS) for row in task.get("annotations") or ()],
            "predictions": [
                _only(row, PREDICTION_KEYS) for row in task.get("predictions") or () if self._is_read(row)
            ],
        }

    def _differing(
        self, cache: TaskCache, project: Project, versions: Versions, before: Mapping[int, bytes]
    ) -> tuple[int, ...]:
        """Return the tasks that were not what they are, unless they have become so since."""
        after, changed = cache.digests(), cache.changed_at()
        versions_now = self._client.version_counts(project.id)
        if (
            self._client.project(project.id).counts != project.counts
            or not versions.items() <= versions_now.items()
        ):
            return ()  # somebody is at work: tomorrow is another day
        since = project.read_at - _OVERLAP if project.read_at else None
        wrong = tuple(
            sorted(
                number
                for number in before.keys() | after.keys()
                if before.get(number) != after.get(number)
                and not (since and number in changed and moment_of(changed[number]) >= since)
            )
        )
        if wrong:
            log.warning("cache_was_wrong", project=project.id, tasks=len(wrong), examples=wrong[:_NAMED])
        return wrong


def doubt(folder: Path, project_id: int) -> None:
    """Take note that something was deleted: the next reading of the project reads all."""
    path = folder / str(int(project_id)) / _DOUBT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _take_doubt(folder: Path) -> bool:
    """Tell whether something was deleted since the last reading that ended; what comes from now on is another."""
    with contextlib.suppress(OSError):  # most often there is none
        (folder / _DOUBT).replace(folder / _DOUBTED)
    return (folder / _DOUBTED).exists()


def _why_all(
    last: Reading | None, config: str, now: datetime, accounts: Collection[int], project: Project, *, doubted: bool
) -> str:
    """Tell why the cache is not enough to ask for changes only; empty if it is."""
    if last is None:
        return "the first reading"
    reasons = {
        "something was deleted": doubted,
        "the label config has changed": last.config != config,
        "an account was deleted": not set(last.accounts) <= set(accounts),
        "Label Studio tells neither counts nor the time": project.counts is None or last.changes_since is None,
        _AGED: not timedelta(0) <= now - last.all_read_at <= _TRUSTED_FOR,
    }
    return next((why for why, holds in reasons.items() if holds), "")


def _counted(tasks: Iterable[Mapping[str, Any]], advance: Advance) -> Iterator[Mapping[str, Any]]:
    for count, task in enumerate(tasks, start=1):
        advance(count)
        yield task


def _only(row: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: row.get(key) for key in keys}


def _sweep(path: Path, now: datetime) -> None:
    """Delete what was kept of other projects of this id, once nobody would trust it any more."""
    for other in path.parent.glob("*.sqlite"):
        with contextlib.suppress(OSError):
            if other != path and other.stat().st_mtime < (now - _TRUSTED_FOR).timestamp():
                _delete(other)


def _delete(path: Path) -> None:
    for file in (path, path.with_name(f"{path.name}-journal")):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
