"""A threaded worker of gunicorn in which only whole requests have a thread: slow clients keep nobody waiting.

gunicorn's own gives each new connection a thread and lets it wait there for as long as the client likes. Here the
loop that accepts also receives; a thread begins when a request is whole. What is too large to be kept, or says no
length, is read in a thread after all, but in few of them and until a deadline.
"""

import contextlib
import re
import resource
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]  # ships no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from concurrent.futures import Future

_REQUEST_S = 20.0  # until a request is whole, or waits for a thread that reads it
_SLOW_S, _SILENCE_S = 100.0, 10.0  # for the rest of a request that a thread reads, and between two pieces of it
_ANSWER_S = 30.0  # until a client has taken a piece of an answer
_CLOSING_S = 2.0  # for a client to close as well, so that it gets all of the answer
_HEAD = 1 << 16  # bytes; what is longer is refused
_KEPT, _KEPT_IN_ALL = 1 << 20, 128 << 20  # bytes of a request that is received by the loop, and of all of them
_PIECE = 1 << 18
_FILES = 256  # besides connections

_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,18})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_OF_ANOTHER_KIND = re.compile(rb"^(transfer-encoding|expect|upgrade)[ \t]*:", re.IGNORECASE | re.MULTILINE)


def most_connections() -> int:
    """Return how many connections a worker may hold: fewer than the files that it may open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1000 if files == resource.RLIM_INFINITY else max(64, min(1000, files - _FILES))


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection with what has been received of its next request.

    Attributes
    ----------
    needed : int or None
        Bytes of the whole request; None until its head is there.
    is_slow : bool
        Whether a thread has to read the rest.
    """

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*arguments)
        self.received, self.is_slow = bytearray(), False
        self.needed: int | None = None

    def take(self, piece: bytes) -> None:
        """Add what was received."""
        self.received += piece
        if self.needed is not None or self.is_slow:
            return
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            self.is_slow = len(self.received) > _HEAD
            return
        head = bytes(self.received[:end]).replace(b"\r", b"")
        lengths = _LENGTH.findall(head)
        self.needed = end + 4 + sum(map(int, lengths))
        odd = len(lengths) != head.lower().count(b"content-length") or len(lengths) > 1
        self.is_slow = odd or self.needed > _KEPT or bool(_OF_ANOTHER_KIND.search(head))

    @property
    def is_whole(self) -> bool:
        """Whether a thread can answer at once."""
        return self.needed is not None and not self.is_slow and len(self.received) >= self.needed

    def begin(self) -> None:
        """Give what was received to gunicorn's parser."""
        self.init()
        if not isinstance(self.parser.unreader, _Unreader):
            self.parser.unreader = _Unreader(self.sock)
        self.parser.unreader.ends_at = time.monotonic() + _SLOW_S
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()

    def go_on(self) -> None:
        """Take back what the parser has not used, as the beginning of the next request."""
        self.needed, self.is_slow = None, False
        if begun := self.parser.unreader.take_buffered():
            self.take(begun)


class _Unreader(SocketUnreader):  # type: ignore[misc]
    """Reads the rest of a request until a deadline."""

    ends_at = 0.0

    def chunk(self, size_hint: int | None = None) -> bytes:
        before, left = self.sock.gettimeout(), self.ends_at - time.monotonic()
        try:
            if left <= 0:
                raise NoMoreData
            self.sock.settimeout(min(left, _SILENCE_S))
            received: bytes = super().chunk(size_hint)
        except TimeoutError:
            raise NoMoreData from None
        finally:
            self.sock.settimeout(before)
        return received


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """Accepts and receives in one loop, and answers in threads."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*arguments, **options)
        self._slots = max(1, self.cfg.threads // 2)  # threads that may read
        self._queue: deque[Connection] = deque()  # of those that wait for one
        self._closing: deque[Connection] = deque()

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, in place of the oldest idle one where there are too many."""
        try:
            accepted, address = listener.accept()
        except OSError:  # another worker has it, or the client has gone
            return
        if self.nr_conns >= self.worker_connections - 1:
            self._make_room()
        self.nr_conns += 1
        self._receive(Connection(self.cfg, accepted, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Receive the next request of a kept connection."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._receive(conn)
        self.on_pending_socket_readable(conn, client)

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Receive a piece of a request."""
        try:
            piece = client.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._drop(conn, self.pending_conns)
            return
        conn.take(piece)
        if not (conn.is_whole or conn.is_slow) and self._kept() > _KEPT_IN_ALL:
            conn.is_slow = True
        self._dispatch(conn)

    def handle(self, conn: Connection) -> Any:  # noqa: ANN401 - gunicorn's
        """Answer a request, in a thread."""
        conn.begin()
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:  # noqa: ANN401 - gunicorn's
        """Call the application; a client that does not take its answer is left."""
        conn.sock.settimeout(_ANSWER_S)
        return super().handle_request(req, conn)

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """Keep or close a connection after an answer."""
        if conn.is_slow:
            self._slots += 1
            self._next_slow()
        keep = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        if not keep:
            self._close(conn)
            return
        conn.go_on()
        conn.sock.settimeout(0)
        if conn.received:
            self._receive(conn)
            self._dispatch(conn)
            return
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self._on_readable(conn, self.on_client_socket_readable)

    def murder_pending(self) -> None:
        """Drop who has not sent a whole request in time, and who does not close."""
        for connections in (self.pending_conns, self._closing):
            while connections and connections[0].timeout <= time.monotonic():
                self._drop(connections[0], connections)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _receive(self, conn: Connection) -> None:
        conn.timeout = time.monotonic() + _REQUEST_S
        self.pending_conns.append(conn)
        self._on_readable(conn, self.on_pending_socket_readable)

    def _dispatch(self, conn: Connection) -> None:
        """Let a thread answer a whole request, or read the rest of one if a thread is free for that."""
        if conn.is_slow:
            self.poller.unregister(conn.sock)
            self._queue.append(conn)
            self._next_slow()
        elif conn.is_whole:
            self.poller.unregister(conn.sock)
            self.pending_conns.remove(conn)
            self.enqueue_req(conn)

    def _next_slow(self) -> None:
        while self._queue and self._slots:
            conn = self._queue.popleft()
            self.pending_conns.remove(conn)
            self._slots -= 1
            self.enqueue_req(conn)

    def _kept(self) -> int:
        return sum(len(conn.received) for conn in self.pending_conns)

    def _make_room(self) -> None:
        for connections in (self._closing, self.pending_conns, self.keepalived_conns):
            if connections:
                self._drop(connections[0], connections)
                return

    def _close(self, conn: Connection) -> None:
        """Say that no more comes, and wait for the client to close, so that nothing on its way to it is lost."""
        try:
            conn.sock.settimeout(0)
            conn.sock.shutdown(socket.SHUT_WR)
            conn.timeout = time.monotonic() + _CLOSING_S
            self._on_readable(conn, self._drain)
        except OSError:
            self._drop(conn, ())
        else:
            self._closing.append(conn)

    def _drain(self, conn: Connection, client: socket.socket) -> None:
        try:
            gone = not client.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._drop(conn, self._closing)

    def _on_readable(self, conn: Connection, call: Any) -> None:  # noqa: ANN401 - a method
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(call, conn))

    def _drop(self, conn: Connection, connections: Iterable[Connection]) -> None:
        for holding in (connections, self._queue):
            if isinstance(holding, deque) and conn in holding:
                holding.remove(conn)
        with contextlib.suppress(OSError, KeyError, ValueError):  # it may wait for a thread
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()
