"""The routes that say how the service is, what it counts and what it can be asked."""

from flask import Response, current_app, g, jsonify
from flask_openapi3.blueprint import APIBlueprint
from prometheus_client import CollectorRegistry, generate_latest

from common.serving.credentials import Access
from consensus import __version__
from consensus.errors import StoreError
from consensus.serving import schemas
from consensus.serving.gauges import Gauges
from consensus.serving.metrics import REGISTRY
from consensus.serving.service import service

about = APIBlueprint("about", __name__, operation_id_callback=lambda *, name, **_: name)
BARE = ("/health",)  # whose status alone needs no credentials
DOCUMENT = "consensus_document"


@about.get("/health", responses={200: schemas.Health})
def health() -> Response:
    """Say that the service is up and, to those who may know, whether its store can be read."""
    if g.access is Access.MISSING:
        return jsonify(status="UP")
    try:
        service().store.last_run(0)
        store = "answers"
    except StoreError as error:
        store = str(error)
    return jsonify(status="UP", version=__version__, store=store)


@about.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def metrics() -> Response:
    """Show the counts in Prometheus' format."""
    present = CollectorRegistry()
    present.register(Gauges(service()))
    shown = generate_latest(REGISTRY) + generate_latest(present)
    return Response(shown, content_type="text/plain; version=0.0.4; charset=utf-8")


@about.get("/openapi.json", responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}})
def openapi() -> Response:
    """Describe these routes."""
    return jsonify(current_app.extensions[DOCUMENT])
