"""gunicorn with the settings' workers and threads, from Python."""

import logging
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask

from common.logs import fault
from common.serving.server import Server, is_loopback
from ml_backend.embedding.engines import may_need_torch
from ml_backend.serving.auth import credentials
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from ml_backend.backend import Backend
    from ml_backend.serving.app import Examine

log = structlog.get_logger()

_NAMES = {
    "WORKERS": "ML_BACKEND_WORKERS",
    "THREADS": "ML_BACKEND_THREADS",
    "PORT": "ML_BACKEND_PORT",
    "MODEL_DIR": "ML_BACKEND_DATA_DIR",
    "LOG_LEVEL": "",
}
"""label-studio-ml's settings and ours."""
HURRY_S = 8.0  # of gunicorn's time to stop, until a prediction answers with the suggestions it has


def application(settings: Settings, examine: "Examine") -> Flask:
    """Make the application; its threads begin in the workers.

    Importing torch holds the interpreter for a second or two, more than Label Studio waits for ``/health``. So
    what may compute is imported before the port opens, and only imported: a session does not survive a fork.
    """
    if may_need_torch(settings.engine):
        import ml_backend.core.embedder  # noqa: F401, PLC0415
    else:
        import onnxruntime  # noqa: F401, PLC0415
    from ml_backend.backend import Backend  # noqa: PLC0415
    from ml_backend.serving.app import create_app  # noqa: PLC0415

    return create_app(Backend(settings), examine)


def serve(settings: Settings, examine: "Examine") -> None:
    """Serve until a signal ends it; `examine` answers ``/doctor``."""
    warn_of_access(settings)
    hint_at_names(os.environ)
    counts = tempfile.mkdtemp(prefix="ml-backend-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts  # before metrics are imported: they choose their store then
    master = os.getpid()
    try:
        Server(
            partial(application, settings, examine),
            settings.host,
            settings.port,
            settings.workers,
            settings.threads,
            post_worker_init=_start,
            worker_exit=_stop,
            child_exit=_forget,
        ).run()
    finally:
        if os.getpid() == master:
            shutil.rmtree(counts, ignore_errors=True)


def warn_of_access(settings: Settings) -> None:
    """Say what is probably not meant; a backend behind a proxy that asks for credentials may mean it."""
    if not credentials(settings):
        if not is_loopback(settings.host):
            log.warning(
                "everybody_may_call",
                host=settings.host,
                remedy="set ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD, and the same in Settings > Model",
            )
    elif not settings.basic_user:
        log.warning(
            "label_studio_cannot_log_in",
            remedy="it sends no bearer token: set ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD as well",
        )


def hint_at_names(environment: Mapping[str, str]) -> None:
    """Name our settings where label-studio-ml's are set, which have no effect here."""
    for theirs, ours in _NAMES.items():
        if environment.get(theirs) and not (ours and environment.get(ours)):
            remedy = (
                f"set {ours}" if ours else "the log is as it is: one line for each request, training and fault"
            )
            log.warning("setting_of_label_studio_ml_has_no_effect", name=theirs, remedy=remedy)


def _start(worker: Any) -> None:  # noqa: ANN401 - gunicorn's, untyped
    backend: Backend = worker.wsgi.extensions["ml_backend"]
    backend.start()
    _hurry_when_told_to_stop(backend)


def _hurry_when_told_to_stop(backend: "Backend") -> None:
    """At SIGTERM, end the training at once and the waiting for images in time for whole answers.

    gunicorn has no hook for it; its own handler is called as well. Only a queue of this kind may be filled in a
    signal's handler.
    """
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    of_gunicorn: Any = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        signals.put(number)
        of_gunicorn(number, frame)

    def hurry() -> None:
        signals.get()
        answers = threading.Timer(HURRY_S, backend.gatherer.close)
        answers.daemon = True
        answers.start()
        backend.background.stop()

    threading.Thread(target=hurry, name="hurry", daemon=True).start()
    signal.signal(signal.SIGTERM, note)


def _stop(_server: Any, worker: Any) -> None:  # noqa: ANN401
    app = getattr(worker, "wsgi", None)
    if app is None:
        return
    ending = sys.exception()
    try:
        app.extensions["ml_backend"].stop()
    except Exception as error:  # noqa: BLE001 - a part that cannot be stopped, perhaps because it is not there yet
        log.error("stop_failed", **fault(error))
    if isinstance(ending, SystemExit):
        # At the interpreter's end, threads that are inside ONNX Runtime or torch would abort the process.
        logging.shutdown()
        os._exit(ending.code if isinstance(ending.code, int) else 0)


def _forget(_server: Any, worker: Any) -> None:  # noqa: ANN401
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - after the variable is set

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
