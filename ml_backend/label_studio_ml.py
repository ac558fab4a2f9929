"""The same model for teams that host label-studio-ml 2.x: a subclass of its ``LabelStudioMLBase``.

    from label_studio_ml.api import init_app
    from ml_backend.label_studio_ml import ResNetKMeans

    app = init_app(model_class=ResNetKMeans)

Suggestions, versions and settings are those of ``ml-backend serve``. ``fit`` notes the request and returns:
trainings run one at a time in processes of their own, so that an annotator's submit never waits for one.

The interface: ``label_studio_ml/model.py`` and ``response.py`` of
https://github.com/HumanSignal/label-studio-ml-backend, whose 2.x versions are not on the package index.
"""

import threading
import time
from pathlib import Path
from typing import Any

import structlog
from label_studio_ml import model as base
from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse
from werkzeug.exceptions import BadRequest

from ml_backend.backend import Backend
from ml_backend.core.controls import image_controls
from ml_backend.model_registry import ModelRegistry
from ml_backend.predict.predict import predict
from ml_backend.serving.routes import TRAINING_ACTIONS
from ml_backend.serving.unnamed import project_of
from ml_backend.settings import get_settings

# Its cache.db lies in MODEL_DIR, by default the current folder, and is looked for there at each use.
if isinstance(path := getattr(getattr(base, "CACHE", None), "path", None), str):
    base.CACHE.path = str(Path(path).absolute())

log = structlog.get_logger()

_starting = threading.Lock()
_started: list[Backend] = []


def backend() -> Backend:
    """Return this program's backend, from the environment's settings; it trains and loads in the background."""
    with _starting:
        if not _started:
            made = Backend(get_settings())
            made.start()
            _started.append(made)
        return _started[0]


class ResNetKMeans(LabelStudioMLBase):  # type: ignore[misc]  # ships no types
    """Suggestions from ResNet embeddings, clusters and what the annotators said."""

    def setup(self) -> None:
        """Name the version that answers for the project."""
        if project := _project(self.project_id):
            backend().requests.know(project)
            self.set("model_version", backend().version(project))

    def predict(
        self,
        tasks: list[dict[str, Any]],
        context: dict[str, Any] | None = None,  # noqa: ARG002 - interactive labelling, which choices have no use for
        **_: Any,  # noqa: ANN401 - whatever Label Studio's ``params`` hold
    ) -> ModelResponse:
        """Suggest choices.

        Parameters
        ----------
        tasks : list of dict
            As Label Studio sends them.

        Returns
        -------
        ModelResponse
            As many predictions as tasks, in their order; an empty list for a task with nothing to suggest.
        """
        ours, project = backend(), _project(self.project_id)
        if project is None:
            project = _unnamed(tasks, str(self.label_config or ""), ours.registry)
        done = predict(
            tasks,
            artifact=ours.registry.current(project) if project else None,
            controls=image_controls(self.label_config, ours.settings.renamed),
            gatherer=ours.gatherer,
            backbones=ours.backbones,
            deadline_s=ours.settings.predict_deadline_s,
            model_wait_s=ours.settings.model_wait_s,
            project_id=project or 0,
            ticking=ours.settings.ticking,
        )
        return ModelResponse(predictions=done.entries, model_version=ours.version(project or 0))

    def fit(self, event: str, data: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        """Ask for a training after an event that calls for one."""
        project = _project((data.get("project") or {}).get("id") or self.project_id)
        if project and event in TRAINING_ACTIONS:
            backend().requests.add(project, time.time())


def _unnamed(tasks: list[dict[str, Any]], label_config: str, registry: ModelRegistry) -> int | None:
    """Return the project of a request that names none, if there is one that it can be for."""
    try:
        project = project_of(tasks, label_config, registry)
    except BadRequest as error:
        log.warning("project_not_named", reason=error.description)
        return None
    return project.id if project else None


def _project(name: object) -> int | None:
    """Return a project's id from Label Studio's name for it, as in ``7.1795256176``; None if it names none."""
    number = str(name or "").split(".", 1)[0]
    return int(number) if number.isdecimal() else None
