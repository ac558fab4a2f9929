"""The benchmark of the console's pages, tiny."""

import json
import sys

import console
import pytest


def test_every_page_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone and while a run writes; the last line has it for programs, whether or not the bar is reached."""
    monkeypatch.setattr(
        sys, "argv", ["console.py", "--classifications", "400", "--pages", "1", "--backends", "sqlite"]
    )
    console.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["classifications"], figures["votes"]) == (400, 2000)
    assert {"overview", "report, later", "grid", "card", "people, being computed"} <= figures["sqlite"].keys()
    assert all(min(map(min, states)) > 0 for states in figures["sqlite"].values())
    assert figures["seconds"]["sqlite"].keys() == {"filling", "people", "pay", "all"}
