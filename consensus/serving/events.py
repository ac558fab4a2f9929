"""The route that Label Studio's webhook calls: tasks that came are annotated by the rules of `consensus auto`."""

import threading
from typing import Any

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint

from common.serving.refusals import Problem
from consensus.assist.auto import auto
from consensus.assist.auto_rules import read_auto
from consensus.serving import schemas
from consensus.serving.acts import now, performed_row
from consensus.serving.service import Service, service

events = APIBlueprint("events", __name__, operation_id_callback=lambda *, name, **_: name)
CAME = "TASKS_CREATED"
WHO = "webhook"


class Arrivals:
    """Tasks that came to projects and that nothing has looked at yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[int, set[int]] = {}

    def add(self, project: int, tasks: set[int]) -> None:
        """Note tasks that came."""
        with self._lock:
            self._tasks.setdefault(project, set()).update(tasks)

    def take(self, project: int) -> list[int]:
        """Return them all, once."""
        with self._lock:
            return sorted(self._tasks.pop(project, ()))


ARRIVALS = Arrivals()


@events.post("/webhook", responses={200: schemas.Noted, **dict.fromkeys((400, 413, 415, 503), Problem)})
def webhook(body: schemas.Event) -> Response:
    """Take note of tasks that came, and answer at once; where the settings name rules, they are annotated then."""
    here, project = service(), body.project.id if body.project else None
    tasks = {task.id for task in body.tasks}
    if body.action != CAME or project is None or not tasks or here.config(project).auto is None:
        return jsonify(status="ignored")
    ARRIVALS.add(project, tasks)
    here.background.submit(project, "auto", WHO, lambda: _annotate(here, project), joins=True)
    return jsonify(status="noted")


def _annotate(here: Service, project: int) -> dict[str, Any]:
    config, tasks = here.config(project), ARRIVALS.take(project)
    if config.auto is None or not tasks:
        return {"tasks": len(tasks), "accepted": 0, "pending": 0, "batches": []}
    with here.studio() as studio:
        outcome = auto(studio, here.store, config, read_auto(config.auto), project, now, tasks=tasks)
    here.suggested.forget(project)
    return {
        "tasks": len(tasks),
        "accepted": len(outcome.accepted),
        "pending": len(outcome.pending),
        "batches": [performed_row(outcome.performed)] if outcome.performed else [],
    }
