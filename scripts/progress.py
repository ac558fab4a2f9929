"""One line for each thing under way: redrawn on a terminal, printed now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN_EVERY = 10.0
"""Seconds between the lines where the output is no terminal."""
QUIET = 0.5
"""Seconds under which nothing is worth a line."""


class UnderWay(Protocol):
    """Something that takes time."""

    name: str
    line: str
    began: float
    seconds: float | None


class Progress:
    """Shows things under way on a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._drawn = 0
        self._began = self._last = time.monotonic()

    def show(self, under_way: Sequence[UnderWay]) -> None:
        """Show how far the things are."""
        now = time.monotonic()
        if now - self._began < QUIET:
            return
        if self._terminal:
            self._draw(under_way)
        elif now - self._last >= PLAIN_EVERY:
            self._last = now
            for each in under_way:
                self._print(each, width=160)

    def end(self, under_way: Sequence[UnderWay]) -> None:
        """Show the last state, unless all of it was over at once."""
        if time.monotonic() - self._began < QUIET:
            return
        if self._terminal:
            self._draw(under_way)
        else:
            for each in under_way:
                self._print(each, width=160)

    def _draw(self, under_way: Sequence[UnderWay]) -> None:
        width = shutil.get_terminal_size().columns - 1
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}F")
        for each in under_way:
            self._stream.write("\x1b[2K")
            self._print(each, width)
        self._drawn = len(under_way)

    def _print(self, each: UnderWay, width: int) -> None:
        seconds = each.seconds if each.seconds is not None else time.monotonic() - each.began
        self._stream.write(f"{each.name:<20} {seconds:4.0f} s  {each.line}"[:width] + "\n")
        self._stream.flush()
