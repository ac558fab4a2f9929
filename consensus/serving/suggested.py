"""Suggestions as they were read a moment ago: reading them asks Label Studio for what has changed."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from consensus.assist.suggestions import Suggested

FRESH_S = 120.0
KEPT = 4
"""Projects whose suggestions are held in memory."""


class SuggestedMemory:
    """Holds the suggestions of the projects that were asked about last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._read: OrderedDict[tuple[int, str | None], tuple[float, Suggested]] = OrderedDict()

    def fresh(self, project: int, version: str | None) -> Suggested | None:
        """Return what was read of a project's version, if that is not long ago."""
        with self._lock:
            read = self._read.get((project, version))
        return read[1] if read and self._clock() - read[0] < FRESH_S else None

    def keep(self, project: int, version: str | None, suggested: Suggested) -> None:
        """Hold what was just read, under the name of its version too."""
        with self._lock:
            for place in ((project, version), (project, suggested.version)):
                self._read[place] = self._clock(), suggested
                self._read.move_to_end(place)
            while len({id(held) for _, held in self._read.values()}) > KEPT:
                self._read.popitem(last=False)

    def forget(self, project: int) -> None:
        """Let go what was read of a project: something was written."""
        with self._lock:
            for place in [place for place in self._read if place[0] == project]:
                del self._read[place]
