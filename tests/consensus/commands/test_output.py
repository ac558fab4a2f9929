"""What a person sees of the progress; the tables are tested with the command line."""

import io

import pytest
from rich.console import Console

from consensus.commands import output


@pytest.mark.parametrize(
    ("terminal", "quiet", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch,
    *,
    terminal: bool,
    quiet: bool,
    shown: bool,
) -> None:
    """Each step has a bar with its numbers, unless nobody looks or a program reads."""
    text = io.StringIO()
    monkeypatch.setattr(output, "ERR", Console(file=text, force_terminal=terminal, width=100))
    with output.watching(quiet=quiet) as watcher:
        for done in (1, 2):
            watcher.of("reading tasks", 2)(done)
        watcher.of("writing reports", 3)(4)  # more than was thought
    assert ("reading tasks" in text.getvalue() and "2/2" in text.getvalue()) == shown
    assert ("writing reports" in text.getvalue() and "4/4" in text.getvalue()) == shown
