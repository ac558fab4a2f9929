"""The demo's folders: one a run, gone when it ends, and swept up after runs that were killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from demonstration.folders import IN_USE, run_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_gone_when_its_run_ends(tmp_path: Path) -> None:
    """Nothing is left, not even the folder of the runs."""
    with run_folder(tmp_path / ".demo") as folder:
        (folder / "database").write_text("kept")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_gone_when_its_run_fails(tmp_path: Path) -> None:
    """An error leaves nothing either."""
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path / ".demo"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_is_swept_up(tmp_path: Path) -> None:
    """The next run removes what nobody uses any more."""
    abandoned = tmp_path / "run-abandoned"
    abandoned.mkdir()
    (abandoned / IN_USE).touch()
    with run_folder(tmp_path):
        assert not abandoned.exists()


def test_two_runs_do_not_sweep_each_other_up(tmp_path: Path) -> None:
    """A folder in use stays."""
    with run_folder(tmp_path) as first, run_folder(tmp_path) as second:
        assert first != second
        assert first.exists()
