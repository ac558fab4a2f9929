"""Runs that read only what has changed, on a Label Studio in memory."""

import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from in_memory_label_studio import PROJECT, InMemoryStudio, region

from common.label_studio.incremental_sync import Pulled
from consensus.core.decide.writeback import Difference, Entry, Written
from consensus.core.votes.from_annotations import Task, TaskRows, rows_of
from consensus.label_studio import CachedTasks, Studio
from consensus.projects import project_votes
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

    def _run(cache: Path | None = tmp_path / "cache", config: ProjectConfig | None = None) -> Outcome:
        studio.now += timedelta(minutes=5)
        studio.requests.clear()
        with studio.client() as client:
            label_studio = Studio(client, "of a test", cache=cache)
            return run(label_studio, store, config or ProjectConfig(), PROJECT, now=lambda: studio.now)

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


def test_only_tasks_that_have_changed_are_read_as_votes_again(
    studio: InMemoryStudio, run_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that a run wrote onto are among them; with another setting all are, as a reading without a cache."""
    read: list[int] = []

    def counting(task: Task, *arguments: Any) -> TaskRows:  # noqa: ANN401 - as rows_of takes them
        read.append(task.id)
        return rows_of(task, *arguments)

    monkeypatch.setattr(project_votes, "rows_of", counting)
    run_once()
    numbers = sorted(studio.tasks)
    assert read == numbers
    read.clear()
    studio.annotate(numbers[3], [region("kind", "dog")], completed_by=1)
    changed = run_once()
    assert (set(read) >= {numbers[3]}, changed.votes) == (True, 36)
    read.clear()
    again = run_once()
    assert set(read) == {update.entry.task for update in changed.changes.update} | {
        entry.task for entry in changed.changes.create
    }
    read.clear()
    without = run_once(config=ProjectConfig(machines=["3"]))
    assert (read, without.votes) == (numbers, 24)
    assert [row["annotator"] for row in without.annotators] == [ACCOUNTS[1], ACCOUNTS[2]]
    assert (again.reports, again.votes) == ((whole := run_once(None)).reports, whole.votes)


def test_whose_annotations_were_is_asked_again_at_each_run(studio: InMemoryStudio, run_once: Run) -> None:
    """Label Studio takes the name off when an account is deleted; what the store knows of it may come later."""
    run_once()
    for task in studio.tasks.values():
        task["annotations"][0]["completed_by"] = None
        studio.touch(task["id"])
    names = [row["annotator"] for row in run_once().annotators]
    assert names == [row["annotator"] for row in run_once().annotators] == list(ACCOUNTS.values())


def test_damage_to_what_is_kept_costs_a_full_reading(run_once: Run, tmp_path: Path) -> None:
    """The run says nothing else than one without a cache."""
    run_once()
    before = run_once()
    [path] = (tmp_path / "cache").rglob("*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE derived SET described = '[[], '")
    database.close()
    again = run_once()
    assert (again.tasks_read, again.reports, again.annotators) == (12, before.reports, before.annotators)


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
