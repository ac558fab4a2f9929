"""Columns of the Data Manager: label, votes and confidence of what a person should look at."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, choices, config, region

from consensus.core.decide.writeback import Entry
from consensus.label_studio import Studio
from consensus.projects.run import Outcome, run
from consensus.projects.task_columns import changed_columns, columns_of
from consensus.settings import ProjectConfig
from consensus.store.store import Store

Once = Callable[..., Outcome]
ON = ProjectConfig(task_columns=True)
KEYS = {"consensus_label", "consensus_votes", "consensus_confidence"}


@pytest.fixture
def studio() -> InMemoryStudio:
    """A project in which task 9 was given wrongly and task 10 is undecided."""
    made = InMemoryStudio(config(choices("kind", "cat", "dog", "owl")))
    votes = {**{number: ["cat"] * 4 for number in range(1, 9)}, 9: ["dog"] * 4, 10: ["owl", "dog"]}
    for number, labels in votes.items():
        made.add_task({"image": "i", "label": "cat", "own": {"a": [1]}}, task_id=number)
        for account, label in enumerate(labels, start=1):
            made.annotate(number, [region("kind", label)], completed_by=account)
    return made


@pytest.fixture
def once(studio: InMemoryStudio, tmp_path: Path) -> Once:
    """One run with a cache."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")

    def run_once(settings: ProjectConfig = ON, *, dry_run: bool = False) -> Outcome:
        studio.now += timedelta(hours=1)
        edge = Studio(studio.client(), "of a test", lambda _: None, tmp_path / "cache")
        return run(edge, store, settings, 7, now=lambda: studio.now, dry_run=dry_run)

    return run_once


def columns(studio: InMemoryStudio) -> dict[int, set[str]]:
    """The keys of ours that tasks have."""
    return {
        number: KEYS & task["data"].keys() for number, task in studio.tasks.items() if KEYS & task["data"].keys()
    }


def test_what_a_person_should_look_at_has_columns(studio: InMemoryStudio, once: Once) -> None:
    """The other data stay; a second run changes nothing and finds the same given labels."""
    first = once()
    assert set(columns(studio)) == {9, 10} == set(first.columns)
    data = studio.tasks[9]["data"]
    assert data["consensus_label"] == "dog"
    assert data["consensus_votes"] == "given cat; of 4 votes 4 say dog, 0 say cat"
    assert data["consensus_confidence"] == pytest.approx(first.columns[9]["consensus_confidence"])
    assert {key: data[key] for key in data.keys() - KEYS} == {"image": "i", "label": "cat", "own": {"a": [1]}}
    again = once()
    assert (again.columns, again.changes.empty, once().tasks_read) == ({}, True, 0)
    assert [control.given for control in again.controls] == ["label"]


def test_columns_go_with_the_report(studio: InMemoryStudio, once: Once) -> None:
    """Once a task is settled otherwise it has none; where nobody asks for them, no data are touched."""
    once()
    studio.now += timedelta(hours=1)
    studio.annotate(9, [region("kind", "cat")], completed_by=1, ground_truth=True)
    once(ProjectConfig())
    assert set(columns(studio)) == {9, 10}
    once()
    assert set(columns(studio)) == {10}


def test_nothing_is_set_unless_it_is_asked_for(studio: InMemoryStudio, once: Once) -> None:
    """Neither without the setting nor by a dry run, which says what would be."""
    assert once(ProjectConfig()).columns == {}
    assert set(once(dry_run=True).columns) == {9, 10}
    assert columns(studio) == {}


def test_what_somebody_changes_meanwhile_stays(studio: InMemoryStudio, once: Once) -> None:
    """All data are replaced at once, so that they are read just before."""

    def changed(request: httpx.Request) -> None:
        if "data" in json.loads(request.content or b"{}"):
            return
        studio.tasks[9]["data"]["own"] = "new"

    studio.faults["POST import/predictions"] = changed
    once()
    assert studio.tasks[9]["data"]["own"] == "new"
    assert studio.tasks[9]["data"]["consensus_label"] == "dog"


def test_the_strongest_entry_of_a_task_gives_its_columns() -> None:
    """MisClassified before Undecided and Controversial, then the most confident; the other reports give none."""
    entries = [
        Entry(1, "Controversial", "kind", "owl", 0.5),
        Entry(1, "MisClassified", "traits", "fur", 0.9, others=("fins",), why=("given wings",)),
        Entry(1, "MisClassified", "kind", "dog", 0.8),
        Entry(2, "AllConfirmed", "kind", "cat", 0.99),
        Entry(3, "Undecided", "", "", 0.4),
    ]
    assert columns_of(entries) == {
        1: {"consensus_label": "fur, fins", "consensus_votes": "given wings", "consensus_confidence": 0.9}
    }


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, False),
        ({"consensus_confidence": 0.91}, False),
        ({"consensus_confidence": 0.95}, True),
        ({"consensus_confidence": None}, True),
        ({"consensus_label": "owl"}, True),
        ({"consensus_votes": "5"}, True),
    ],
)
def test_columns_are_set_where_they_say_something_else(change: dict[str, object], *, changed: bool) -> None:
    """A confidence that moved a little stays."""
    columns = {"consensus_label": "dog", "consensus_votes": "4", "consensus_confidence": 0.9}
    assert changed_columns({1: {**columns, **change}}, {1: columns}) == ({1: columns} if changed else {})
