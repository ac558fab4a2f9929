"""The application: who may call, the routes, what is counted, and how it refuses."""

import threading
import time

from flask import Flask, Response, current_app, g, request
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from ml_backend import metrics
from ml_backend.backend import Backend
from ml_backend.serving import auth, refusals
from ml_backend.serving.auth import Access
from ml_backend.serving.document import BARE, openapi_document
from ml_backend.serving.routes import SLOTS, routes
from ml_backend.serving.schemas import Problem
from ml_backend.serving.strict_json import StrictRequest
from ml_backend.settings import get_settings

_INFO = Info(title="ML backend for Label Studio", version="1.0.0")


class _Json(DefaultJSONProvider):
    sort_keys = False


class _App(OpenAPI):
    request_class = StrictRequest
    json_provider_class = _Json


def create_app(backend: Backend | None = None) -> Flask:
    """Make the application.

    Parameters
    ----------
    backend : Backend, optional
        Its parts; from the environment's settings if left out. Start it to train and load in the background.
    """
    backend = backend or Backend(get_settings())
    app = _App(
        __name__,
        info=_INFO,
        doc_ui=False,
        static_folder=None,
        validation_error_status=400,
        validation_error_model=Problem,
        validation_error_callback=refusals.invalid,
    )
    app.config["MAX_CONTENT_LENGTH"] = backend.settings.max_request_bytes
    app.url_map.merge_slashes = app.url_map.strict_slashes = False  # nobody is redirected to another spelling
    app.extensions["ml_backend"] = backend
    app.extensions[SLOTS] = threading.BoundedSemaphore(max(1, backend.settings.threads * 3 // 4))
    app.register_api(routes)
    app.extensions["ml_backend_document"] = openapi_document(app, backend.settings)
    app.before_request(_admit)
    app.after_request(_count)
    refusals.install(app)
    return app


def _admit() -> None:
    """Refuse who shows no credentials, or wrong ones, before anything of the request is read."""
    g.began = time.monotonic()
    backend: Backend = current_app.extensions["ml_backend"]
    g.access = auth.access(backend.settings, request.headers.get("Authorization"))
    rule = request.url_rule.rule if request.url_rule else None
    if g.access in (Access.OPEN, Access.GRANTED) or (g.access is Access.MISSING and rule in BARE):
        return
    raise Unauthorized(
        "this backend asks for credentials: an account, as in Settings > Model of Label Studio, or a bearer token",
        www_authenticate=[
            WWWAuthenticate(scheme, values) for scheme, values in auth.challenges(backend.settings).items()
        ],
    )


def _count(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "other"
    metrics.REQUESTS.labels(route, str(response.status_code)).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(time.monotonic() - g.get("began", time.monotonic()))
    return response
