"""What a long piece of work tells of itself: how far it is, and how long each step took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Progress(Protocol):
    """Told the step, how much of it is done, and how much there is."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """Show it."""


def silent(_step: str, _done: int, _total: int, /) -> None:
    """Show nothing."""


@dataclass
class Steps:
    """Seconds by step, in their order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count what happens inside towards a step."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - began
