"""A store for the tests of review."""

import sys
from pathlib import Path

import pytest

from consensus.store.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # where the project is made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.migrated(f"sqlite:///{tmp_path}/store.db")
