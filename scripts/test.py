"""Run the tests; arguments go to pytest. Makes the environments first where they are missing.

The tests run side by side, one worker a processor, and those marked `slow` are left out: endurance, real tuning,
clusters, repeated exports. `--all` runs those as well.
"""

from __future__ import annotations

import os
import sys

import browser
from environments import ROOT, label_studio, ours
from installing import ensure

ALL = "--all"
BY_FILE = ("--dist=loadfile", "--no-loadscope-reorder")
"""A file's tests stay together, with what they share, and begin in the order of `tests/conftest.py`."""


def pytest_arguments(arguments: list[str], processors: int) -> list[str]:
    """Arguments of pytest for those of this command.

    >>> pytest_arguments([], 2)
    ['-n2', '--dist=loadfile', '--no-loadscope-reorder', '-m', 'not slow']
    >>> pytest_arguments(["-m", "not server"], 2)
    ['-n2', '--dist=loadfile', '--no-loadscope-reorder', '-m', '(not server) and not slow']
    >>> pytest_arguments(["--all"], 1)
    []
    >>> pytest_arguments(["tests/test_docs.py"], 2)
    ['-m', 'not slow', 'tests/test_docs.py']
    """
    passed_on = [argument for argument in arguments if argument != ALL]
    chosen = ""
    if "-m" in passed_on[:-1]:
        place = passed_on.index("-m")
        chosen = f"({passed_on[place + 1]})"
        del passed_on[place : place + 2]
    if ALL not in arguments:
        chosen = f"{chosen} and not slow" if chosen else "not slow"
    # A few named tests start sooner in one process.
    side_by_side = [f"-n{processors}", *BY_FILE] if processors > 1 and not passed_on else []
    return [*side_by_side, *(["-m", chosen] if chosen else []), *passed_on]


def main(arguments: list[str]) -> None:
    """Become pytest, in our environment."""
    environment = ours("benchmarks", "ml", "test")
    ensure([environment, label_studio()])
    browser.ensure()
    os.chdir(ROOT)
    words = pytest_arguments(arguments, len(os.sched_getaffinity(0)))
    os.execv(environment.python, [str(environment.python), "-m", "pytest", *words])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
