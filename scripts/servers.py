"""Programs that run beside this one: each in its own group, waited for with a limit, stopped as a whole."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
import urllib.parse
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import re
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Found = TypeVar("Found")

GRACE_SECONDS = 6.0
POLL_SECONDS = 0.1
LAST_LINES = 20
SECRET_WORDS = ("SECRET_KEY", "get '", "PASSWORD", "TOKEN")


class ServerError(Exception):
    """A server did not start; the message says why, with the end of its log."""


class Server:
    """A running program whose output goes to a log file.

    Parameters
    ----------
    name
        What to call it in messages.
    command
        Program and arguments.
    environment
        All its environment variables.
    log
        File that gets its output; only its owner may read it. Its folder is where the program works, so that a
        `.env` of the current one does not reach it.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            self._child = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the program itself; what it started has others."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._child.poll() is None

    def wait_for_line(
        self, pattern: re.Pattern[str], seconds: float, cancelled: threading.Event | None = None
    ) -> str:
        """Wait until a line of the log matches; return the pattern's first group."""

        def look() -> str | None:
            match = pattern.search(self.log.read_text(encoding="utf-8", errors="replace"))
            return match[1] if match else None

        return self._wait(look, seconds, cancelled)

    def wait_for_answer(self, url: str, seconds: float, cancelled: threading.Event | None = None) -> None:
        """Wait until a GET of the address is answered with status 200."""
        self._wait(lambda: answers(url) or None, seconds, cancelled)

    def _wait(self, look: Callable[[], Found | None], seconds: float, cancelled: threading.Event | None) -> Found:
        end = time.monotonic() + seconds
        while True:
            if cancelled is not None and cancelled.is_set():
                raise ServerError(f"{self.name} was not started: interrupted.")
            answer = look()
            if not self.is_running:  # whatever answered, it was another one on the same port
                raise ServerError(f"{self.name} ended while it started. Its last lines:\n{self.last_lines()}")
            if answer is not None:
                return answer
            if time.monotonic() > end:
                raise ServerError(
                    f"{self.name} did not answer within {seconds:.0f} s. Its last lines:\n{self.last_lines()}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End the program and everything that it started, gently first."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(GRACE_SECONDS)
        self._signal(signal.SIGKILL)
        self._child.wait()

    def last_lines(self) -> str:
        """The end of the log, without lines that may hold a secret."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        shown = [line for line in lines if not any(word in line for word in SECRET_WORDS)]
        return "\n".join(f"    {line}" for line in shown[-LAST_LINES:])

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)


def answers(url: str) -> bool:
    """Whether a GET of the address is answered with status 200 within two seconds."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
    try:
        connection.request("GET", address.path or "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
