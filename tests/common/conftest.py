"""Settings of the machine do not reach the tests of what is common."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts in an empty folder and without variables."""
    for name in os.environ:
        if name.startswith(("LABEL_STUDIO_", "CONSENSUS_", "ML_BACKEND_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
