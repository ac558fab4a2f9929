"""A project read with few requests: only what has changed since the last time, where that is certain."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import structlog

from common.contract import VERSION_PREFIX
from common.label_studio.rows import Project
from common.label_studio.task_cache import IN_MEMORY, Reading, TaskCache

log = structlog.get_logger()

_OVERLAP = timedelta(seconds=30)  # for what was being written while the last reading began
_TRUSTED_FOR = timedelta(days=1)
_ATTEMPTS = 3  # to read at a moment in which nobody submits anything
_DOUBT, _DOUBTED = "deletions", "deletions-read"

Advance = Callable[[int], None]
Task = TypeVar("Task")
Task_co = TypeVar("Task_co", covariant=True)


@dataclass(frozen=True)
class Pulled(Generic[Task]):
    """All tasks of a project.

    Parameters
    ----------
    tasks : list of Task
        By id.
    read : int
        How many of them Label Studio was asked for.
    why_all : str
        Why that were all of them; empty where only changes were.
    """

    tasks: list[Task]
    read: int
    why_all: str = ""


class Source(Protocol[Task_co]):
    """What a program reads of Label Studio, as the JSON that ``TaskCache`` keeps, and what it makes of that."""

    def project(self, project_id: int) -> Project:
        """Read a project."""

    def version_counts(self, project_id: int) -> dict[str, tuple[int, str]]:
        """Count the predictions of each version, and tell when the latest one was made."""

    def tasks(
        self, project_id: int, *, since: datetime | None = None, with_predictions: bool = False
    ) -> Iterator[Mapping[str, Any]]:
        """Read all tasks, or those changed later; without their predictions, unless these are asked for."""

    def predictions(self, project_id: int, n_predictions: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Read the predictions of consensus, each with its task; an import of them changes no task's time."""

    def task(self, kept: dict[str, Any]) -> Task_co:
        """Make a task of what was kept of it."""


class IncrementalSync(Generic[Task]):
    """Reads projects. Only one program at a time may read a project.

    Parameters
    ----------
    source : Source
    folder : Path
        What was read of each project lies under ``<id>/mirror.sqlite``.
    """

    def __init__(self, source: Source[Task], folder: Path) -> None:
        self._source, self._folder = source, folder

    def pull(
        self, project: Project, config: str, now: datetime, advance: Advance = lambda _: None
    ) -> Pulled[Task]:
        """Read a project's tasks, annotations and predictions of consensus.

        All is read if the cache is damaged or missing, older than a day, of another project or label config, if
        something was deleted, or if Label Studio counts other numbers of tasks and annotations than are in it.

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

        Raises
        ------
        LabelStudioError
            If Label Studio cannot be reached or refuses. Nothing is forgotten then.
        """
        folder = self._folder / str(project.id)
        path = folder / "mirror.sqlite"
        doubted = _take_doubt(folder)
        try:
            pulled = self._pull(path, project, config, now, advance, doubted=doubted)
        except sqlite3.Error as error:
            log.warning("cache_made_anew", project=project.id, error=str(error))
            _delete(path)
            # What is not damaged cannot be written: a full disk, for example.
            anew = IN_MEMORY if isinstance(error, sqlite3.OperationalError) else path
            pulled = self._pull(anew, project, config, now, advance, doubted=True)
        (folder / _DOUBTED).unlink(missing_ok=True)
        return pulled

    def _pull(
        self, path: Path, project: Project, config: str, now: datetime, advance: Advance, *, doubted: bool
    ) -> Pulled[Task]:
        versions, n_predictions = self._consensus(project.id)
        with TaskCache(path) as cache:
            kept = cache.reading()
            read, why_all = 0, _why_all(kept, project, config, now, doubted=doubted)
            if kept and not why_all:
                read = self._read_changes(cache, project, kept, bool(versions) and versions == kept.versions)
                why_all = "" if read >= 0 else "the counts of tasks or annotations do not fit"
            if not kept or why_all:
                cache.clear()
                read, kept = cache.put(_counted(self._source.tasks(project.id), advance)), None
            if versions != (kept.versions if kept else {}):
                cache.put_predictions(self._source.predictions(project.id, n_predictions) if versions else ())
            cache.note(
                Reading(
                    stamp=project.stamp,
                    config=config,
                    all_read_at=kept.all_read_at if kept else now,
                    changes_since=project.read_at - _OVERLAP if project.read_at else None,
                    versions=versions,
                )
            )
            return Pulled(list(cache.tasks(self._source.task)), read, why_all)

    def _read_changes(self, cache: TaskCache, project: Project, kept: Reading, with_predictions: bool) -> int:  # noqa: FBT001
        """Read what has changed; give the number of tasks, or -1 if the cache does not fit even then."""
        for _ in range(_ATTEMPTS):
            changed = self._source.tasks(project.id, since=kept.changes_since, with_predictions=with_predictions)
            read = cache.put(changed)
            if cache.counts() == project.counts:
                return read
            project = self._source.project(project.id)  # perhaps somebody has submitted meanwhile
            if cache.counts() == project.counts:
                return read
        return -1

    def _consensus(self, project_id: int) -> tuple[dict[str, tuple[int, str]], int]:
        """Give what Label Studio has of consensus by version, and how many predictions of all versions."""
        counts = self._source.version_counts(project_id)
        of_consensus = {version: seen for version, seen in counts.items() if version.startswith(VERSION_PREFIX)}
        return of_consensus, sum(count for count, _ in counts.values())


def doubt(folder: Path, project_id: int) -> None:
    """Take note that something was deleted: the next reading of the project reads all."""
    path = folder / str(int(project_id)) / _DOUBT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _take_doubt(folder: Path) -> bool:
    """Tell whether something was deleted since the last reading that ended; what comes from now on is another."""
    with contextlib.suppress(FileNotFoundError):
        (folder / _DOUBT).replace(folder / _DOUBTED)
    return (folder / _DOUBTED).exists()


def _why_all(kept: Reading | None, project: Project, config: str, now: datetime, *, doubted: bool) -> str:
    """Tell why the cache is not enough to ask for changes only; empty if it is."""
    if kept is None:
        return "the first reading"
    reasons = {
        "something was deleted": doubted,
        "another project had its id": kept.stamp != project.stamp,
        "the label config has changed": kept.config != config,
        "Label Studio tells neither counts nor the time": project.counts is None or kept.changes_since is None,
        "all was last read over a day ago": not timedelta(0) <= now - kept.all_read_at <= _TRUSTED_FOR,
    }
    return next((why for why, holds in reasons.items() if holds), "")


def _counted(tasks: Iterable[Mapping[str, Any]], advance: Advance) -> Iterator[Mapping[str, Any]]:
    for count, task in enumerate(tasks, start=1):
        advance(count)
        yield task


def _delete(path: Path) -> None:
    for one in (path, path.with_name(f"{path.name}-journal")):
        with contextlib.suppress(OSError):
            one.unlink(missing_ok=True)
