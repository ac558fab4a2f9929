"""A run in a process of its own: what it needs of memory and of the interpreter is taken from no request."""

import json
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from common.contract import LEFT_OUT
from common.errors import SuiteError

KEPT = ("classifications", "votes", "reports", "writes", "guarantees", "failures")
GRACE_S = 10


class RunError(SuiteError):
    """A run that failed; it says why."""


class Runs:
    """Starts runs, and ends with the service those that are at work.

    Parameters
    ----------
    config : Path or None
        The settings file, where it is not that of the environment.
    """

    def __init__(self, config: Path | None = None) -> None:
        self._options = [] if config is None else ["--config", str(config)]
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def __call__(self, project: int) -> dict[str, Any]:
        """Run, and return what came of it.

        Raises
        ------
        RunError
            Where nothing could be done.
        """
        outcome = self._outcome(project, self._options)
        return {name: outcome[name] for name in KEPT} | {"left_out": len(outcome["problems"])}

    def count(self, project: int, text: str) -> dict[str, int]:
        """Return what each report would hold with other settings; nothing is stored or written.

        Parameters
        ----------
        text : str
            Of a settings file.

        Raises
        ------
        RunError
            Where nothing could be done.
        """
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".toml") as file:
            file.write(text)
            file.flush()
            outcome = self._outcome(project, ["--dry-run", "--config", file.name])
        return dict(outcome["reports"])

    def _outcome(self, project: int, options: list[str]) -> dict[str, Any]:
        command = [sys.executable, "-m", "consensus.cli", "run", "--json", "--project", str(project), *options]
        with self._lock:
            if self._stopped:
                raise RunError("the service is ending; the next run does it")
            child = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self._children.add(child)
        try:
            printed, errors = child.communicate()
        finally:
            with self._lock:
                self._children.discard(child)
        if child.returncode not in (0, LEFT_OUT):
            reasons = [line for line in errors.splitlines() if line.startswith("error: ")]
            raise RunError(reasons[-1].removeprefix("error: ") if reasons else f"it ended with {child.returncode}")
        outcome: dict[str, Any] = json.loads(printed)
        return outcome

    def stop(self) -> None:
        """End the runs; what they have sent stays, and the next run sends what is missing."""
        with self._lock:
            self._stopped = True
            children = list(self._children)
        for child in children:
            child.terminate()
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_S)
