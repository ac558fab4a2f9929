"""Which ports the demo takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers import free_port, is_free

from demonstration.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable


def choose(name: str, requested: int | None, preferred: int, option: str, say: Callable[[str], None]) -> int:
    """Choose a port: the one that was asked for, or the usual one, or, where that is busy, any free one.

    Raises
    ------
    DemoError
        Where the port that was asked for is busy.
    """
    if requested is not None:
        if is_free(requested):
            return requested
        raise DemoError(
            f"Port {requested} for {name} is busy: stop what listens there, give {option} another one, or leave "
            f"{option} out to get a free one."
        )
    if is_free(preferred):
        return preferred
    chosen = free_port()
    say(f"Port {preferred} is busy: {name} gets port {chosen}.")
    return chosen
