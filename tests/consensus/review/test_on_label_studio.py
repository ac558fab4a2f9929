"""Queues, decisions and tabs on a real Label Studio."""

from __future__ import annotations

import random
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from administrator import Administrator
from in_memory_label_studio import choices, config, region
from playwright.sync_api import Page, expect
from reviewed import SETTINGS
from signed_in_browser import signed_in

from common.errors import RefusedError
from common.label_studio.client import LabelStudioClient
from common.label_studio.session import Session
from consensus.assist.undo import undo
from consensus.commands.connections import run_project
from consensus.core.review.rulings import Ruling
from consensus.label_studio import Studio
from consensus.review.decisions import decide
from consensus.review.gold import serve_gold
from consensus.review.tabs import TITLES, show_queues
from consensus.store.tables import CLASSIFICATION

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
    with signed_in(label_studio, chromium_path) as opened:
        yield opened


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


def test_a_decision_settles_until_it_is_undone(
    label_studio: RunningLabelStudio, studio: Studio, project: int, store: Store
) -> None:
    """The next run reports it, and its item leaves queue and tab; an undo brings both back."""
    run(studio, store, project)
    admin = label_studio.administrator
    wrong, torn = admin.task_ids(project)[20:]
    now = lambda: datetime.now(UTC)  # noqa: E731 - a clock
    settled = [Ruling(wrong, "kind", "accept"), Ruling(torn, "kind", "correct", ("owl",))]
    decided = decide(studio, store, SETTINGS, project, settled, reviewer=WHO[4], now=now)
    assert [batch.counts for batch in decided.batches] == [{"written": 2}]
    asked = decide(studio, store, SETTINGS, project, settled, reviewer=label_studio.email, now=now)
    assert [WHO[4] in refusal.why for refusal in asked.refused] == [True, True]
    run(studio, store, project)
    rows = store.of_tasks(CLASSIFICATION, project, [wrong, torn])
    reports = {(row["task"], row["label"]): row["report"] for row in rows}
    assert reports[wrong, "cat"] == reports[torn, "cat"] == "MisClassified"
    assert reports[wrong, "dog"] == reports[torn, "owl"] == "Discovered"
    assert in_tabs(label_studio, project)[TITLES["misclassified"]] == []
    undone = undo(studio, store, decided.batches[0].batch["id"], label_studio.email, now)
    assert (undone.undone, undone.kept) == (2, [])
    show_queues(studio, store.decisions, project)
    assert in_tabs(label_studio, project)[TITLES["misclassified"]] == [wrong]
    assert all(len(task["annotations"]) == 4 for task in admin.whole_tasks(project))
    run(studio, store, project)
    assert in_tabs(label_studio, project)[TITLES["controversial"]] == [torn]


def test_one_more_annotator_is_asked_by_the_label_stream(
    label_studio: RunningLabelStudio, tokens: dict[str, str], studio: Studio, project: int, store: Store
) -> None:
    """A finished task is served to somebody who has not had it, until it is taken back."""
    run(studio, store, project)
    torn = label_studio.administrator.task_ids(project)[21]
    with Administrator(label_studio.url, tokens[WHO[4]]) as annotator:
        assert served(annotator, project) is None
        ruling = Ruling(torn, "kind", "ask")
        decided = decide(
            studio, store, SETTINGS, project, [ruling], reviewer=label_studio.email, now=lambda: datetime.now(UTC)
        )
        assert served(annotator, project) == torn
    undo(studio, store, decided.batches[0].batch["id"], label_studio.email, lambda: datetime.now(UTC))
    [task] = label_studio.administrator.tasks_by_id(project, "id,overlap,is_labeled", [torn])
    assert (task["overlap"], task["is_labeled"]) == (4, True)


def served(annotator: Administrator, project: int) -> int | None:
    """The task that the label stream shows somebody next; None where it has none."""
    try:
        return int(annotator.next_task(project)["id"])
    except RefusedError as error:
        if error.http_status != httpx.codes.NOT_FOUND:
            raise
        return None


@pytest.fixture
def starred(label_studio: RunningLabelStudio, tokens: dict[str, str]) -> int:
    """Forty tasks, each to be shown to two; the administrator knows the answer to the last twelve."""
    admin = label_studio.administrator
    number = admin.create_project(config(choices("kind", "cat", "dog", "owl")), "Starred", maximum_annotations=2)
    known = {"annotations": [{"result": [region("kind", "cat")], "ground_truth": True}]}
    rows = [{"data": {"image": f"http://images.example.com/{row}.png", "label": "cat"}} for row in range(40)]
    admin.import_tasks(number, [row | (known if at >= 28 else {}) for at, row in enumerate(rows)])
    for task in admin.task_ids(number)[28:]:
        admin.set_overlap(task, 1, closed=True)
    assert tokens
    return number


def test_about_the_share_of_what_annotators_do_is_gold(
    label_studio: RunningLabelStudio, tokens: dict[str, str], studio: Studio, starred: int, store: Store
) -> None:
    """One in five for who does much and who does little; nothing of what they are shown tells it."""
    gold = set(label_studio.administrator.task_ids(starred)[28:])
    draw = random.Random(3)
    names, done = WHO[:3], {name: [0, 0] for name in WHO[:3]}
    with ExitStack() as open_sessions:
        people = {
            name: open_sessions.enter_context(Administrator(label_studio.url, tokens[name])) for name in names
        }
        for turn in range(48):
            if turn % 6 == 0:
                serve_gold(studio, store, SETTINGS, starred, 0.2, lambda: datetime.now(UTC))
            [name] = draw.choices(names, [4, 2, 1])
            task = people[name].next_task(starred)
            assert task["annotations"] == []
            assert "ground_truth" not in str(task)
            people[name].annotate(task["id"], region("kind", "owl" if name == names[0] else "cat"))
            done[name][0] += 1
            done[name][1] += task["id"] in gold
    n_tasks, n_gold = (sum(counts) for counts in zip(*done.values(), strict=True))
    assert n_gold / n_tasks == pytest.approx(0.2, abs=0.08)
    assert all(answered == pytest.approx(0.2 * total, abs=3) for total, answered in done.values())
    run(studio, store, starred)
    last = {row["annotator"]: row for row in store.annotators(store.needed_run(starred)["id"])}
    assert {name: last[name]["gold_answered"] for name in names} == {name: done[name][1] for name in names}
    assert [last[name]["gold_right"] == last[name]["gold_answered"] for name in names] == [False, True, True]
    assert last[names[0]]["gold_right"] == 0
    closed = serve_gold(studio, store, SETTINGS, starred, 0, lambda: datetime.now(UTC)).closed
    assert gold >= set(closed)
    assert all(row["is_labeled"] for row in studio.client.tasks_by_id(starred, "id,is_labeled", sorted(gold)))


def test_a_random_stream_is_counted_and_opened(
    label_studio: RunningLabelStudio, studio: Studio, starred: int, store: Store
) -> None:
    """Of 28 open tasks a fifth of all are seven known ones."""
    label_studio.administrator.change_project(starred, {"sampling": "Uniform sampling", "maximum_annotations": 1})
    for at, task in enumerate(label_studio.administrator.task_ids(starred)):
        label_studio.administrator.set_overlap(task, 1, closed=at >= 28)
    served = serve_gold(studio, store, SETTINGS, starred, 0.2, lambda: datetime.now(UTC))
    assert len(served.opened) == 7


def test_who_is_removed_from_the_organization_is_shown_nothing_more(
    label_studio: RunningLabelStudio, studio: Studio, project: int, store: Store
) -> None:
    """The remedy of docs/review.md: their votes stay, and the label stream is shut."""
    admin = label_studio.administrator
    who = "removed@example.com"
    [token] = admin.sign_up([who]).values()
    number = next(account for account, email in admin.accounts().items() if email == who)
    with Administrator(label_studio.url, token) as annotator:
        admin.annotate(admin.task_ids(project)[0], region("kind", "cat"), completed_by=number)
        admin.ask("DELETE", f"/api/organizations/1/memberships/{number}/")
        with pytest.raises(RefusedError):
            annotator.next_task(project)
    run(studio, store, project)
    assert len(store.pages.votes(project, ["kind"], task=admin.task_ids(project)[0])) == 5
