"""The project of a request that names none, as label-studio-ml's own tests and templates send."""

from collections.abc import Sequence
from typing import Any

from werkzeug.exceptions import BadRequest

from common.label_studio.label_config import config_digest
from ml_backend.core.controls import image_controls
from ml_backend.model_registry import Artifact, ModelRegistry
from ml_backend.predict.predict import is_task
from ml_backend.serving.schemas import ProjectName, named


def project_of(tasks: Sequence[Any], label_config: str, registry: ModelRegistry) -> ProjectName | None:
    """Return the project of the tasks, or else the one trained project that the label config fits.

    None where no project is trained or no task is one: there is nothing to suggest in any.

    Raises
    ------
    BadRequest
        If several fit, or none.
    """
    of_tasks = {named(task.get("project")) if isinstance(task, dict) else None for task in tasks}
    if len(of_tasks) == 1 and (project := of_tasks.pop()):
        return project
    if not any(is_task(task) for task in tasks):
        return None
    models = {number: model for number in registry.projects() if (model := registry.current(number))}
    same = [number for number, model in models.items() if model.label_config == config_digest(label_config)]
    fitting = same or [number for number, model in models.items() if _fits(model, label_config)]
    if models and len(fitting) != 1:
        which = f"several trained projects ({', '.join(map(str, fitting))})" if fitting else "no trained project"
        raise BadRequest(f'name the project, as in "project": "7": the label config fits {which}')
    return ProjectName(fitting[0]) if fitting else None


def _fits(model: Artifact, label_config: str) -> bool:
    trained = {scores.control.name: set(scores.control.labels) for scores in model.model.controls}
    return any(trained.get(control.name) == set(control.labels) for control in image_controls(label_config))
