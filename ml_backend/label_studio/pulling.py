"""What a training learns from, read with few requests: only what has changed, where that is certain."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from common.label_studio import incremental_sync
from common.label_studio.incremental_sync import IncrementalSync
from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.label_studio.client import LabelStudioClient, Project, Task

Pulled = incremental_sync.Pulled[Task]


class Puller(IncrementalSync[Task]):
    """Reads projects for trainings. Only one program at a time may read a project.

    Parameters
    ----------
    data_dir : Path
        What was read of each project lies under ``projects/<id>/mirror.sqlite``.
    """

    def __init__(self, client: LabelStudioClient, data_dir: Path) -> None:
        super().__init__(_Source(client), _projects(data_dir))


class _Source:
    """Annotations and verdicts as the ML backend reads them, as JSON."""

    def __init__(self, client: LabelStudioClient) -> None:
        self._client, self.version_counts = client, client.version_counts

    def project(self, project_id: int) -> Project:
        return self._client.project(project_id)

    def tasks(
        self, project_id: int, *, since: datetime | None = None, with_predictions: bool = False
    ) -> Iterator[dict[str, Any]]:
        for task in self._client.annotated_tasks(project_id, since=since, with_verdicts=with_predictions):
            yield {
                "id": task.id,
                "data": task.data,
                "annotations": [vars(row) | {"was_cancelled": row.skipped} for row in task.annotations],
                "predictions": [vars(verdict) for verdict in task.verdicts],
            }

    def predictions(self, project_id: int, n_predictions: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for task_id, verdict in self._client.verdicts(project_id, n_predictions):
            yield task_id, vars(verdict)

    def task(self, cached: dict[str, Any]) -> Task:
        return Task(
            cached["id"],
            cached["data"],
            tuple(_annotation(row) for row in cached["annotations"]),
            tuple(Verdict(**row) for row in cached["predictions"]),
        )


def doubt(data_dir: Path, project_id: int) -> None:
    """Take note that something was deleted: the next reading of the project reads all."""
    incremental_sync.doubt(_projects(data_dir), project_id)


def _projects(data_dir: Path) -> Path:
    return data_dir / "projects"


def _annotation(row: dict[str, Any]) -> Annotation:
    choices = {control: tuple(chosen) for control, chosen in row.pop("choices").items()}
    del row["was_cancelled"]
    return Annotation(choices=choices, **row)
