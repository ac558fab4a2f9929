"""Runs that read only what has changed, on a Label Studio in memory."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from in_memory_label_studio import PROJECT, InMemoryStudio, region

from consensus.core.decide.writeback import Difference, Entry, Written
from consensus.core.votes.tasks import Task
from consensus.label_studio import CachedTasks, Pulled, Studio
from consensus.projects.run import Outcome, run, written_on
from consensus.settings import ProjectConfig
from consensus.store.store import Store

CONFIG = """<View><Image name="image" value="$image"/><Choices name="kind" toName="image">
<Choice value="cat"/><Choice value="dog"/></Choices></View>"""
ACCOUNTS = {number: f"a{number}@example.com" for number in (1, 2, 3)}
Run = Callable[..., Outcome]


@pytest.fixture
def studio() -> InMemoryStudio:
    """Twelve tasks with three votes each, and suggestions that were made before."""
    made = InMemoryStudio(CONFIG)
    made.accounts = dict(ACCOUNTS)
    for number in range(12):
        task = made.add_task({"kind": "cat" if number % 2 else "dog"})["id"]
        suggestion = made.predict(task, "m1", [region("kind", "cat")], score=0.5)["id"]
        made.now += timedelta(seconds=1)
        for account in ACCOUNTS:
            made.annotate(task, [region("kind", "cat")], completed_by=account, parent_prediction=suggestion)
    return made


@pytest.fixture
def run_once(studio: InMemoryStudio, tmp_path: Path) -> Run:
    """Runs consensus five minutes after the run before, with a cache or without."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")

    def _run(cache: Path | None = tmp_path / "cache") -> Outcome:
        studio.now += timedelta(minutes=5)
        studio.requests.clear()
        with studio.client() as client:
            label_studio = Studio(client, "of a test", cache=cache)
            return run(label_studio, store, ProjectConfig(), PROJECT, now=lambda: studio.now)

    return _run


def pulled(studio: InMemoryStudio, cache: Path | None) -> Pulled[list[tuple[Task, list[Written]]]]:
    """All that is read of the project."""
    with studio.client() as client:
        return Studio(client, "of a test", cache=cache).pull(PROJECT, ACCOUNTS, studio.now, CachedTasks.read)


def asked(studio: InMemoryStudio) -> list[str]:
    """How tasks and predictions were asked for since the last run began: all, changes or by id."""
    queries = [request for request in studio.requests if request.url.path == "/api/tasks/"]
    kinds = [json.loads(request.url.params.get("query", "{}")) for request in queries]
    listed = ["predictions"] * any(request.url.path == "/api/predictions/" for request in studio.requests)
    return listed + ["changes" if "filters" in kind else "by id" if kind else "all" for kind in kinds]


def test_a_run_asks_only_for_what_has_changed(studio: InMemoryStudio, run_once: Run, tmp_path: Path) -> None:
    """Also after it has written reports itself, and what it reads is what a full reading finds."""
    first = run_once()
    assert (first.tasks_read, sum(first.reports.values()) > 0) == (12, True)
    assert asked(studio) == ["predictions", "all", "by id"]
    again = run_once()
    assert (again.tasks_read, again.changes.empty, again.reports) == (0, True, first.reports)
    assert asked(studio) == ["changes"]
    numbers = sorted(studio.tasks)
    for account in ACCOUNTS:
        studio.annotate(numbers[3], [region("kind", "dog")], completed_by=account)
    studio.tasks[numbers[4]]["annotations"].pop()
    studio.touch(numbers[4])
    studio.add_task({"kind": "dog"})
    changed = run_once()
    assert (changed.tasks_read, changed.changes.empty) == (3, False)
    assert asked(studio) == ["changes", "by id"]
    cached, whole = pulled(studio, tmp_path / "cache"), pulled(studio, None)
    assert cached.tasks == whole.tasks
    assert run_once(None).changes.empty


def test_a_model_s_new_predictions_are_read(studio: InMemoryStudio, run_once: Run, tmp_path: Path) -> None:
    """An import of them changes no task's time; they are suggestions, and given labels where settings say so."""
    run_once()
    for number in studio.tasks:
        studio.predict(number, "m2", [region("kind", "dog")])
    cached = pulled(studio, tmp_path / "cache")
    assert cached.read == 0
    assert {tuple(task.predictions) for task, _ in cached.tasks} == {("m1", "m2")}
    assert cached.tasks == pulled(studio, None).tasks


def test_the_tasks_of_a_difference() -> None:
    """Of what is created, changed, deleted and emptied; what stays is not among them."""
    entries = [Entry(task, "Discovered" if task < 6 else "NoVotes", "kind", "cat", 0.5) for task in range(8)]
    there = [Written(10 + entry.task, entry) for entry in entries]
    changes = Difference(create=[entries[1]], update=[there[2]], delete=[13], clear=["consensus/NoVotes"])
    assert written_on(changes, there) == {1, 2, 3, 6, 7}
