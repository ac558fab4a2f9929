"""A project in memory whose tasks a model has suggested labels for, and an empty store."""

import shutil
from pathlib import Path

import pytest
from made_projects import InMemoryProject

from consensus.store.store import Store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store, to be copied."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    Store.migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Store:
    """An empty store."""
    copy = shutil.copy(empty_store, tmp_path / "decisions.db")
    return Store(f"sqlite:///{copy}")


@pytest.fixture
def made() -> InMemoryProject:
    """Ten tasks, of which nobody has annotated any."""
    return InMemoryProject()
