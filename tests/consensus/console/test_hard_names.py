"""Pages with 400 labels, and with names that are long, from right to left or look like markup, in a browser."""

import re
import sys
import threading
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from in_memory_label_studio import choices, config, region
from made_projects import OWNER, PROJECT, InMemoryProject
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from consensus.projects.run import run
from consensus.review.queues import refresh
from consensus.settings import ProjectConfig
from consensus.store.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # where the desk is
from made_desk import PASSWORD, Desk
from page_faults import NO_PICTURE, faults_of

pytestmark = pytest.mark.server

LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 4
MARKUP = "<b>bold</b> & \"quoted\" 'names' {{ 7 * 7 }}"
RIGHT_TO_LEFT = "חתול שחור (לילה)"
SPACED = "a very long name of many words that has to be broken somewhere " * 3
LABELS = [LONG, MARKUP, RIGHT_TO_LEFT, SPACED.strip(), *(f"species number {number}" for number in range(396))]
PEOPLE = {5: f"{'first.name.' * 5}last@{'sub.' * 12}example.com", 6: "=cmd@example.com", 7: "ツ@example.com"}
LEFT_OUT = re.compile(r"\.csv|/sign-out|/pictures/")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages of a project with such names."""
    folder = tmp_path_factory.mktemp("names")
    made = InMemoryProject(tasks=0)
    made.server.project["label_config"] = config(choices("kind", *(escape(label, quote=True) for label in LABELS)))
    made.server.project.update(title=LONG, model_version=SPACED)
    made.server.accounts |= PEOPLE
    for number in range(24):
        label = LABELS[number % 6]
        suggestion = {"model_version": SPACED, "result": [region("kind", label, score=0.9)], "score": 0.9}
        data = {"image": f"{number}.png", "label": LABELS[(number + number % 2) % 6]}
        made.tasks.append(made.server.add_task(data, predictions=[suggestion], task_id=101 + number))
    made.later()
    for number in range(18):
        for account in PEOPLE:
            choice = LABELS[(number + (number + account) % 5 // 4) % 6]
            made.server.annotate(101 + number, [region("kind", choice)], completed_by=account)
    made.later()
    store = Store.migrated(f"sqlite:///{folder}/store.db")
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    refresh(store, PROJECT, ProjectConfig().review, made.now())
    server = make_server("127.0.0.1", 0, Desk(made, store, folder).app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/projects/{PROJECT}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("width", [1280, 390])
def test_no_name_breaks_a_page(address: str, browser: Browser, width: int) -> None:
    """None is wider than the window, shows markup as such, or leaves somebody out."""
    with browser.new_context(viewport={"width": width, "height": 800}, reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(address)
        page.fill("[name=email]", OWNER)
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_url(address)
        faults, kinds = dict[str, list[str]](), set[str]()
        waiting = [address]
        while waiting:
            url = waiting.pop(0)
            kind = re.sub(r"[^/]*[\d@%][^/]*", "…", urlsplit(url).path)
            if kind in kinds:
                continue
            kinds.add(kind)
            answer = page.goto(url)
            assert answer is not None
            assert answer.ok, (url, answer.status)
            faults[url] = broken_by_names(page)
            links = page.locator("a[href]").evaluate_all("all => all.map((each) => each.href)")
            waiting += [link for link in links if link.startswith(address) and not LEFT_OUT.search(link)]
    assert not any(faults.values()), faults
    assert len(kinds) > 15, kinds


def broken_by_names(page: Page) -> list[str]:
    """What is wrong with a page whose images nobody serves."""
    faults = ["a name is markup"] if page.locator("main b", has_text="bold").count() else []
    faults += ["a name is a template"] if "& \"quoted\" 'names' 49" in page.inner_text("body") else []
    return faults + [each for each in faults_of(page) if each != NO_PICTURE]
