"""Servers: waited for with a limit, explained when they fail, stopped with everything that they started."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from pathlib import Path

import pytest
from servers import Server, ServerError, answers, free_port

PORT_LINE = re.compile(r"serving (\d+)")


def start(tmp_path: Path, program: str) -> Server:
    """Start a Python program as a server."""
    return Server("The server", [sys.executable, "-uc", program], dict(os.environ), tmp_path / "log")


def test_a_line_of_the_log_tells_that_it_is_ready(tmp_path: Path) -> None:
    """The group of the pattern is what the line says."""
    server = start(tmp_path, "import time; print('hello'); print('serving 8080'); time.sleep(60)")
    assert server.wait_for_line(PORT_LINE, 20) == "8080"
    server.stop()
    assert not server.is_running


def test_an_answer_tells_that_it_is_ready(tmp_path: Path) -> None:
    """Waiting ends when the address answers with 200, and it does not any more after the stop."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    server = Server(
        "The server",
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port), "--directory", str(tmp_path)],
        dict(os.environ),
        tmp_path / "log",
    )
    server.wait_for_answer(url, 20)
    assert not answers(f"{url}missing")
    server.stop()
    assert not answers(url)


def test_a_server_that_ends_is_explained_by_its_log(tmp_path: Path) -> None:
    """The message holds the last lines, without those that may hold a secret."""
    server = start(tmp_path, "print('SECRET_KEY=abc'); print('no such table'); raise SystemExit(1)")
    with pytest.raises(ServerError, match="no such table") as failed:
        server.wait_for_line(PORT_LINE, 20)
    assert "abc" not in str(failed.value)
    server.stop()


def test_waiting_has_a_limit(tmp_path: Path) -> None:
    """A server that never says that it is ready is given up."""
    server = start(tmp_path, "import time; print('busy'); time.sleep(60)")
    with pytest.raises(ServerError, match=r"within 1 s\. Its last lines:\n +busy"):
        server.wait_for_line(PORT_LINE, 1)
    server.stop()


def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    """An interrupt does not wait for the limit."""
    cancelled = threading.Event()
    cancelled.set()
    server = start(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(ServerError, match="interrupted"):
        server.wait_for_line(PORT_LINE, 60, cancelled)
    server.stop()


def test_a_stop_reaches_what_the_server_started(tmp_path: Path) -> None:
    """Children that ignore a gentle stop are ended as well."""
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('serving 1'); time.sleep(60)"
    )
    server = start(
        tmp_path,
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-uc', {child!r}]);"
        "print('child', p.pid); p.wait()",
    )
    server.wait_for_line(PORT_LINE, 20)
    pid = server.wait_for_line(re.compile(r"child (\d+)"), 20)
    server.stop()
    end = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.05)


def test_the_log_is_for_its_owner_only(tmp_path: Path) -> None:
    """Label Studio prints secrets."""
    server = start(tmp_path, "pass")
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0
    server.stop()


def is_alive(pid: str) -> bool:
    """Whether a process runs; one that nobody has waited for is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_works_in_the_folder_of_its_log(tmp_path: Path) -> None:
    """A `.env` of the folder in which somebody types the command does not reach it."""
    server = start(tmp_path, "import os, time; print('serving 1', os.getcwd()); time.sleep(60)")
    assert server.wait_for_line(re.compile(r"serving 1 (\S+)"), 20) == str(tmp_path)
    server.stop()


def test_another_one_on_the_port_is_no_answer(tmp_path: Path) -> None:
    """Where the server has ended, whoever answers at its address is a stranger."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    stranger = Server("A stranger", command, dict(os.environ), tmp_path / "stranger")
    stranger.wait_for_answer(f"http://127.0.0.1:{port}/", 20)
    server = start(tmp_path, "raise SystemExit(1)")
    while server.is_running:
        time.sleep(0.05)
    with pytest.raises(ServerError, match="ended while it started"):
        server.wait_for_answer(f"http://127.0.0.1:{port}/", 20)
    stranger.stop()
