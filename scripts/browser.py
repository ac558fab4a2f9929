"""The browser of the tests: a Chromium or Chrome of the system."""

from __future__ import annotations

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LIMIT_SECONDS = 300


def find() -> str | None:
    """Path of the browser, or None where the system has none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def ensure() -> None:
    """Install Debian's `chromium` where there is no browser and we may; else only say what is left out."""
    if find() is not None:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print("No chromium or google-chrome on the PATH: tests in a browser will be skipped.")
        return
    print("No browser found: installing Debian's chromium for the tests in a browser.", flush=True)
    try:
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", "chromium")
    except (OSError, subprocess.SubprocessError) as error:
        print(f"chromium could not be installed ({error}): tests in a browser will be skipped.")


def _apt(*arguments: str) -> None:
    subprocess.run(
        ["apt-get", "--quiet", *arguments],
        check=True,
        timeout=LIMIT_SECONDS,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
