"""Each step of the demo with the seconds that it took."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import httpx
from rich.console import Console
from rich.markup import escape

from common.errors import LabelStudioError
from demonstration.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 120
"""Columns where the output is no terminal."""


class Steps:
    """Shows what is being done and how long it took.

    Parameters
    ----------
    began
        When the command began, on the monotonic clock.
    """

    def __init__(self, began: float) -> None:
        console = Console(highlight=False)
        self.console = console if console.is_terminal else Console(highlight=False, width=WIDTH)
        self._began = began

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step while it is done, and its time afterwards."""
        began = time.monotonic()
        try:
            with self.console.status(escape(title)):
                yield
        except (LabelStudioError, httpx.HTTPError) as error:
            raise DemoError(f"While {title}: {error}") from error
        self.done(title, time.monotonic() - began)

    def done(self, title: str, seconds: float) -> None:
        """Show a step that is done."""
        self.console.print(f"[dim]{seconds:5.1f} s[/dim]  {escape(title)}")

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False)

    @property
    def seconds(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began
