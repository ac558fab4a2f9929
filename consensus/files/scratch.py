"""A folder for what does not fit into memory, gone when it is no longer needed, whatever ends the work."""

import fcntl
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from consensus.errors import ConfigError

PREFIX = "consensus-score-"
REMEDY = "let the environment variable TMPDIR name a folder with more room"


@contextmanager
def scratch(needed: int) -> Iterator[Path]:
    """Make a folder in TMPDIR and delete it in the end, also after SIGTERM.

    What a run that was killed outright has left is deleted first: nobody holds its lock any more.

    Parameters
    ----------
    needed : int
        Bytes.

    Yields
    ------
    Path

    Raises
    ------
    ConfigError
        Where there is less room than needed.
    """
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise ConfigError(
            f"about {needed / 1e9:.1f} GB are needed for a while in {parent}, and {free / 1e9:.1f} GB are free; "
            f"{REMEDY}"
        )
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, (Path(name) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with _terminated_like_anything():
                yield Path(name)
        except OSError as error:
            raise ConfigError(f"{name} cannot be used: {error.strerror or error}; {REMEDY}") from None


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            with (folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, or another user's


@contextmanager
def _terminated_like_anything() -> Iterator[None]:
    """Let SIGTERM unwind the stack; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
