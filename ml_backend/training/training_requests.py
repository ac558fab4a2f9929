"""Requested trainings as files, so that every worker can ask and one of them trains.

``projects/<id>/requested`` holds the time of the first event; its modification time is that of the last one. A
training that begins renames it to ``training``: events that come meanwhile make a new request, and so exactly one
more training. Label Studio sends an event once, waits a second, and forgets it: ``Reconciliation`` finds what a
backend that was down has missed, by what Label Studio had when the last training began.
"""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import httpx
import structlog

from common.errors import SuiteError
from common.files import write_whole
from ml_backend.core.controls import image_controls
from ml_backend.errors import RefusedError
from ml_backend.label_studio.client import LabelStudioClient, Project
from ml_backend.label_studio.ownership import owns
from ml_backend.settings import Settings
from ml_backend.training.training_set import with_given

log = structlog.get_logger()

_SAMPLE = 100  # tasks
_REQUESTED, _TRAINING, _GONE = "requested", "training", "gone"
_MOST_KNOWN = 10_000  # anybody who may ask can name projects


class TrainingRequests:
    """The requests of all projects under one folder.

    Parameters
    ----------
    quiet_s : float
        Time without events after which a training starts.
    max_wait_s : float
        Time after the first event at which it starts whatever comes.
    """

    def __init__(self, data_dir: Path, quiet_s: float, max_wait_s: float) -> None:
        self._projects = data_dir / "projects"
        self._quiet_s, self._max_wait_s = quiet_s, max_wait_s
        self._count, self._count_again_at = 0, 0.0

    def add(self, project_id: int, now: float) -> None:
        """Ask for a training.

        Parameters
        ----------
        now : float
            Seconds since the epoch.
        """
        path = self._path(project_id, _REQUESTED)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path(project_id, _GONE).unlink(missing_ok=True)
        # Without a folder it was dismissed this moment: Label Studio has no such project.
        with contextlib.suppress(FileExistsError, FileNotFoundError), path.open("x") as file:
            file.write(repr(now))
        with contextlib.suppress(
            FileNotFoundError
        ):  # taken this moment: the training sees this event's annotation
            os.utime(path, (now, now))

    def know(self, project_id: int) -> bool:
        """Remember that a project has met this backend, so that lost events are looked for.

        Returns
        -------
        bool
            False if there are too many already: whoever may ask can name any number.
        """
        folder = self._path(project_id, _REQUESTED).parent
        if not folder.is_dir():
            if not self._has_room():
                return False
            with contextlib.suppress(OSError):  # a full disk costs the reconciliation, not the answer
                folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            self._path(project_id, _GONE).unlink(missing_ok=True)
        return True

    def named(self) -> set[int]:
        """Ids of all projects that somebody has named, the forgotten ones too."""
        with contextlib.suppress(FileNotFoundError):
            return {int(path.name) for path in self._projects.iterdir() if path.name.isdecimal()}
        return set()

    def dismiss(self, project_id: int) -> bool:
        """Delete what is kept of a project that Label Studio does not have; False if it was trained before."""
        folder = self._path(project_id, _REQUESTED).parent
        with contextlib.suppress(OSError):
            for name in (_REQUESTED, _TRAINING, _GONE):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        self._count_again_at = 0.0
        return not folder.exists()

    def forget(self, project_id: int) -> None:
        """Leave a project alone that Label Studio does not have, until it meets this backend again."""
        with contextlib.suppress(OSError):
            self._path(project_id, _GONE).touch()

    def projects(self) -> list[int]:
        """Ids of the projects that were ever connected or trained, but for the forgotten ones."""
        folders = (path for path in self._projects.glob("[0-9]*") if path.name.isdecimal())
        return sorted(int(folder.name) for folder in folders if not (folder / _GONE).exists())

    def due(self, now: float) -> list[int]:
        """Ids of the projects whose training should start, longest waiting first."""
        waiting = []
        for project_id, path in self._files(_REQUESTED):
            try:
                last, first = path.stat().st_mtime, float(path.read_text() or now)
            except (FileNotFoundError, ValueError):
                continue
            if now - last >= self._quiet_s or now - first >= self._max_wait_s:
                waiting.append((first, project_id))
        return [project_id for _, project_id in sorted(waiting)]

    def begin(self, project_id: int) -> None:
        """Take a request: what is asked from now on is a new one."""
        self._path(project_id, _REQUESTED).replace(self._path(project_id, _TRAINING))

    def end(self, project_id: int) -> None:
        """Mark the training as done."""
        self._path(project_id, _TRAINING).unlink(missing_ok=True)

    def drop(self, project_id: int) -> None:
        """Take a request back."""
        self.begin(project_id)
        self.end(project_id)

    def recover(self, now: float) -> None:
        """Ask again for the trainings that were begun and never ended, because their worker died."""
        for project_id, path in self._files(_TRAINING):
            self.add(project_id, now)
            path.unlink(missing_ok=True)

    def counts(self) -> tuple[int, int]:
        """Return how many projects wait for a training, and how many are in one."""
        return len(self._files(_REQUESTED)), len(self._files(_TRAINING))

    def _has_room(self) -> bool:
        """Return whether one more project may be remembered; the folders are counted once in a second."""
        if time.monotonic() >= self._count_again_at:
            self._count, self._count_again_at = len(self.named()), time.monotonic() + 1
        self._count += 1
        return self._count <= _MOST_KNOWN

    def _files(self, name: str) -> list[tuple[int, Path]]:
        """List the files of a name by project; a folder such as ``7.bak`` is nobody's."""
        paths = self._projects.glob(f"[0-9]*/{name}")
        return [(int(path.parent.name), path) for path in paths if path.parent.name.isdecimal()]

    def _path(self, project_id: int, name: str) -> Path:
        return self._projects / str(int(project_id)) / name


@dataclass(frozen=True)
class ProjectState:
    """What tells that the annotations of a project have changed.

    Parameters
    ----------
    stamp : str
        When the project was made.
    tasks, submitted, skipped : int
        Of the project; the last two are annotations.
    newest : str
        The last change of a task with annotations, ISO 8601; empty where there is none.
    names : str
        What embeds the names of the labels, and how, while there are no annotations.
    """

    stamp: str
    tasks: int
    submitted: int
    skipped: int
    newest: str
    names: str = ""


def project_state(client: LabelStudioClient, project_id: int, settings: Settings) -> ProjectState:
    """Ask Label Studio, with two small requests.

    Raises
    ------
    LabelStudioError
        If it cannot be reached or does not know the project.
    """
    return _state_of(client, client.project(project_id), settings)


def _state_of(client: LabelStudioClient, project: Project, settings: Settings) -> ProjectState:
    counts = project.counts
    return ProjectState(
        project.stamp,
        counts.tasks if counts else 0,
        counts.submitted if counts else 0,
        counts.skipped if counts else 0,
        client.newest_change(project.id),
        repr((settings.zero_shot, settings.zero_shot_prompts))
        if settings.zero_shot and not (counts and counts.submitted)
        else "",
    )


def _have_given(client: LabelStudioClient, settings: Settings, project: Project) -> bool:
    """Return whether the first tasks of a project came with labels."""
    config = project.label_config
    tasks = list(islice(client.tasks_alone(project.id), _SAMPLE))
    controls = with_given(image_controls(config), config, tasks, settings.given, settings.renamed)
    return any(control.given_key for control in controls)


class Reconciliation:
    """Asks for the trainings whose events were lost."""

    def __init__(self, settings: Settings, requests: TrainingRequests) -> None:
        self._settings, self._projects = settings, settings.data_dir / "projects"
        self._requests = requests
        self._silent: set[int] = set()  # projects whose fault is in the log already

    def ask(self, client: LabelStudioClient, now: float) -> list[int]:
        """Request a training of each connected project that has changed since its last one.

        Parameters
        ----------
        now : float
            Seconds since the epoch.

        Returns
        -------
        list of int
            The projects. One that cannot be looked at is written to the log, once, and costs the others nothing;
            one that was deleted is not asked for again.
        """
        project_ids = []
        for project_id in self._requests.projects():
            try:
                behind = self._behind(client, project_id)
            except SuiteError as error:
                if isinstance(error, RefusedError) and error.http_status == httpx.codes.NOT_FOUND:
                    log.info("project_gone", project=project_id)
                    self._requests.forget(project_id)
                elif project_id not in self._silent:
                    self._silent.add(project_id)
                    log.warning("project_not_reconciled", project=project_id, error=str(error))
                continue
            self._silent.discard(project_id)
            if behind:
                log.info("webhook_made_up_for", project=project_id)
                self._requests.add(project_id, now)
                project_ids.append(project_id)
        return project_ids

    def trained(self, project_id: int, state: ProjectState | None) -> None:
        """Keep what a training began from; None where Label Studio could not be asked."""
        if state is None:
            return
        try:
            write_whole(self._path(project_id), json.dumps(asdict(state)), alone=True)
        except OSError as error:  # a full disk: the training has ended all the same, and the next look asks again
            log.warning("project_state_not_kept", project=project_id, error=type(error).__name__)

    def _behind(self, client: LabelStudioClient, project_id: int) -> bool:
        project = client.project(project_id)
        state, seen = _state_of(client, project, self._settings), self._seen(project_id)
        may_begin = state.submitted or seen or state.names
        if state == seen or not (may_begin or _have_given(client, self._settings, project)):
            return False
        return owns(client, self._settings, project_id)  # another one is trained by hand

    def _seen(self, project_id: int) -> ProjectState | None:
        try:
            return ProjectState(**json.loads(self._path(project_id).read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _path(self, project_id: int) -> Path:
        return self._projects / str(int(project_id)) / "standing.json"
