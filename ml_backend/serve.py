"""gunicorn with the settings' workers and threads, from Python."""

import os
import shutil
import tempfile
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # ships no types

from ml_backend.settings import Settings

_TIMEOUT_S = 120  # above any answer's
_GRACE_S = 15


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The backend behind gunicorn.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn."""
        options: dict[str, Any] = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            "worker_class": "gthread",
            "timeout": _TIMEOUT_S,
            "graceful_timeout": _GRACE_S,
            "accesslog": None,
            "control_socket_disable": True,
            "preload_app": True,  # the port opens when the imports are done
            "post_worker_init": _start,
            "worker_exit": _stop,
            "child_exit": _forget,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application; its threads begin in the workers.

        Importing torch holds the interpreter for a second or two, more than Label Studio waits for ``/health``. So
        it is imported before the port opens, and only imported: what it computes does not survive a fork.
        """
        import ml_backend.core.embedder  # noqa: F401, PLC0415
        from ml_backend.app import create_app  # noqa: PLC0415
        from ml_backend.backend import Backend  # noqa: PLC0415

        return create_app(Backend(self._settings))


def serve(settings: Settings) -> None:
    """Serve until a signal ends it."""
    counts = tempfile.mkdtemp(prefix="ml-backend-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts  # before metrics are imported: they choose their store then
    master = os.getpid()
    try:
        Server(settings).run()
    finally:
        if os.getpid() == master:
            shutil.rmtree(counts, ignore_errors=True)


def _start(worker: Any) -> None:  # noqa: ANN401 - gunicorn's, untyped
    worker.wsgi.extensions["ml_backend"].start()


def _stop(_server: Any, worker: Any) -> None:  # noqa: ANN401
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["ml_backend"].stop()


def _forget(_server: Any, worker: Any) -> None:  # noqa: ANN401
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - after the variable is set

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
