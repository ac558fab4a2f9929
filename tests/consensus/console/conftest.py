"""The console on a store and a Label Studio in memory."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from made_projects import OWNER, PROJECT, InMemoryProject
from playwright.sync_api import Browser, sync_playwright

from consensus.projects.run import run
from consensus.review.queues import refresh
from consensus.settings import ProjectConfig
from consensus.store.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # where the desk is

from made_desk import Desk
from signed_in_browser import FLAGS


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Twenty tasks that three people have judged, the suggestions of the last two wrong; ten that wait."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    made = InMemoryProject.judged(people=20, waiting=10, wrong=2)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    refresh(store, PROJECT, ProjectConfig().review, made.now())
    made.later()
    return Desk(made, store, tmp_path)


@pytest.fixture
def admin(desk: Desk) -> FlaskClient:
    """Whose key consensus works with."""
    return desk.signed_in(OWNER)


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """A browser without anybody in it."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path, args=[*FLAGS])
        yield launched
        launched.close()
