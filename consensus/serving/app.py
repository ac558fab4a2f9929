"""The application: who may call, the routes, what is counted, and how it refuses."""

import time
from urllib.parse import urlsplit

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import MisdirectedRequest

from common.errors import LabelStudioError, RefusedError, SuiteError
from common.serving.application import Application, route
from common.serving.document import openapi_document
from common.serving.server import is_loopback
from consensus.errors import StoreError
from consensus.serving import accepting, deciding, idempotency, metrics, reading, writing
from consensus.serving.about import BARE, DOCUMENT, about
from consensus.serving.background import BusyError
from consensus.serving.events import events
from consensus.serving.service import EXTENSION, MAX_BYTES, Service


def create_app(service: Service) -> Flask:
    """Make the application of a service."""
    app = Application(
        __name__,
        "Consensus for Label Studio",
        "the log of consensus serve",
        MAX_BYTES,
        service.credentials,
        BARE,
        of_routes=service.credentials_of_routes,
    )
    app.extensions[EXTENSION] = service
    idempotency.install(app.extensions)
    # Each of the four modules adds its routes to one blueprint.
    for part in (about, *{each.projects for each in (reading, accepting, deciding, writing)}, events):
        app.register_api(part)
    app.extensions[DOCUMENT] = openapi_document(app, service.credentials, BARE)
    if not service.token:
        app.before_request(_only_this_machine)
    app.after_request(_count)
    app.register_error_handler(SuiteError, _refused)
    return app


def _only_this_machine() -> None:
    """Refuse another host's name: without a token, a web page could reach us under a name of its own."""
    name = urlsplit(f"//{request.host}").hostname or ""
    if not is_loopback(name):
        raise MisdirectedRequest("without a token, this service answers to localhost and 127.0.0.1 alone")


def _refused(error: SuiteError) -> Response:
    """Say what is wrong with what was asked, with the store, or with Label Studio."""
    response = jsonify(error=str(error))
    response.status_code = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
    return response


_STATUS = {StoreError: 503, BusyError: 503, RefusedError: 502, LabelStudioError: 502, SuiteError: 400}


def _count(response: Response) -> Response:
    metrics.REQUESTS.labels(route(), str(response.status_code)).inc()
    metrics.REQUEST_SECONDS.labels(route()).observe(time.monotonic() - g.get("began", time.monotonic()))
    return response
