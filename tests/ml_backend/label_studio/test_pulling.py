"""What a training reads of a project; how it is read incrementally is tested with ``common``."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from in_memory_label_studio import PROJECT, InMemoryStudio
from training_parts import add_task, client_of, label_studio, report, tasks_of

from ml_backend.backend import Backend
from ml_backend.core.consensus_targets import Verdict
from ml_backend.label_studio.pulling import Pulled, Puller
from ml_backend.serving.app import create_app

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def studio() -> InMemoryStudio:
    """Four annotated tasks, one of them skipped as well."""
    return label_studio({0: ["dark"], 1: ["light", None], 2: ["dark"], 3: ["light"]})


def pull(studio: InMemoryStudio, folder: Path) -> Pulled:
    """Read the project; five minutes pass in Label Studio before."""
    studio.now += timedelta(minutes=5)
    client = client_of(studio)
    return Puller(client, folder).pull(client.project(PROJECT), "a", NOW, accounts=client.accounts())


def test_tasks_are_read_as_they_are_without_a_cache(studio: InMemoryStudio, tmp_path: Path) -> None:
    """The first time all, then those that have changed."""
    first = pull(studio, tmp_path)
    assert (first.read, first.tasks) == (4, tasks_of(studio))
    add_task(studio, 9, "dark")
    pulled = pull(studio, tmp_path)
    assert (pulled.read, pulled.tasks) == (1, tasks_of(studio))


def test_what_consensus_says_is_read_and_nothing_else(studio: InMemoryStudio, tmp_path: Path) -> None:
    """Its signed predictions; neither those of a model nor forged ones."""
    pull(studio, tmp_path)
    report(studio, 3, "Discovered", "dark", 0.875)
    studio.predict(2, "consensus/Discovered", studio.tasks[3]["predictions"][0]["result"], score=0.875)
    studio.predict(1, "m1", score=0.5)
    pulled = pull(studio, tmp_path)
    assert pulled.read == 0
    assert [task.verdicts for task in pulled.tasks] == [
        (), (), (), (Verdict("Discovered", "kind", "dark", 0.875),),
    ]  # fmt: skip


@pytest.mark.parametrize("action", ["ANNOTATION_DELETED", "ANNOTATIONS_DELETED", "TASKS_DELETED"])
def test_a_webhook_tells_of_deletions(studio: InMemoryStudio, backend: Backend, action: str) -> None:
    """After the event of a deletion all is read, and after other events only changes are."""
    folder, client = backend.settings.data_dir, create_app(backend).test_client()
    pull(studio, folder)
    client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": PROJECT}})
    assert pull(studio, folder).why_all == ""
    client.post("/webhook", json={"action": action, "project": {"id": PROJECT}})
    assert pull(studio, folder).why_all == "something was deleted"
