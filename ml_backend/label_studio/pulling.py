"""What a training learns from, read with few requests: only what has changed, where that is certain."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from common.contract import VERSION_PREFIX
from ml_backend.label_studio.client import LabelStudioClient, Project, Task
from ml_backend.label_studio.mirror import IN_MEMORY, Mirror, Reading

log = structlog.get_logger()

_OVERLAP = timedelta(seconds=30)  # for what was being written while the last reading began
_TRUSTED_FOR = timedelta(days=1)
_ATTEMPTS = 3  # to read at a moment in which nobody submits anything
_DOUBT, _DOUBTED = "deletions", "deletions-read"

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Pulled:
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


class Puller:
    """Reads projects. Only one program at a time may read a project.

    Parameters
    ----------
    client : LabelStudioClient
    data_dir : Path
        A mirror of each project lies under ``projects/<id>/mirror.sqlite``.
    """

    def __init__(self, client: LabelStudioClient, data_dir: Path) -> None:
        self._client, self._data_dir = client, data_dir

    def pull(self, project: Project, config: str, now: datetime, advance: Advance = lambda _: None) -> Pulled:
        """Read a project's tasks, annotations and verdicts of consensus.

        All is read if the mirror is damaged or missing, older than a day, of another project or label config, if
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
        folder = self._data_dir / "projects" / str(project.id)
        path = folder / "mirror.sqlite"
        doubted = _take_doubt(folder)
        try:
            pulled = self._pull(path, project, config, now, advance, doubted=doubted)
        except sqlite3.Error as error:
            log.warning("mirror_made_anew", project=project.id, error=str(error))
            _delete(path)
            # What is not damaged cannot be written: a full disk, for example.
            anew = IN_MEMORY if isinstance(error, sqlite3.OperationalError) else path
            pulled = self._pull(anew, project, config, now, advance, doubted=True)
        (folder / _DOUBTED).unlink(missing_ok=True)
        return pulled

    def _pull(
        self, path: Path, project: Project, config: str, now: datetime, advance: Advance, *, doubted: bool
    ) -> Pulled:
        versions, n_predictions = self._consensus(project.id)
        with Mirror(path) as mirror:
            kept = mirror.reading()
            read, why_all = 0, _why_all(kept, project, config, now, doubted=doubted)
            if kept and not why_all:
                read = self._read_changes(mirror, project, kept, bool(versions) and versions == kept.versions)
                why_all = "" if read >= 0 else "the counts of tasks or annotations do not fit"
            if not kept or why_all:
                mirror.clear()
                read, kept = mirror.put(_told(self._client.annotated_tasks(project.id), advance)), None
            if versions != (kept.versions if kept else {}):
                mirror.put_verdicts(self._client.verdicts(project.id, n_predictions) if versions else ())
            mirror.note(
                Reading(
                    stamp=project.stamp,
                    config=config,
                    all_read_at=kept.all_read_at if kept else now,
                    changes_since=project.read_at - _OVERLAP if project.read_at else None,
                    versions=versions,
                )
            )
            return Pulled(list(mirror.tasks()), read, why_all)

    def _read_changes(self, mirror: Mirror, project: Project, kept: Reading, with_verdicts: bool) -> int:  # noqa: FBT001
        """Read what has changed; give the number of tasks, or -1 if the mirror does not fit even then."""
        for _ in range(_ATTEMPTS):
            changed = self._client.annotated_tasks(
                project.id, since=kept.changes_since, with_verdicts=with_verdicts
            )
            read = mirror.put(changed)
            if mirror.counts() == project.counts:
                return read
            project = self._client.project(project.id)  # perhaps somebody has submitted meanwhile
            if mirror.counts() == project.counts:
                return read
        return -1

    def _consensus(self, project_id: int) -> tuple[dict[str, tuple[int, str]], int]:
        """Give what Label Studio has of consensus by version, and how many predictions of all versions."""
        found = self._client.version_counts(project_id)
        ours = {version: seen for version, seen in found.items() if version.startswith(VERSION_PREFIX)}
        return ours, sum(count for count, _ in found.values())


def doubt(data_dir: Path, project_id: int) -> None:
    """Take note that something was deleted: the next reading of the project reads all."""
    path = data_dir / "projects" / str(int(project_id)) / _DOUBT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _take_doubt(folder: Path) -> bool:
    """Tell whether something was deleted since the last reading that ended; what comes from now on is another."""
    with contextlib.suppress(FileNotFoundError):
        (folder / _DOUBT).replace(folder / _DOUBTED)
    return (folder / _DOUBTED).exists()


def _why_all(kept: Reading | None, project: Project, config: str, now: datetime, *, doubted: bool) -> str:
    """Tell why the mirror is not enough to ask for changes only; empty if it is."""
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


def _told(tasks: Iterable[Task], advance: Advance) -> Iterator[Task]:
    for count, task in enumerate(tasks, start=1):
        advance(count)
        yield task


def _delete(path: Path) -> None:
    for one in (path, path.with_name(f"{path.name}-journal")):
        with contextlib.suppress(OSError):
            one.unlink(missing_ok=True)
