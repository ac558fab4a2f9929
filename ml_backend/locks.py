"""Locks between processes that end with the process that holds them."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock file.

    Parameters
    ----------
    path : Path
        Made with its folder if it does not exist.
    wait : bool
        Wait for another holder, or give up at once.

    Yields
    ------
    bool
        Whether the lock is held; always True with ``wait``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
