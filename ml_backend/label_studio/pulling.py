"""What a training learns from, read with few requests: only what has changed, where that is certain."""

from pathlib import Path

from common.contract import VERSION_PREFIX
from common.label_studio import incremental_sync
from common.label_studio.incremental_sync import IncrementalSync
from ml_backend.label_studio.client import LabelStudioClient, Task

Pulled = incremental_sync.Pulled[list[Task]]


class Puller(IncrementalSync[list[Task]]):
    """Reads projects for trainings.

    Parameters
    ----------
    data_dir : Path
        What was read of each project lies under ``projects/<id>``.
    """

    def __init__(self, client: LabelStudioClient, data_dir: Path) -> None:
        super().__init__(
            client, _projects(data_dir), lambda cache: list(cache.tasks(client.task_of)), VERSION_PREFIX
        )


def doubt(data_dir: Path, project_id: int) -> None:
    """Take note that something was deleted: the next reading of the project reads all."""
    incremental_sync.doubt(_projects(data_dir), project_id)


def _projects(data_dir: Path) -> Path:
    return data_dir / "projects"
