"""The application: who may call, the routes, what is counted, and how it refuses."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from flask import Flask, Response, g

from common.doctor import Diagnosis
from common.serving.application import Application, route
from common.serving.document import openapi_document
from ml_backend import metrics
from ml_backend.backend import Backend
from ml_backend.serving.auth import credentials, hosts, largest_request
from ml_backend.serving.examination import Examination
from ml_backend.serving.routes import EXAMINE, SLOTS, routes
from ml_backend.settings import Settings, get_settings

_BARE = ("/", "/health")  # whose status alone needs no credentials
VALUES_A_TASK = 100

Examine = Callable[[Settings, int], Sequence[Diagnosis]]
"""Looks for what goes wrong with a project; `ml-backend doctor` does."""


def create_app(backend: Backend | None = None, examine: Examine = lambda *_: ()) -> Flask:
    """Make the application.

    Parameters
    ----------
    backend : Backend, optional
        Its parts; from the environment's settings if left out. Start it to train and load in the background.
    examine : callable
        Answers ``/doctor``.
    """
    backend = backend or Backend(get_settings())
    settings = backend.settings
    app = Application(
        __name__,
        "ML backend for Label Studio",
        "the backend's log",
        largest_request(settings),
        credentials(settings),
        _BARE,
        max_values=settings.max_tasks * VALUES_A_TASK,
        hosts=hosts(settings),
    )
    app.extensions["ml_backend"] = backend
    app.extensions[SLOTS] = threading.BoundedSemaphore(max(1, settings.threads * 3 // 4))
    app.extensions[EXAMINE] = Examination(partial(examine, settings))
    app.register_api(routes)
    app.extensions["ml_backend_document"] = openapi_document(app, credentials(settings), _BARE)
    app.after_request(_count)
    return app


def _count(response: Response) -> Response:
    metrics.REQUESTS.labels(route(), str(response.status_code)).inc()
    metrics.REQUEST_SECONDS.labels(route()).observe(time.monotonic() - g.get("began", time.monotonic()))
    return response
