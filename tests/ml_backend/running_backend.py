"""Starts the command ``ml-backend serve`` for tests, and waits for what it does."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

START_S = 120
STOP_S = 60
COMMAND = ("-m", "ml_backend", "serve")


@dataclass(frozen=True)
class RunningBackend:
    """A backend behind gunicorn.

    Parameters
    ----------
    url : str
        Its address, without a slash at its end.
    pid : int
        Of the master, whose children are the workers.
    log_file : Path
        What it has printed.
    """

    url: str
    pid: int
    log_file: Path

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


@cache
def engines() -> Path:
    """A folder for the engines of all tests: making one takes ten seconds and more."""
    made = Path(tempfile.mkdtemp(prefix="engines-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def share_engines(data_dir: Path) -> None:
    """Let the backend that will keep its data there use the engines of the other tests, and they its own."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if not (data_dir / "engines").exists():
        (data_dir / "engines").symlink_to(engines())


@contextmanager
def running(
    folder: Path, *, workers: int = 2, command: Sequence[str] = COMMAND, shared: bool = True, **environment: str
) -> Iterator[RunningBackend]:
    """Start a backend with random weights and end it as Ctrl-C does; then its port must be free again.

    Parameters
    ----------
    folder : Path
        Where it works, logs (``log``) and keeps its data (``backend``).
    workers : int
    command : sequence of str
        What Python runs instead of ``ml-backend serve``; gets its options.
    shared : bool
        Whether it uses the engines that other tests have made.
    environment : str
        Settings, by the names of their variables.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("LABEL_STUDIO", "ML_BACKEND"))
    }
    settings = {"ML_BACKEND_WEIGHTS": "random", "ML_BACKEND_DATA_DIR": str(folder / "backend"), **environment}
    if shared:
        share_engines(Path(settings["ML_BACKEND_DATA_DIR"]))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), "--workers", str(workers)],
            env=inherited | settings,
            cwd=folder,  # no .env of whoever runs the tests
            stdout=log,
            stderr=log,
        )
        started = RunningBackend(f"http://127.0.0.1:{port}", server.pid, folder / "log")
        try:
            assert eventually(lambda: server.poll() is not None or answers(started.url), START_S), started.log
            assert server.poll() is None, started.log
            yield started
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(STOP_S) == 0, started.log
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def answers(url: str) -> bool:
    """Whether a backend is up."""
    try:
        return httpx.get(url + "/health", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def eventually(condition: Callable[[], object], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if condition():
            return True
        time.sleep(0.25)
    return False
