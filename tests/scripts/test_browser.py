"""The browser of the tests: found on the PATH, installed where that may be, otherwise said to be missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import browser
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def write_program(path: Path, script: str) -> None:
    """Write a shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_browser_on_the_path_is_found(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is installed or said then."""
    write_program(programs / "google-chrome", "")
    browser.ensure()
    assert browser.find() == str(programs / "google-chrome")
    assert capsys.readouterr().out == ""


def test_without_rights_it_is_only_said(
    programs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not root gets a line, not an error."""
    write_program(programs / "apt-get", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    browser.ensure()
    assert "will be skipped" in capsys.readouterr().out


def test_root_on_debian_gets_one(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apt is asked to update and to install, and the browser is there."""
    write_program(programs / "apt-get", f'echo "$@" >> {programs}/asked\n: > {programs}/chromium')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    browser.ensure()
    assert (programs / "asked").read_text().splitlines() == [
        "--quiet update",
        "--quiet install --yes --no-install-recommends chromium",
    ]


def test_a_failing_apt_is_no_reason_to_stop(
    programs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network the other tests run all the same."""
    write_program(programs / "apt-get", "exit 100")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    browser.ensure()
    assert "could not be installed" in capsys.readouterr().out
