"""gunicorn's threaded worker and its log with our manners: JSON refusals, no tracebacks, limited patience."""

import contextlib
import json
import logging
import socket
import struct
import threading
import time
from http import HTTPStatus
from typing import Any

import structlog
from gunicorn import util  # type: ignore[import-untyped]  # ships no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import _DEFER, ThreadWorker  # type: ignore[import-untyped]

from ml_backend.logs import ToStructlog, fault
from ml_backend.serving import arrivals

log = structlog.get_logger()

FIRST_S = 0.1  # for which a connection's first byte keeps a thread waiting
HEAD_S = 5.0  # for the head of a request to arrive
READ_S = 30.0  # for the whole of it; the largest that Label Studio sends takes a second
SEND_S = 30  # for the client to take a part of its answer
GRACE_S = 15  # for requests that are being answered when the backend is told to stop
HURRY_S = 8.0  # of these, for answers to become complete
_LOOK_S = 1.0
_LINGER_S = 0.3  # for a client to close its side
_DRAINED = 65_536  # bytes at a time

_OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)
_STATUS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Answers with threads, and takes them back from clients that send slowly or nothing."""

    def init_process(self) -> None:
        """Begin to watch, and serve."""
        threading.Thread(target=self._watch, name="slow-clients", daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:  # noqa: ANN401
        """Serve one request of a connection."""
        if not conn.initialized and not conn.wait_for_data(FIRST_S):
            return _DEFER  # the main thread waits for it
        arrivals.expect(conn.sock, time.monotonic() + HEAD_S)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_S, 0))
        try:
            kept = super().handle(conn)
        finally:
            arrivals.arrived(conn.sock)
        if kept is False:
            _finish(conn.sock)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401
        """Answer a request whose head has arrived."""
        arrivals.expect(conn.sock, time.monotonic() + READ_S)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ANN401, ARG002
        """Refuse what is no HTTP, in JSON and without repeating it."""
        wrong = isinstance(exc, errors.ParseException) and not isinstance(exc, _OURS)
        status = _STATUS.get(type(exc), HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.INTERNAL_SERVER_ERROR)
        if wrong:
            log.warning("request_refused", status=status.value, error=type(exc).__name__)
        else:
            log.error("request_failed", **fault(exc))
        with contextlib.suppress(OSError):
            util.write_nonblock(client, _answer(status))

    def _watch(self) -> None:
        """End the reading of requests that arrive too slowly, and in the end the waiting for images."""
        told_to_end = 0.0
        while told_to_end < HURRY_S:
            time.sleep(_LOOK_S)
            if not self.alive and not told_to_end:
                self._stop_waiting()
            for connection in arrivals.overdue(time.monotonic()):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)  # an answer can still be sent
            told_to_end += 0 if self.alive else _LOOK_S
        # Who still waits for images gets the suggestions that there are, before the master ends this worker.
        if self.booted:
            self.wsgi.extensions["ml_backend"].gatherer.close()

    def _stop_waiting(self) -> None:
        """End what would keep a stop waiting: connections that have sent nothing, and a training."""
        for conn in list(self.pending_conns):
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)
        if self.booted:
            background = self.wsgi.extensions["ml_backend"].background
            threading.Thread(target=background.stop, name="stop-training", daemon=True).start()


class Log(Logger):  # type: ignore[misc]
    """gunicorn's log as lines of ours."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401
        """Write through structlog, and no line for each request."""
        self.cfg = cfg
        self.error_log.setLevel(logging.INFO)
        self.error_log.handlers[:] = [ToStructlog()]

    @property
    def access_log_enabled(self) -> bool:
        """Whether requests have lines: they do not, since addresses may hold secrets."""
        return False


def _finish(connection: socket.socket) -> None:
    """Let a client take the last answer, in this thread: gunicorn would wait for that in the one that accepts."""
    ends_at = time.monotonic() + _LINGER_S
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while (left := ends_at - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(_DRAINED):
                break
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _answer(status: HTTPStatus) -> bytes:
    body = json.dumps({"error": f"{status.phrase}: this is no request that can be read"}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body
