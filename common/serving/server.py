"""gunicorn, from Python."""

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # ships no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from common.logs import ToStructlog
from common.serving.patient_worker import PatientWorker, most_connections

Application = Callable[..., Iterable[bytes]]
"""What WSGI calls one (PEP 3333)."""

_TIMEOUT_S = 120  # for a worker that does not react at all; requests do not count
_KEEPALIVE_S = 30  # longer than between two clicks; who waits so occupies no thread
_GRACE_S = 15  # for requests that are being answered when the server is told to stop


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log through structlog, with no line for each request: addresses may hold secrets."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401
        """Replace gunicorn's handlers."""
        self.cfg = cfg
        self.error_log.setLevel(logging.INFO)
        self.error_log.handlers[:] = [ToStructlog()]

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Leave out what a request that is no HTTP holds, which gunicorn repeats."""
        super().warning("request_refused" if str(msg).startswith("Invalid request") else msg, *args, **kwargs)


class Server(BaseApplication):  # type: ignore[misc]
    """An application behind gunicorn.

    Parameters
    ----------
    make : callable
        Makes the application, before the port opens.
    options : mapping
        gunicorn's, besides ours.
    """

    def __init__(
        self,
        make: Callable[[], Application],
        host: str,
        port: int,
        workers: int,
        threads: int,
        **options: object,
    ) -> None:
        self._make = make
        self._options: Mapping[str, Any] = {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": workers,
            "threads": threads,
            "worker_class": PatientWorker,
            "worker_connections": most_connections(),
            "logger_class": Log,
            "timeout": _TIMEOUT_S,
            "graceful_timeout": _GRACE_S,
            "keepalive": _KEEPALIVE_S,
            "accesslog": None,
            "control_socket_disable": True,
            "preload_app": True,  # the port opens when the imports are done
            **options,
        }
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """Make the application."""
        return self._make()


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
