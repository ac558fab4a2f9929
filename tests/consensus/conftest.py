"""Settings of the machine do not reach the tests of consensus."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.settings import settings

sys.path.insert(0, str(Path(__file__).parent))  # where the folders of votes are made


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Every test starts in an empty folder, without variables, and without those that another one read."""
    for name in os.environ:
        if name.startswith(("LABEL_STUDIO_", "CONSENSUS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    settings.cache_clear()
