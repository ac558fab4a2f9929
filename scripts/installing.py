"""Complete environments side by side, with progress, one lock each and an error that says what to do.

uv installs (pip brings it): a second clone takes seconds, since files are linked from its cache. Where uv fails,
pip does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import locks
from environments import INSTALLING, STAMP, State, read_stamp, state, write_stamp
from progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from environments import Environment

    Then = Callable[[Callable[[str], None], threading.Event], None]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PIP_OPTIONS = ("--no-compile", "--no-input", "--progress-bar=off", "--disable-pip-version-check")
UV = "uv"
UV_OPTIONS = ("--no-progress", "--link-mode=hardlink")
"""What lies in uv's cache already is linked, not copied, wherever both are on one disk."""
FETCHING = re.compile(
    r"\s*(?P<verb>Collecting|Downloading|Processing|Using cached|Building wheel for) "
    r"(?P<name>(?:\S*/)?[^\s/]+?)(?:-(?:cp|py)[23]\S*)?(?: \(from .*\))?(?P<size> \([\d.]+ ?[kKMG]i?B\))?$"
)
INSTALLED = re.compile(r"(Resolved|Prepared|Installed) \d+ packages?\b")
NETWORK = re.compile(
    r"(Failed to establish|Read timed out|Connection (refused|reset|aborted)|Temporary failure)[^')]*"
)
"""What pip says of the network, amid its warnings."""
REMEDY = (
    "Check that this machine reaches the Python package index (`pip config list` shows pip's settings)"
    " and has free disk space, then run the same command again: what was downloaded is kept."
)


class InstallError(Exception):
    """An environment could not be made; the message says why and what to do."""


class Installation(threading.Thread):
    """One environment being completed, in a thread of its own.

    Parameters
    ----------
    environment
        What to complete.
    then
        Called once it is complete, with a function that shows a line and an event that asks it to stop.
    """

    def __init__(self, environment: Environment, then: Then | None = None) -> None:
        super().__init__(name=environment.folder.name, daemon=True)
        self.environment = environment
        self.line = "looking"
        self.error: Exception | None = None
        self.began = time.monotonic()
        self.seconds: float | None = None
        self._then = then
        self._cancelled = threading.Event()
        self._child: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Complete the environment; what goes wrong is kept in `error`."""
        try:
            if state(self.environment) is not State.COMPLETE:
                with locks.held(self._lock_file, self._say, self._cancelled):
                    self._complete()
            if self._then is not None and not self._cancelled.is_set():
                self._then(self._say, self._cancelled)
            self.line = "complete"
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            self.error = error
            self.line = "failed"
        self.seconds = time.monotonic() - self.began

    def cancel(self) -> None:
        """Stop what is running, at once."""
        self._cancelled.set()
        child = self._child
        if child is not None and child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    def _say(self, line: str) -> None:
        self.line = line

    @property
    def _lock_file(self) -> Path:
        folder = self.environment.folder
        return folder.parent / ".cache" / f"{folder.name.strip('.')}.lock"

    def _complete(self) -> None:
        reached = state(self.environment)
        if reached is State.COMPLETE or self._cancelled.is_set():
            return
        folder = self.environment.folder
        if reached is State.BROKEN and folder.exists():
            self.line = "removing what an earlier run left unusable"
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        extras = self.environment.extras | set((read_stamp(self.environment) or {}).get("extras", ()))
        (folder / STAMP).unlink(missing_ok=True)
        (folder / INSTALLING).touch()
        if reached is State.BROKEN:
            if importlib.util.find_spec("ensurepip") is None:
                raise InstallError(
                    "This Python cannot make environments: its module ensurepip is missing. On Debian and Ubuntu "
                    "it is in a package of its own; install python3-venv, then run the same command again."
                )
            self.line = "making an empty environment"
            self._call([_base_python(), "-m", "venv", str(folder)])
        self._install([*self._pins, *self.environment.requirement(extras)])
        if self.environment.imports:
            self.line = "compiling what takes longest"
            self._call([str(self.environment.python), "-c", f"import {', '.join(self.environment.imports)}"])
        write_stamp(self.environment, extras)
        (folder / INSTALLING).unlink()

    @property
    def _pins(self) -> list[str]:
        return ["--constraint", str(self.environment.constraints)]

    def _install(self, arguments: Sequence[str]) -> None:
        """Install by uv, or where it cannot be had or fails (pip's own settings are not its), by pip."""
        python = str(self.environment.python)
        pip = [python, "-m", "pip", "install", *PIP_OPTIONS]
        try:
            self._call([*pip, *self._pins, UV])
            self._call([python, "-m", "uv", "pip", "install", *UV_OPTIONS, "--python", python, *arguments])
        except InstallError:
            if self._cancelled.is_set():
                raise
            self.line = "uv cannot do it; asking pip"
            self._call([*pip, *arguments])

    def _call(self, command: Sequence[str]) -> None:
        lines: list[str] = []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        ) as child:
            self._child = child
            if self._cancelled.is_set():
                self.cancel()
            for line in child.stdout or ():
                lines.append(line.strip())
                self.line = spoken(lines[-1]) or self.line
        if self._cancelled.is_set():
            raise InstallError("interrupted")
        if child.returncode != 0:
            if not any(line.startswith("Installing collected") for line in lines):
                self._nothing_was_changed(command)
            raise InstallError(f"{self.name} could not be made: {essential(lines)}\n{REMEDY}")

    def _nothing_was_changed(self, command: Sequence[str]) -> None:
        """Leave no mark of an interrupted install where pip gave up before it installed anything."""
        if "pip" in command and UV not in command:
            (self.environment.folder / INSTALLING).unlink(missing_ok=True)


def spoken(line: str) -> str | None:
    """Say in a few words what a line of pip's output tells, or None where it tells nothing of interest.

    >>> spoken("Downloading torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl (530.1 MB)")
    'downloading torch-2.15.0 (530.1 MB)'
    >>> spoken("Installing collected packages: xmljson, torch, urllib3")
    'installing 3 packages'
    >>> spoken("  WARNING: something")
    """
    if line.startswith("Installing collected packages:"):
        return f"installing {line.count(',') + 1} packages"
    if match := INSTALLED.match(line):
        return match[0].lower()
    if match := FETCHING.match(line):
        return f"{match['verb'].lower()} {match['name'].rsplit('/', 1)[-1]}{match['size'] or ''}"
    return None


def essential(lines: Sequence[str]) -> str:
    """Pick the line of a failed command's output that says what went wrong.

    >>> essential(["Collecting x", "WARNING: Retrying after 'Read timed out.'", "ERROR: No match"])
    'ERROR: No match (Read timed out.)'
    """
    errors = [line for line in lines if line.startswith("ERROR")]
    sentence = errors[0] if errors else next((line for line in reversed(lines) if line), "no output")
    network = [match[0] for line in lines if (match := NETWORK.search(line))]
    return f"{sentence} ({network[-1]})" if network else sentence


def ensure(environments: Sequence[Environment], then: Mapping[str, Then] | None = None) -> None:
    """Complete environments side by side and show how far each is; end the program where one fails.

    Parameters
    ----------
    environments
        What is needed.
    then
        What to call once the environment in a folder of that name is complete.
    """
    running = [Installation(each, (then or {}).get(each.folder.name)) for each in environments]
    progress = Progress(sys.stdout)
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    try:
        for installation in running:
            installation.start()
        while any(each.is_alive() for each in running) and not any(each.error for each in running):
            # Not join(): interrupted, it may take a thread that still runs for one that has ended.
            time.sleep(0.1)
            progress.show(running)
        failed = next((each.error for each in running if each.error is not None), None)
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The next run makes good what this one left unfinished.")
    finally:
        for number in SIGNALS:  # a second Ctrl-C must not leave half of them running
            signal.signal(number, signal.SIG_IGN)
        for installation in running:
            installation.cancel()
        for installation in running:
            installation.join()
        progress.end(running)
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed is not None:
        sys.exit(f"\n{failed}")


def _base_python() -> str:
    """The interpreter outside any environment: what we rebuild may be the one that runs this."""
    return getattr(sys, "_base_executable", None) or sys.executable
