"""The benchmark of the console's pages, tiny."""

import json
import sys
from pathlib import Path

import console
import pytest
from console_pages import Pages
from console_store import fill

NO_PAGES = {
    "static",
    "sign_in.ask",
    "pictures.picture",  # is looked at in a browser
    "acting.job",  # of what somebody has begun, as the others
    "setup.importing",
    "setup.left_out",
    "setup.exported",
}


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


def test_no_page_is_left_out(tmp_path: Path) -> None:
    """From the table of routes."""
    url = f"sqlite:///{tmp_path}/store.db"
    pages = Pages(url, fill(url, 400), tmp_path)
    routes = pages.app.url_map.bind("localhost")
    shown = {routes.match(made().partition("?")[0])[0] for _, made in pages.addresses.values()}
    rules = pages.app.url_map.iter_rules()
    assert {rule.endpoint for rule in rules if "GET" in (rule.methods or set())} - shown == NO_PAGES
