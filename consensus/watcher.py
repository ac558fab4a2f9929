"""Where a run tells how far it is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Watcher:
    """Where a run tells how far it is: the name of the step, how much is done, how much there is."""

    tell: Callable[[str, int, int], None] = lambda _step, _done, _all: None

    def of(self, step: str, total: int) -> Callable[[int], None]:
        """Return a function that tells how much of one step is done."""
        return lambda done: self.tell(step, done, total)


SILENT = Watcher()
"""Tells nobody."""
