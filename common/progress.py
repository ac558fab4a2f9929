"""How far a long piece of work is, how a terminal shows it, and how long each of its steps took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text


class Progress(Protocol):
    """Shows the step, how much of it is done, and how much there is."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """Show it."""


StepProgress = Callable[[int], None]
"""Shows how much of one step is done."""


def silent(_step: str, _done: int, _total: int, /) -> None:
    """Show nothing."""


def of_step(progress: Progress, step: str, total: int) -> StepProgress:
    """Return the progress of one step."""
    return lambda done: progress(step, done, total)


def bar_columns(*times: ProgressColumn) -> tuple[ProgressColumn, ...]:
    """Return the columns of a bar, with those that show its times."""
    return (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), *times)


class RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Return the text, empty before there is a speed."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "")


@contextmanager
def shown_on(
    console: Console,
    *columns: ProgressColumn,
    first: str | None = None,
    quiet: bool = False,
    transient: bool = False,
) -> Iterator[Progress]:
    """Show the steps as bars on a console, or nothing where that is no terminal.

    Parameters
    ----------
    *columns : ProgressColumn
        Those of `bar_columns` with the remaining time where there are none.
    first : str or None
        Name of a step that is under way already, whose bar becomes that of each later step; of 0, how much there
        is is unknown then. None: a bar a step.
    quiet : bool
        Whether nothing is shown.
    transient : bool
        Whether the bars vanish at the end.
    """
    columns = columns or bar_columns(TimeRemainingColumn())
    with Bars(*columns, console=console, transient=transient, disable=quiet or not console.is_terminal) as bars:
        only = None if first is None else bars.add_task(first, total=None)
        by_step: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int, /) -> None:
            if only is None and step not in by_step:
                by_step[step] = bars.add_task(step, total=total)
            bar = by_step[step] if only is None else only
            whole = max(total, done)
            bars.update(bar, description=step, completed=done, total=whole if only is None else whole or None)

        yield show


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
