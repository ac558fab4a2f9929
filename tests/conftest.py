"""Real parts for the tests: a Label Studio, a PostgreSQL, a browser, the crowds of published data sets."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import tempfile
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import browser
import label_studio_server
import pytest
import sqlalchemy
from administrator import Administrator
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
# As in production: threads that wait by spinning make k-means six times as slow beside anything else. Read when
# scikit-learn or torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass
class RunningLabelStudio:
    """A real Label Studio with an administrator."""

    url: str
    api_key: str = field(repr=False)
    email: str
    password: str = field(repr=False)

    _open: contextlib.ExitStack = field(repr=False)

    @cached_property
    def administrator(self) -> Administrator:
        """The administrator's client; its connections are closed at the end."""
        return self._open.enter_context(Administrator(self.url, self.api_key))


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLabelStudio]:
    """A real Label Studio, started once for all tests of a worker: every test makes projects of its own in it."""
    running = label_studio_server.start(tmp_path_factory.mktemp("label-studio") / "base")
    account = running.account
    with contextlib.ExitStack() as ending:
        ending.callback(running.stop)
        yield RunningLabelStudio(running.url, account.token, account.email, account.password, ending)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy URL of a real PostgreSQL's first database, started once for all tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pgserver's own, about a machine without XDG_RUNTIME_DIR
        import pgserver  # noqa: PLC0415 - its import warns

        server = pgserver.get_server(tempfile.mkdtemp(prefix="postgres-"), cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
    server.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that start servers: they take longest, and the others fill up what a worker is idle."""
    items.sort(key=lambda item: item.get_closest_marker("server") is None)


def pytest_collection() -> None:
    """Import without looking for garbage: almost all that is made then stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Let the collector of garbage look no more at what stays: tests and libraries take it a second each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


_numbers = itertools.count(1)


@pytest.fixture
def postgres_database_url(postgres_url: str) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database that is this test's alone."""
    name = f"test_{next(_numbers)}"
    engine = sqlalchemy.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield sqlalchemy.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the system's Chromium or Chrome."""
    path = browser.find()
    if path is None:
        pytest.skip("no chromium or google-chrome on the PATH")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of published data sets with several annotators, beside this repository on some machines."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder.relative_to(ROOT.parent)} beside the repository")
    return folder
