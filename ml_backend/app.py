"""The routes that Label Studio calls: https://labelstud.io/guide/ml_create and the ML connector of its source."""

import time
from typing import Annotated, Any

import structlog
from flask import Blueprint, Flask, Response, current_app, g, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from werkzeug.exceptions import BadRequest, HTTPException

from ml_backend import metrics
from ml_backend.backend import Backend
from ml_backend.core.versions import newest_first
from ml_backend.label_studio import choices_controls
from ml_backend.predicting import predict
from ml_backend.settings import get_settings
from ml_backend.training import config_digest

log = structlog.get_logger()
routes = Blueprint("ml_backend", __name__)

ProjectId = Annotated[int, Field(ge=1, le=2**63 - 1)]
TRAINING_ACTIONS = frozenset(
    {
        "START_TRAINING",
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "TASKS_CREATED",  # annotations that are imported with their tasks have no event of their own
        "TASKS_DELETED",
    }
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _ProjectBody(_Body):
    """A project is named ``7.1795256176``: its id and the time it was made."""

    project: ProjectId

    @field_validator("project", mode="before")
    @classmethod
    def _id(cls, value: object) -> object:
        return str(value).split(".", 1)[0]


class _Predict(_ProjectBody):
    tasks: list[Any]
    label_config: str = ""


class _WebhookProject(_Body):
    id: ProjectId
    label_config: str = ""


class _Webhook(_Body):
    action: str
    project: _WebhookProject | None = None


def create_app(backend: Backend | None = None) -> Flask:
    """Make the application.

    Parameters
    ----------
    backend : Backend, optional
        Its parts; from the environment's settings if left out. Start it to train and load in the background.
    """
    backend = backend or Backend(get_settings())
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = backend.settings.max_request_bytes
    app.extensions["ml_backend"] = backend
    app.register_blueprint(routes)
    app.before_request(_began)
    app.after_request(_count)
    app.register_error_handler(ValidationError, _invalid)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Exception, _failed)
    return app


@routes.get("/")
@routes.get("/health")
def health() -> Response:
    """Say that the backend is up, and what answers. Touches neither the model nor Label Studio."""
    backend = _backend()
    settings, loader = backend.settings, backend.loader
    return jsonify(
        status="UP",
        model_class="ResNetKMeans",
        backbone=settings.backbone,
        weights=loader.weights_id,
        model_loaded=loader.loaded,
        error=loader.error,
        label_studio="not configured: " + ", ".join(settings.missing) if settings.missing else "configured",
    )


@routes.post("/setup")
def setup() -> Response:
    """Name the version that answers for a project. The token and address in the request are not used."""
    project_id = _ProjectBody.model_validate(_json()).project
    return jsonify(model_version=_backend().version(project_id))


@routes.post("/predict")
def predict_tasks() -> Response:
    """Suggest labels: as many entries as tasks, in their order."""
    body = _Predict.model_validate(_json())
    backend = _backend()
    with structlog.contextvars.bound_contextvars(project=body.project):
        done = predict(
            body.tasks,
            artifact=backend.artifacts.current(body.project),
            controls=choices_controls(body.label_config),
            gatherer=backend.gatherer,
            loader=backend.loader,
            deadline_s=backend.settings.predict_deadline_s,
            model_wait_s=backend.settings.model_wait_s,
        )
    metrics.TASKS.labels("suggested").inc(len(done.entries) - len(done.reasons))
    metrics.TASKS.labels("empty").inc(len(done.reasons))
    for reason in (*done.reasons.values(), *done.partial.values()):
        metrics.FAILURES.labels(reason).inc()
    metrics.EMBEDDINGS.labels("computed").inc(done.embedded)
    metrics.EMBEDDINGS.labels("cache").inc(done.cached)
    return jsonify(results=done.entries)


@routes.post("/webhook")
def webhook() -> Response:
    """Take note that a project changed, and answer at once."""
    body = _Webhook.model_validate(_json())
    wanted = body.project is not None and _calls_for_training(body.action, body.project)
    if wanted and body.project is not None:
        _backend().requests.add(body.project.id, time.time())
    return jsonify(status="training requested" if wanted else "ignored")


@routes.get("/versions")
def versions() -> Response:
    """List the trained versions, newest first; of one project with ``?project=``."""
    artifacts = _backend().artifacts
    given = request.args.get("project")
    asked = None if given is None else _ProjectBody.model_validate({"project": given}).project
    of_project = {
        str(project_id): artifacts.versions(project_id)
        for project_id in ([asked] if asked is not None else artifacts.projects())
    }
    names = [name for found in of_project.values() for name in found]
    return jsonify(versions=newest_first(names), projects=of_project)


@routes.get("/metrics")
def show_metrics() -> Response:
    """Show the counts in Prometheus' format."""
    return Response(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _calls_for_training(action: str, project: _WebhookProject) -> bool:
    if action in TRAINING_ACTIONS:
        return True
    if action != "PROJECT_UPDATED":
        return False
    # Our own change of the project's version is an update too, and must not train again.
    trained = _backend().artifacts.current(project.id)
    return trained is not None and trained.label_config != config_digest(project.label_config)


def _backend() -> Backend:
    backend: Backend = current_app.extensions["ml_backend"]
    return backend


def _json() -> Any:  # noqa: ANN401 - checked by the model that takes it
    try:
        return request.get_json(force=True)
    except BadRequest:
        raise BadRequest("the body is not JSON") from None


def _began() -> None:
    g.began = time.monotonic()


def _count(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "other"
    metrics.REQUESTS.labels(route, str(response.status_code)).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(time.monotonic() - g.get("began", time.monotonic()))
    return response


def _invalid(error: ValidationError) -> tuple[Response, int]:
    wrong = "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'body'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)[:5]
    )
    return jsonify(error=f"the request does not fit: {wrong}"), 400


def _refused(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=f"{error.name}: {error.description}"), error.code or 500


def _failed(error: Exception) -> tuple[Response, int]:
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_name}:{where.tb_lineno}" if where else "?"
    log.error("request_failed", route=request.path, error=type(error).__name__, place=place)
    return jsonify(error="internal error: see the backend's log"), 500
