"""One at a time: a lock file that a process holds until it ends, and whose wait can be called off."""

from __future__ import annotations

import contextlib
import fcntl
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

POLL_SECONDS = 0.5


@contextlib.contextmanager
def held(
    path: Path, say: Callable[[str], None] = lambda _line: None, cancelled: threading.Event | None = None
) -> Iterator[None]:
    """Hold a lock file; wait for another run that holds it, unless that is called off.

    Parameters
    ----------
    path
        The file; its folder is made.
    say
        Told that another run is waited for.
    cancelled
        Ends the wait; the block is then entered without the lock and has to look at it.
    """
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        while cancelled is None or not cancelled.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                say("another run is working on it; waiting")
                time.sleep(POLL_SECONDS)
        yield
