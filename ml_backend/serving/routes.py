"""The routes that Label Studio calls: https://labelstud.io/guide/ml_create and the ML connector of its source."""

import itertools
import time
from collections import Counter
from functools import lru_cache
from typing import Any

import structlog
from flask import Response, current_app, g, jsonify
from flask_openapi3.blueprint import APIBlueprint
from werkzeug.exceptions import NotFound, RequestEntityTooLarge, ServiceUnavailable

from common.doctor import as_object
from common.label_studio.label_config import config_digest
from common.serving.credentials import Access
from common.serving.refusals import Problem
from ml_backend import metrics
from ml_backend.backend import Backend
from ml_backend.core.controls import image_controls
from ml_backend.core.versions import MODEL_CLASS, is_untrained_version, newest_first
from ml_backend.errors import VersionError
from ml_backend.label_studio.pulling import doubt
from ml_backend.model_registry import ModelRegistry
from ml_backend.predict.predict import Predictions, predict
from ml_backend.serving import schemas
from ml_backend.serving.gauges import Gauges
from ml_backend.serving.unnamed import project_of

log = structlog.get_logger()
EXAMINE = "ml_backend_examination"
SLOTS = "ml_backend_slots"  # the extension that says how many more /predict may begin
BUSY = "busy"
CLUSTERED_TASKS = 200_000
"""About so many tasks are named at most in one answer about clusters."""
_FAULTS_S = 10.0  # for which what is wrong with the versions is not looked at again: annotators wait for /health
_REFUSED: dict[str | int, Any] = dict.fromkeys((400, 413, 415), Problem)
routes = APIBlueprint("ml_backend", __name__, operation_id_callback=lambda *, name, **_: name)

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
DELETING_ACTIONS = frozenset(action for action in TRAINING_ACTIONS if action.endswith("DELETED"))


@routes.get("/", responses={200: schemas.Health}, operation_id="root")
@routes.get("/health", responses={200: schemas.Health})
def health() -> Response:
    """Say that the backend is up, and what answers. Touches neither the model nor Label Studio."""
    if g.access is Access.MISSING:
        return jsonify(status="UP")
    backend = _backend()
    settings, backbones = backend.settings, backend.backbones
    return jsonify(
        status="UP",
        model_class=MODEL_CLASS,
        instance=backend.instance,
        backbone=backbones.backbone,
        weights=backbones.weights_id,
        engine=backbones.engine,
        model_loaded=backbones.loaded,
        error=backbones.error,
        versions=_version_faults(backend.registry, time.monotonic() // _FAULTS_S) or "fine",
        measured_against=_measured_against(backend.registry, time.monotonic() // _FAULTS_S),
        label_studio="not configured: " + ", ".join(settings.missing) if settings.missing else "configured",
    )


@routes.post("/setup", responses={200: schemas.Version, **_REFUSED})
def setup(body: schemas.Setup) -> Response:
    """Name the version that answers for a project. The token and address in the request are not used."""
    _backend().requests.know(body.project.id)
    return jsonify(model_version=_backend().version(body.project.id, body.project.stamp))


@routes.post("/predict", responses={200: schemas.Suggestions, **_REFUSED})
def predict_tasks(body: schemas.Predict) -> Response:
    """Suggest labels: as many entries as tasks, in their order."""
    began, backend = time.monotonic(), _backend()
    most = backend.settings.max_tasks
    if len(body.tasks) > most:
        raise RequestEntityTooLarge(
            f"{len(body.tasks):,} tasks in one request, and at most {most:,} (ML_BACKEND_MAX_TASKS) are taken: "
            "select fewer, or let `ml-backend predict` go through the whole project"
        )
    project = body.project or project_of(body.tasks, body.label_config, backend.registry)
    with structlog.contextvars.bound_contextvars(project=project and project.id):
        done, version = _predict(body, project)
        suggested, empty = len(done.entries) - len(done.reasons), len(done.reasons)
        seconds = round(time.monotonic() - began, 3)
        log.info(
            "predicted",
            tasks=len(done.entries),
            suggested=suggested,
            empty=empty,
            seconds=seconds,
            version=version,
        )
    metrics.TASKS.labels("suggested").inc(suggested)
    metrics.TASKS.labels("empty").inc(empty)
    for reason, tasks in Counter([*done.reasons.values(), *done.partial.values()]).items():
        metrics.count_failures(reason, tasks)
    metrics.EMBEDDINGS.labels("computed").inc(done.embedded)
    metrics.EMBEDDINGS.labels("cache").inc(done.cached)
    return jsonify(results=done.entries)


@routes.post("/webhook", responses={200: schemas.Acknowledged, **_REFUSED})
def webhook(body: schemas.Webhook) -> Response:
    """Take note that a project changed, and answer at once."""
    is_change = (
        body.project is not None
        and _backend().requests.know(body.project.id)
        and _calls_for_training(body.action, body.project)
    )
    if is_change and body.project is not None:
        if body.action in DELETING_ACTIONS:
            doubt(_backend().settings.data_dir, body.project.id)
        _backend().requests.add(body.project.id, time.time())
    return jsonify(status="training requested" if is_change else "ignored")


@routes.get("/versions", responses={200: schemas.Versions, 400: Problem})
def versions(query: schemas.VersionsOf) -> Response:
    """List the trained versions, newest first; of one project with ``?project=``."""
    registry = _backend().registry
    of_project = {
        str(project_id): registry.versions(project_id)
        for project_id in ([query.project] if query.project is not None else registry.projects())
    }
    names = list(itertools.chain.from_iterable(of_project.values()))
    return jsonify(versions=newest_first(names), projects=of_project)


@routes.get("/doctor", responses={200: schemas.Examined, 400: Problem, 503: Problem})
def examine(query: schemas.Examining) -> Response:
    """Go through the checks of `ml-backend doctor` for a project; what was found is kept for half a minute."""
    settings = _backend().settings
    if settings.threads * settings.workers == 1:  # it asks this backend, which could not answer
        raise ServiceUnavailable("the only thread asks, and none is left to answer: set ML_BACKEND_THREADS to 2")
    return jsonify(as_object(current_app.extensions[EXAMINE].of(query.project)))


@routes.get("/clusters", responses={200: schemas.Clusters, 400: Problem, 404: Problem})
def clusters(query: schemas.ClustersOf) -> Response:
    """List which tasks are in which cluster of a version, as its last publication kept it; computes nothing."""
    registry, project = _backend().registry, query.project
    remedy = f"(ml-backend train --project {project.id})"
    if is_untrained_version(query.version):
        raise NotFound(f"project {project.id} has no version yet: annotate some tasks, or train {remedy}")
    try:
        asked = registry.load(project.id, query.version) if query.version else registry.current(project.id)
    except VersionError as error:
        raise NotFound(str(error)) from None
    if asked is None or (project.stamp and asked.stamp not in ("", project.stamp)):
        raise NotFound(f"project {project.id} has no version here that answers")
    version, placed = asked.model_version, registry.clusters(project.id, asked.model_version)
    if placed is None:
        raise NotFound(f"no clusters of {version} are kept: train once more {remedy}")
    sizes = Counter(placed.clusters.tolist())
    listed = [
        {"cluster": number, "size": sizes[number], "tasks": tasks}
        for number, tasks in placed.thinned(CLUSTERED_TASKS).items()
    ]
    return jsonify(
        model_version=version, every=placed.step(CLUSTERED_TASKS), without=placed.without, clusters=listed
    )


@routes.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def show_metrics() -> Response:
    """Show the counts in Prometheus' format."""
    backend = _backend()
    shown = metrics.exposition(Gauges(backend.registry, backend.requests))
    return Response(shown, content_type="text/plain; version=0.0.4; charset=utf-8")


@routes.get("/openapi.json", responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}})
def openapi() -> Response:
    """Describe these routes."""
    return jsonify(current_app.extensions["ml_backend_document"])


def _predict(body: schemas.Predict, project: schemas.ProjectName | None) -> tuple[Predictions, str | None]:
    """Predict while a thread is free for it; the others stay free for what Label Studio waits a second for."""
    backend, slots = _backend(), current_app.extensions[SLOTS]
    if not slots.acquire(blocking=False):
        log.warning("too_many_requests", remedy="raise ML_BACKEND_THREADS, or ask for fewer at a time")
        return Predictions([[] for _ in body.tasks], dict.fromkeys(range(len(body.tasks)), BUSY)), None
    try:
        artifact = backend.registry.current(project.id, project.stamp) if project else None
        done = predict(
            body.tasks,
            artifact=artifact,
            controls=image_controls(body.label_config, backend.settings.renamed),
            gatherer=backend.gatherer,
            backbones=backend.backbones,
            deadline_s=backend.settings.predict_deadline_s,
            model_wait_s=backend.settings.model_wait_s,
            project_id=project.id if project else 0,
            ticking=backend.settings.ticking,
        )
    finally:
        slots.release()
    return done, artifact.model_version if artifact else None


def _calls_for_training(action: str, project: schemas.WebhookProject) -> bool:
    if action in TRAINING_ACTIONS:
        return True
    if action != "PROJECT_UPDATED":
        return False
    # Our own change of the project's version is an update too, and must not train again.
    trained = _backend().registry.current(project.id)
    return trained is not None and trained.label_config != config_digest(project.label_config)


@lru_cache(maxsize=2)
def _version_faults(registry: ModelRegistry, _: float) -> str:
    return "; ".join(f"project {project_id}: {fault}" for project_id, fault in registry.faults().items())


@lru_cache(maxsize=4)
def _measured_against(registry: ModelRegistry, _: float) -> dict[str, str]:
    """By project: what the version that answers was measured against, where that is not annotations."""
    current = {project_id: registry.current(project_id) for project_id in registry.projects()}
    return {
        str(project_id): f"{scores.check.against}, from the names of the labels"
        if scores.check.is_from_names
        else scores.check.against
        for project_id, artifact in current.items()
        for scores in (artifact.model.controls if artifact else ())
        if scores.check.is_agreement or scores.check.is_from_names
    }


def _backend() -> Backend:
    backend: Backend = current_app.extensions["ml_backend"]
    return backend
