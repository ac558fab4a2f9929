"""Label Studio as trainings read it: tasks with their annotations, and what consensus says of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from common.contract import VERSION_PREFIX
from common.label_studio import client as common_client
from common.label_studio.client import TASK_ONLY
from common.label_studio.rows import Counts, Project
from common.label_studio.session import Session
from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.settings import Settings

__all__ = ["Counts", "LabelStudioClient", "Project", "Task"]

_LEAN = "id,data,annotations,completed_by,created_at,updated_at,was_cancelled,ground_truth,result"
_WITH_VERDICTS = f"{_LEAN},predictions,model_version,score"


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

    def annotated_tasks(
        self, project_id: int, *, since: datetime | None = None, with_verdicts: bool = False
    ) -> Iterator[Task]:
        """Read the tasks of a project with their annotations, page by page.

        Parameters
        ----------
        since : datetime, optional
            Only those changed later; aware, by Label Studio's clock. What was deleted is not among them.
        with_verdicts : bool
            Read their predictions as well, which takes longer, and keep those of consensus.
        """
        include = _WITH_VERDICTS if with_verdicts else _LEAN
        tasks = self.changed_tasks(project_id, include, since) if since else self.tasks(project_id, include)
        for task in tasks:
            verdicts = (
                Verdict.of(prediction, task["id"], self._secret) for prediction in task.get("predictions") or ()
            )
            yield Task(
                task["id"],
                task["data"] or {},
                tuple(Annotation.of(row) for row in task.get("annotations") or ()),
                tuple(verdict for verdict in verdicts if verdict is not None),
            )

    def tasks_alone(self, project_id: int) -> Iterator[Task]:
        """Read all tasks of a project without their annotations, which is several times as fast."""
        for task in self.tasks(project_id, "id,data", fields=TASK_ONLY):
            yield Task(task["id"], task["data"] or {}, ())

    def verdicts(self, project_id: int, n_predictions: int) -> Iterator[tuple[int, Verdict]]:
        """Read all that consensus says, by task; ``n_predictions`` counts those of all versions."""
        for task_id, prediction in self.predictions(project_id, n_predictions, VERSION_PREFIX):
            if (verdict := Verdict.of(prediction, task_id, self._secret)) is not None:
                yield task_id, verdict
