"""Requested trainings as files, so that every worker can ask and one of them trains.

``projects/<id>/requested`` holds the time of the first event; its modification time is that of the last one. A
training that begins renames it to ``training``: events that come meanwhile make a new request, and so exactly one
more training.
"""

import contextlib
import os
from pathlib import Path

_REQUESTED, _TRAINING = "requested", "training"
_MOST_KNOWN = 10_000  # anybody who may ask can name projects


class TrainingRequests:
    """The requests of all projects under one folder.

    Parameters
    ----------
    data_dir : Path
    quiet_s : float
        Time without events after which a training starts.
    max_wait_s : float
        Time after the first event at which it starts whatever comes.
    """

    def __init__(self, data_dir: Path, quiet_s: float, max_wait_s: float) -> None:
        self._projects = data_dir / "projects"
        self._quiet_s, self._max_wait_s = quiet_s, max_wait_s

    def add(self, project_id: int, now: float) -> None:
        """Ask for a training.

        Parameters
        ----------
        project_id : int
        now : float
            Seconds since the epoch.
        """
        path = self._path(project_id, _REQUESTED)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), path.open("x") as file:
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
            if len(self.known()) >= _MOST_KNOWN:
                return False
            with contextlib.suppress(OSError):  # a full disk costs the reconciliation, not the answer
                folder.mkdir(parents=True, exist_ok=True)
        return True

    def known(self) -> list[int]:
        """Ids of the projects that were ever connected or trained."""
        names = (path.name for path in self._projects.glob("[0-9]*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def due(self, now: float) -> list[int]:
        """Ids of the projects whose training should start, longest waiting first."""
        waiting = []
        for project_id, path in self._found(_REQUESTED):
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

    def recover(self, now: float) -> None:
        """Ask again for the trainings that were begun and never ended, because their worker died."""
        for project_id, path in self._found(_TRAINING):
            self.add(project_id, now)
            path.unlink(missing_ok=True)

    def counts(self) -> tuple[int, int]:
        """Give how many projects wait for a training, and how many are in one."""
        return len(self._found(_REQUESTED)), len(self._found(_TRAINING))

    def _found(self, name: str) -> list[tuple[int, Path]]:
        """List the files of a name by project; a folder such as ``7.bak`` is nobody's."""
        paths = self._projects.glob(f"[0-9]*/{name}")
        return [(int(path.parent.name), path) for path in paths if path.parent.name.isdecimal()]

    def _path(self, project_id: int, name: str) -> Path:
        return self._projects / str(int(project_id)) / name
