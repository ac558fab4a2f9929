"""Run every test; arguments go to pytest. Makes the environments first where they are missing."""

from __future__ import annotations

import os

import browser
from environments import ROOT, label_studio, ours
from installing import ensure


def main(arguments: list[str]) -> None:
    """Become pytest, in our environment."""
    environment = ours("ml", "test")
    ensure([environment, label_studio()])
    browser.ensure()
    os.chdir(ROOT)
    os.execv(environment.python, [str(environment.python), "-m", "pytest", *arguments])  # noqa: S606


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
