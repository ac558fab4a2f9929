"""Lost webhooks: what Label Studio has now is compared with what it had when the last training began.

Label Studio sends an event once, waits a second, and forgets it; a backend that was down has missed it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from ml_backend.errors import MLBackendError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.training.training_requests import TrainingRequests

log = structlog.get_logger()


@dataclass(frozen=True)
class Standing:
    """What tells that the annotations of a project have changed.

    Parameters
    ----------
    stamp : str
        When the project was made.
    tasks, submitted, skipped : int
        Of the project; the last two are annotations.
    newest : str
        The last change of a task with annotations, ISO 8601; empty where there is none.
    """

    stamp: str
    tasks: int
    submitted: int
    skipped: int
    newest: str


def standing_of(client: LabelStudioClient, project_id: int) -> Standing:
    """Ask Label Studio, with two small requests.

    Raises
    ------
    LabelStudioError
        If it cannot be reached or does not know the project.
    """
    project = client.project(project_id)
    counts = project.counts
    return Standing(
        project.stamp,
        counts.tasks if counts else 0,
        counts.submitted if counts else 0,
        counts.skipped if counts else 0,
        client.newest_change(project_id),
    )


class Reconciliation:
    """Asks for the trainings whose events were lost.

    Parameters
    ----------
    data_dir : Path
    requests : TrainingRequests
    """

    def __init__(self, data_dir: Path, requests: TrainingRequests) -> None:
        self._projects, self._requests = data_dir / "projects", requests
        self._silent: set[int] = set()  # projects whose fault is in the log already

    def ask(self, client: LabelStudioClient, now: float) -> list[int]:
        """Request a training of each connected project that has changed since its last one.

        Parameters
        ----------
        client : LabelStudioClient
        now : float
            Seconds since the epoch.

        Returns
        -------
        list of int
            The projects. One that cannot be looked at is written to the log, once, and costs the others nothing.
        """
        found = []
        for project_id in self._requests.known():
            try:
                behind = self._behind(client, project_id)
            except MLBackendError as error:
                if project_id not in self._silent:
                    self._silent.add(project_id)
                    log.warning("project_not_reconciled", project=project_id, error=str(error))
                continue
            self._silent.discard(project_id)
            if behind:
                log.info("webhook_made_up_for", project=project_id)
                self._requests.add(project_id, now)
                found.append(project_id)
        return found

    def trained(self, project_id: int, standing: Standing | None) -> None:
        """Keep what a training began from; None where Label Studio could not be asked."""
        if standing is None:
            return
        path = self._path(project_id)
        unfinished = path.with_name(f".{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(asdict(standing)), "utf-8")
            unfinished.replace(path)
        except OSError as error:  # a full disk: the training has ended all the same, and the next look asks again
            log.warning("standing_not_kept", project=project_id, error=type(error).__name__)

    def _behind(self, client: LabelStudioClient, project_id: int) -> bool:
        standing = standing_of(client, project_id)
        if standing == self._seen(project_id) or not (standing.submitted or self._seen(project_id)):
            return False
        return bool(client.connections(project_id))  # a project that nobody has connected is trained by hand

    def _seen(self, project_id: int) -> Standing | None:
        try:
            return Standing(**json.loads(self._path(project_id).read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _path(self, project_id: int) -> Path:
        return self._projects / str(int(project_id)) / "standing.json"
