"""Label Studio as trainings read it: tasks with their annotations, and what consensus says of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from common.label_studio import client as common_client
from common.label_studio.client import TASK_ONLY
from common.label_studio.incremental_sync import FIELDS, LEAN_FIELDS
from common.label_studio.rows import Counts, Project
from common.label_studio.session import Session
from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.settings import Settings

__all__ = ["Counts", "LabelStudioClient", "Project", "Task"]


@dataclass(frozen=True)
class Task:
    """A task with the annotations that were submitted for it, and perhaps what consensus says of it."""

    id: int
    data: dict[str, Any]
    annotations: tuple[Annotation, ...]
    verdicts: tuple[Verdict, ...] = ()


class LabelStudioClient(common_client.LabelStudioClient):
    """The Label Studio of the settings.

    Parameters
    ----------
    transport : httpx.BaseTransport, optional
        In place of the network.
    """

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        settings.require_label_studio()
        key = settings.label_studio_api_key.get_secret_value()
        super().__init__(Session(settings.label_studio_url, key, transport=transport))
        self._secret = settings.signing_key

    def annotated_tasks(self, project_id: int, *, with_verdicts: bool = False) -> Iterator[Task]:
        """Read the tasks of a project with their annotations, page by page.

        Parameters
        ----------
        with_verdicts : bool
            Read their predictions as well, which takes longer, and keep those of consensus.
        """
        return map(self.task_of, self.tasks(project_id, FIELDS if with_verdicts else LEAN_FIELDS))

    def task_of(self, row: Mapping[str, Any]) -> Task:
        """Read a task as Label Studio sends it."""
        verdicts = (Verdict.of(prediction, row["id"], self._secret) for prediction in row.get("predictions") or ())
        return Task(
            row["id"],
            row["data"] or {},
            tuple(Annotation.of(annotation) for annotation in row.get("annotations") or ()),
            tuple(verdict for verdict in verdicts if verdict is not None),
        )

    def tasks_alone(self, project_id: int) -> Iterator[Task]:
        """Read all tasks of a project without their annotations, which is several times as fast."""
        for task in self.tasks(project_id, "id,data", fields=TASK_ONLY):
            yield Task(task["id"], task["data"] or {}, ())
