"""What is noticed though nobody told, with a Label Studio in memory and for real."""

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, region
from running_backend import eventually
from training_parts import client_of

from ml_backend.settings import Settings
from ml_backend.training.training_requests import Reconciliation, TrainingRequests, project_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from conftest import RunningLabelStudio, Samples
    from running_backend import RunningBackend

NOW = 1_700_000_000.0


@pytest.fixture
def studio() -> InMemoryStudio:
    """Two connected projects of which one has three annotations."""
    made = InMemoryStudio()
    made.add_project("<View/>", 8)
    for project_id, n_annotations in ((7, 0), (8, 3)):
        made.connect("http://ml.example", "v", project=project_id)
        made.add_task({}, [{}] * n_annotations, task_id=project_id, project=project_id)
    return made


@pytest.fixture
def requests(tmp_path: Path) -> TrainingRequests:
    """Requests of two projects that have met the backend."""
    made = TrainingRequests(tmp_path, quiet_s=0, max_wait_s=0)
    made.know(7)
    made.know(8)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of the backend that both are connected to."""
    return Settings.model_validate({"data_dir": tmp_path, "public_url": "http://ml.example"})


@pytest.fixture
def reconciliation(settings: Settings, requests: TrainingRequests) -> Reconciliation:
    """The reconciliation of both."""
    return Reconciliation(settings, requests)


def ask(reconciliation: Reconciliation, studio: InMemoryStudio) -> list[int]:
    """The projects that are to be trained."""
    return reconciliation.ask(client_of(studio), NOW)


def trained(reconciliation: Reconciliation, studio: InMemoryStudio, project_id: int) -> None:
    """Note that a project was trained as it is now."""
    settings = Settings.model_validate({})
    reconciliation.trained(project_id, project_state(client_of(studio), project_id, settings))


def test_a_project_with_annotations_that_was_never_trained_is(
    reconciliation: Reconciliation, requests: TrainingRequests, studio: InMemoryStudio
) -> None:
    """Of two projects the one with annotations gets its request; the empty one waits for some."""
    assert ask(reconciliation, studio) == [8]
    assert requests.due(NOW) == [8]


def test_nothing_new_asks_for_nothing(reconciliation: Reconciliation, studio: InMemoryStudio) -> None:
    """After a training from what is there now, all is quiet."""
    trained(reconciliation, studio, 8)
    assert ask(reconciliation, studio) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda studio: studio.annotate(8),
        lambda studio: studio.tasks[8]["annotations"].pop(),
        lambda studio: studio.tasks[8]["annotations"].clear(),
        lambda studio: studio.tasks[8].update(updated_at="2026-01-31T12:00:01.000000Z"),
        lambda studio: studio.projects[8].update(created_at="2026-01-31T12:00:01.000000Z"),
    ],
    ids=["one more", "one deleted", "all deleted", "one changed", "another project with this id"],
)
def test_every_change_is_noticed(
    reconciliation: Reconciliation, studio: InMemoryStudio, change: "Callable[[InMemoryStudio], None]"
) -> None:
    """More, fewer, none, other annotations, or a Label Studio that was reset: a training is asked for."""
    trained(reconciliation, studio, 8)
    change(studio)
    assert ask(reconciliation, studio) == [8]


def test_a_project_that_is_not_connected_is_trained_by_hand(
    reconciliation: Reconciliation, studio: InMemoryStudio
) -> None:
    """Without a connection nothing is trained by itself, nor what is connected to another backend."""
    studio.connections.clear()
    assert ask(reconciliation, studio) == []
    studio.connect("http://other.example", "resnet18-random-20260131T120000-00aa", project=8)
    assert ask(reconciliation, studio) == []


def test_one_project_that_fails_does_not_stop_the_others(
    reconciliation: Reconciliation, studio: InMemoryStudio
) -> None:
    """Project 7 cannot be looked at; project 8 gets its request."""
    studio.faults["GET projects/7"] = httpx.Response(400)
    assert ask(reconciliation, studio) == [8]


def test_a_deleted_project_is_asked_for_once(
    reconciliation: Reconciliation, requests: TrainingRequests, studio: InMemoryStudio, settings: Settings
) -> None:
    """Also after a restart; once it meets the backend again, for example as another project, it is looked at."""
    project = studio.projects.pop(8)
    for each in (reconciliation, reconciliation, Reconciliation(settings, requests)):
        assert ask(each, studio) == []
    asked = [request.url.path for request in studio.requests]
    assert (asked.count("/api/projects/8/"), asked.count("/api/projects/7/")) == (1, 3)
    studio.projects[8] = project
    assert requests.know(8)
    assert ask(reconciliation, studio) == [8]


def test_a_damaged_file_means_a_training(
    reconciliation: Reconciliation, studio: InMemoryStudio, tmp_path: Path
) -> None:
    """What was kept cannot be read: the project is trained once more."""
    trained(reconciliation, studio, 8)
    (tmp_path / "projects" / "8" / "standing.json").write_text("{")
    assert ask(reconciliation, studio) == [8]


@pytest.mark.server
def test_annotations_whose_webhook_was_lost_are_trained_on(
    label_studio: "RunningLabelStudio",
    samples: "Samples",
    serve_backend: "Callable[..., AbstractContextManager[RunningBackend]]",
    own_weights: Path,
) -> None:
    """All webhooks are deleted, then a task is annotated: within seconds a version answers all the same."""
    admin = label_studio.administrator
    project = admin.create_project(samples.config)
    admin.upload(project, {f"{colour}.png": samples.png(colour) for colour in ("black", "white")}, make_tasks=True)
    environment = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_QUIET_S": "0",
        "ML_BACKEND_RECONCILE_S": "1",
        "ML_BACKEND_WEIGHTS": str(own_weights),
    }
    with serve_backend(**environment) as backend:
        admin.add_connection(project, backend.url, "suggestions", None)
        for webhook in admin.webhooks():
            if webhook.project_id == project:
                admin.delete_webhook(webhook)
        admin.annotate(admin.task_ids(project)[0], region("kind", "dark"))
        url = f"{backend.url}/versions?project={project}"
        assert eventually(lambda: httpx.get(url, timeout=5).json()["versions"], 90), backend.log
        assert "webhook_made_up_for" in backend.log
