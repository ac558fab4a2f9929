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


@pytest.mark.parametrize(
    ("user", "sentence"), [(1000, "will be skipped"), (0, "could not be installed")], ids=["no root", "no network"]
)
def test_where_none_can_be_installed_it_is_only_said(
    programs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    sentence: str,
) -> None:
    """Without rights or a network there is a line, not an error: the other tests run all the same."""
    write_program(programs / "apt-get", "exit 100")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    browser.ensure()
    assert sentence in capsys.readouterr().out


def test_root_on_debian_gets_one(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apt is asked to update and to install, and the browser is there."""
    write_program(programs / "apt-get", f'echo "$@" >> {programs}/asked\n: > {programs}/chromium')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    browser.ensure()
    assert (programs / "asked").read_text().splitlines() == [
        "--quiet update",
        "--quiet install --yes --no-install-recommends chromium",
    ]
