"""The demo goes on running until Ctrl-C, or says which of its servers ended."""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from demonstration import ending
from demonstration.errors import DemoError
from demonstration.steps import Steps
from flask import Flask
from label_studio_server import Account, LabelStudio
from servers import Server

from consensus.console.grid import grid_pages
from consensus.console.overview import overview_pages
from consensus.console.reports import report_pages
from consensus.console.review import review_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demonstration.reading import Held


def test_what_is_worth_a_look_is_linked(capsys: pytest.CaptureFixture[str]) -> None:
    """Each tab has its address and its number of tasks."""
    studio = LabelStudio("http://127.0.0.1:8080", Account("a@example.com", "secret", "t"), cast("Server", None))
    held = SimpleNamespace(tabs={"MisClassified": SimpleNamespace(number=5, tasks=11)})
    addresses = ending.Addresses("http://127.0.0.1:9090", "http://127.0.0.1:9091", 1)
    ending.show_addresses(Steps(began=0), studio, addresses, cast("Held", held))
    shown = capsys.readouterr().out
    assert "http://127.0.0.1:8080/projects/1/data?tab=5   MisClassified (11 tasks)" in shown
    assert "login a@example.com" in shown
    assert "http://127.0.0.1:9091/projects/1/reports/MisClassified   wrong labels" in shown


def test_the_tour_leads_to_pages_that_are_there() -> None:
    """Each address of it is a page of the console."""
    pages = Flask("pages")
    for part in (overview_pages, report_pages, grid_pages, review_pages):
        pages.register_blueprint(part)
    for page, _ in ending.TOUR:
        assert pages.url_map.bind("localhost").match(f"/projects/1/{page.partition('?')[0]}"), page


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that runs."""
    running = start(tmp_path / "running", "import time; time.sleep(60)")
    yield running
    running.stop()


def start(log: Path, program: str) -> Server:
    """Start a Python program as a server."""
    return Server("Label Studio", [sys.executable, "-c", program], dict(os.environ), log)


class Interrupting:
    """A server that runs; whoever looks at it is interrupted."""

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        os.kill(os.getpid(), signal.SIGINT)
        return True


def test_ctrl_c_is_the_usual_end(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and nothing has failed."""
    # As the demo does at its start: where the tests run in the background, SIGINT is ignored from the beginning.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ending.keep_running(Steps(began=0), [cast("Server", Interrupting())])
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Stopping." in capsys.readouterr().out


def test_a_server_that_ends_by_itself_ends_the_demo(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name and its last lines are shown."""
    monkeypatch.setattr(ending, "LOOK_EVERY_SECONDS", 0.01)
    ended = start(tmp_path / "ended", "print('disk full')")
    with pytest.raises(DemoError, match=r"Label Studio ended by itself. Its last lines:\n +disk full"):
        ending.keep_running(Steps(began=0), [server, ended])
