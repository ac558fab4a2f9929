"""What a person sees of the progress, and what is counted of the time."""

import io

import pytest
from rich.console import Console

from common.progress import Steps, of_step, shown_on


def console(text: io.StringIO, *, terminal: bool = True) -> Console:
    """A console that writes into a text."""
    return Console(file=text, force_terminal=terminal, width=100)


@pytest.mark.parametrize(
    ("terminal", "quiet", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_progress_is_shown_on_a_terminal_only(*, terminal: bool, quiet: bool, shown: bool) -> None:
    """Each step has a bar with its numbers, unless nobody looks or a program reads."""
    text = io.StringIO()
    with shown_on(console(text, terminal=terminal), quiet=quiet) as progress:
        for done in (1, 2):
            of_step(progress, "reading tasks", 2)(done)
        of_step(progress, "writing reports", 3)(4)  # more than was thought
    assert ("reading tasks" in text.getvalue() and "2/2" in text.getvalue()) == shown
    assert ("writing reports" in text.getvalue() and "4/4" in text.getvalue()) == shown


def test_one_bar_takes_the_name_of_each_step() -> None:
    """Where a step is under way at the start, how much there is may be unknown for a while."""
    text = io.StringIO()
    with shown_on(console(text), first="waiting") as progress:
        progress("starting", 0, 0)
        progress("learning", 3, 5)
    last = text.getvalue().rpartition("learning")[2]
    assert "3/5" in last
    assert "starting" not in last


def test_the_time_of_a_step_is_counted_together() -> None:
    """Also of one that failed; steps stay in their order."""
    steps = Steps()
    with steps.timed("pull"):
        pass
    with pytest.raises(ValueError, match="broken"), steps.timed("fit"):
        raise ValueError("broken")
    before = steps.seconds["pull"]
    with steps.timed("pull"):
        pass
    assert list(steps.seconds) == ["pull", "fit"]
    assert steps.seconds["pull"] >= before
