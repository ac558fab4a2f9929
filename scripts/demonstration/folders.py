"""A fresh folder for each run under `.demo/`, removed when the run ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_USE = "in-use"


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """Make a folder of this run's own; also remove those that killed runs left behind."""
    parent.mkdir(exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    try:
        with (folder / IN_USE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            parent.rmdir()


def sweep(parent: Path) -> None:
    """Remove the folders of runs that are over."""
    for lock_file in parent.glob(f"run-*/{IN_USE}"):
        with contextlib.suppress(OSError), lock_file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_file.parent, ignore_errors=True)
