"""The demo as a newcomer runs it: its tables, and that nothing of it is left whatever way it ends."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from demonstration.folders import IN_USE
from servers import free_port, is_free

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(ROOT / "scripts" / "demo.py")]
LIMIT_SECONDS = 540


@dataclass
class Run:
    """A demo under way.

    Attributes
    ----------
    mark
        By which its processes are known.
    ports
        Those that it was told to take.
    child
        The command.
    """

    mark: str
    ports: tuple[int, ...]
    child: subprocess.Popen[str]
    output: str = ""

    def read_until(self, text: str) -> None:
        """Read the output up to a line with this text."""
        for line in self.child.stdout or ():
            self.output += line
            if text in line:
                return
        pytest.fail(f"the demo ended without {text!r}:\n{self.output}")

    def finish(self) -> int:
        """Read the rest of the output; return the exit status."""
        rest, _ = self.child.communicate(timeout=LIMIT_SECONDS)
        self.output += rest
        return self.child.returncode

    def left_over(self) -> list[str]:
        """Command lines of processes that this run started and that are still there."""
        commands = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"DEMO_TEST={self.mark}".encode() in environment.split(b"\0") and command:
                commands.append(command)
        return commands

    def number(self, pattern: str) -> int:
        """Find a number in the output."""
        match = re.search(pattern, self.output)
        assert match, f"no {pattern!r} in:\n{self.output}"
        return int(match[1])


@pytest.fixture
def demo() -> Iterator[Run]:
    """A demo on ports of its own; whatever a failed test leaves of it is ended."""
    ports = free_port(), free_port(), free_port()
    options = zip(("--port", "--backend-port", "--console-port"), map(str, ports), strict=True)
    command = [*DEMO, *chain.from_iterable(options), "--once"]
    child = subprocess.Popen(
        command,
        env={**os.environ, "DEMO_TEST": str(ports[0])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    run = Run(str(ports[0]), ports, child)
    yield run
    if child.poll() is None:
        child.terminate()
        child.communicate(timeout=60)


def nothing_is_left(run: Run) -> None:
    """Fail where a process, a port or a folder of the run is left."""
    assert run.left_over() == []
    assert [port for port in run.ports if not is_free(port)] == []
    assert [folder for folder in (ROOT / ".demo").glob("run-*") if not is_in_use(folder)] == []


def is_in_use(folder: Path) -> bool:
    """Whether a demo works in a folder: somebody may run one while the tests run."""
    try:
        with (folder / IN_USE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return folder.exists()
    except BlockingIOError:
        return True
    return False


@pytest.mark.server
@pytest.mark.timeout(LIMIT_SECONDS + 60)
def test_once_shows_the_result_and_leaves_nothing(demo: Run) -> None:
    """Wrong labels are caught, right ones are not accused, and every part of the story has a number."""
    assert demo.finish() == 0, demo.output
    caught, accused = demo.number(r"(\d+) caught"), demo.number(r"(\d+) accused")
    assert caught > 5
    assert accused <= 2
    for report in ("AllConfirmed", "MisClassified", "Discovered", "NoVotes"):
        assert demo.number(rf"│ {report} +│[^│]+│ +(\d+) │") > 0
    assert demo.number(r"learned from +│ +(\d+) │") == 90
    assert demo.number(r"nobody annotated +│ +\d+ │ +(\d+) │") == 10
    trust = re.findall(r"│ annotator\d@example\.com +│ +\d+ │ +\d+ │ +([\d.]+) │ +([\d.]+) │", demo.output)
    assert len(trust) == 6
    assert all(abs(float(true) - float(estimated)) < 0.2 for true, estimated in trust)
    assert "the second nothing" in demo.output
    assert "without --once they stay up" in demo.output
    assert "/data?tab=" not in demo.output, "links to a server that is gone help nobody"
    nothing_is_left(demo)


INTERRUPTED = """
import os, pathlib, signal, sys, time, types
import demonstration
from demonstration import __main__ as demo
from servers import Server

def tell(options, steps, running):
    log = pathlib.Path(sys.argv[1])
    server = Server("A server", [sys.executable, "-c", "import signal; signal.pause()"], dict(os.environ), log)
    running.callback(server.stop)
    print("in the middle", flush=True)
    while True:  # a pause would miss a signal that comes just before it
        time.sleep(0.05)

demonstration.story = types.SimpleNamespace(tell=tell)
sys.exit(demo.main(time.monotonic(), []))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_in_the_middle_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Interrupted while servers are at work, it stops them and says so without a traceback."""
    mark = str(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "DEMO_TEST": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    run = Run(mark, (), child)
    run.read_until("in the middle")
    assert len(run.left_over()) == 2
    child.send_signal(number)
    assert run.finish() == 130
    assert "Stopping." in run.output
    assert "Traceback" not in run.output
    nothing_is_left(run)


@pytest.mark.server
def test_a_busy_port_that_was_asked_for_is_refused() -> None:
    """It ends at once, names the port and the option, and starts nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        busy = str(listener.getsockname()[1])
        done = subprocess.run([*DEMO, "--once", "--port", busy], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"Port {busy} for Label Studio is busy" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--port", "70000"], "70000 is no port"), (["--port", "web"], "invalid"), (["--twice"], "--twice")],
)
def test_arguments_that_cannot_be_understood_are_named(arguments: list[str], message: str) -> None:
    """Nothing is installed or started for them."""
    done = subprocess.run([*DEMO, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_help_says_what_is_kept() -> None:
    """Whoever asks learns that nothing is kept from run to run."""
    done = subprocess.run([*DEMO, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "nothing is kept from one run to the next" in " ".join(done.stdout.split())
