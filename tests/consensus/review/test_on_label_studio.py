"""Queues, decisions and tabs on a real Label Studio."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from in_memory_label_studio import choices, config, region
from playwright.sync_api import Page, expect, sync_playwright
from reviewed import SETTINGS

from common.label_studio.client import LabelStudioClient
from common.label_studio.session import Session
from consensus.commands.connections import run_project
from consensus.label_studio import Studio
from consensus.review.tabs import TITLES, show_queues

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import RunningLabelStudio

    from consensus.store.store import Store

pytestmark = pytest.mark.server
WHO = tuple(f"reviewed-{number}@example.com" for number in range(5))


@pytest.fixture(scope="module")
def tokens(label_studio: RunningLabelStudio) -> dict[str, str]:
    """Four annotators and a reviewer, with their tokens."""
    return label_studio.administrator.sign_up(WHO)


@pytest.fixture
def project(label_studio: RunningLabelStudio, tokens: dict[str, str]) -> int:
    """Twenty tasks that all confirm, one given wrongly, one that is torn."""
    admin = label_studio.administrator
    number = admin.create_project(config(choices("kind", "cat", "dog", "owl")), "Reviewed", maximum_annotations=4)
    ids = {email: account for account, email in admin.accounts().items()}
    votes = ["cat cat cat cat"] * 20 + ["dog dog dog dog", "cat cat dog dog"]
    tasks = [
        {
            "data": {"image": f"http://images.example.com/{row}.png", "label": "cat"},
            "annotations": [
                {"completed_by": ids[who], "result": [region("kind", label)], "ground_truth": False}
                for who, label in zip(tokens, each.split(), strict=False)
            ],
        }
        for row, each in enumerate(votes)
    ]
    admin.import_tasks(number, tasks)
    return number


@pytest.fixture
def studio(label_studio: RunningLabelStudio) -> Iterator[Studio]:
    """The edge of consensus."""
    client = LabelStudioClient(Session(label_studio.url, label_studio.api_key))
    yield Studio(client, "of a test")
    client.close()


@pytest.fixture
def page(label_studio: RunningLabelStudio, chromium_path: str) -> Iterator[Page]:
    """A browser in which the administrator has signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(f"{label_studio.url}/user/login/")
        opened.fill("input[name=email]", label_studio.email)
        opened.fill("input[name=password]", label_studio.password)
        opened.click("button[type=submit]")
        expect(opened).not_to_have_url(re.compile("login"))
        yield opened
        browser.close()


def run(studio: Studio, store: Store, project: int) -> None:
    """A run as the command does it, with the queues and tabs after it."""
    run_project(studio, store, SETTINGS, project, now=lambda: datetime.now(UTC))


def in_tabs(label_studio: RunningLabelStudio, project: int) -> dict[str, list[int]]:
    """Tasks that Label Studio shows in each tab of review, by its title."""
    admin = label_studio.administrator
    return {
        tab["data"]["title"]: [task["id"] for task in admin.whole_tasks(project, view=tab["id"])]
        for tab in admin.tabs(project)
        if tab["data"]["title"] in TITLES.values()
    }


def test_tabs_show_the_queues(
    label_studio: RunningLabelStudio, studio: Studio, project: int, store: Store, page: Page
) -> None:
    """By the API and in a browser, which opens no tab at all if it does not understand the filter of one."""
    run(studio, store, project)
    ids = label_studio.administrator.task_ids(project)
    shown = {"misclassified": [ids[20]], "controversial": [ids[21]], "spot": ids[:20]}
    assert in_tabs(label_studio, project) == {TITLES[queue]: tasks for queue, tasks in shown.items()}
    [tab] = [tab for tab in studio.client.tabs(project) if tab["data"]["title"] == TITLES["spot"]]
    page.goto(f"{label_studio.url}/projects/{project}/data?tab={tab['id']}")
    expect(page.get_by_text("Tasks: 20 / 22")).to_be_visible(timeout=60_000)
    assert show_queues(studio, store.decisions, project) == {}
    store.decisions.refill(project, "misclassified", [], datetime.now(UTC), "of a test")
    show_queues(studio, store.decisions, project)
    assert in_tabs(label_studio, project)[TITLES["misclassified"]] == []
