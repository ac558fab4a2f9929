"""The demo goes on running until Ctrl-C, or says which of its servers ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from demonstration import ending
from demonstration.errors import DemoError
from demonstration.steps import Steps
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that runs."""
    running = start(tmp_path / "running", "import time; time.sleep(60)")
    yield running
    running.stop()


def start(log: Path, program: str) -> Server:
    """Start a Python program as a server."""
    return Server("Label Studio", [sys.executable, "-c", program], dict(os.environ), log)


def test_ctrl_c_is_the_usual_end(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and nothing has failed."""
    # As the demo does at its start: where the tests run in the background, SIGINT is ignored from the beginning.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    later = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    later.start()
    try:
        ending.keep_running(Steps(began=0), [server])
    finally:
        signal.signal(signal.SIGINT, before)
    later.join()
    assert "Stopping." in capsys.readouterr().out


def test_a_server_that_ends_by_itself_ends_the_demo(server: Server, tmp_path: Path) -> None:
    """Its name and its last lines are shown."""
    ended = start(tmp_path / "ended", "print('disk full')")
    with pytest.raises(DemoError, match=r"Label Studio ended by itself. Its last lines:\n +disk full"):
        ending.keep_running(Steps(began=0), [server, ended])
