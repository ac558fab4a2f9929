import httpx
import pytest
import structlog
from in_memory_label_studio import InMemoryStudio
from training_parts import client_of

from ml_backend.core.versions import untrained_version
from ml_backend.label_studio.ownership import instance_id
from ml_backend.settings import Settings
from ml_backend.training.background import BackgroundTraining
from ml_backend.training.training_requests import TrainingRequests


class Trainings:
    """Trainings that only note their projects."""

    def __init__(self) -> None:
        self.projects: list[int] = []

    def run(self, project_id: int) -> int:
        """Succeed."""
        self.projects.append(project_id)
        return 0

    def stop(self) -> None:
        """Nothing runs."""


class Worker:
    """The worker that trains, with a Label Studio in memory whose project 7 is connected to this backend."""

    def __init__(self, settings: Settings) -> None:
        self.seconds, self.trainings, self.studio = 1000.0, Trainings(), InMemoryStudio()
        self.requests = TrainingRequests(settings.data_dir, quiet_s=0, max_wait_s=0)
        name = untrained_version("resnet18", "random", instance_id(settings.data_dir))
        self.studio.connect("http://ml.example", "suggestions", model_version=name)
        client = client_of(self.studio)
        self.background = BackgroundTraining(
            settings, self.requests, self.trainings, client=lambda: client, clock=lambda: self.seconds
        )

    def ask(self, *project_ids: int) -> None:
        """Ask for trainings, as the webhook does; the last is the newest."""
        for number, project_id in enumerate(project_ids):
            assert self.requests.know(project_id)
            self.requests.add(project_id, number)

    def look(self, times: int = 1) -> None:
        """Let seconds pass, and look for what is due."""
        for _ in range(times):
            self.seconds += 3
            self.background.look()

    def asked(self, path: str) -> int:
        """How often Label Studio was asked."""
        return sum(request.url.path == path for request in self.studio.requests)


@pytest.fixture
def worker(settings: Settings) -> Worker:
    """A worker that is not started."""
    return Worker(settings.model_copy(update={"reconcile_s": 0}))


def test_made_up_projects_delay_nobody_and_are_not_remembered(worker: Worker) -> None:
    """Thirty requests for projects that Label Studio does not have come first: one list, and project 7 trains."""
    worker.ask(*range(1001, 1031), 7)
    with structlog.testing.capture_logs() as lines:
        worker.look()
    assert worker.trainings.projects == [7]
    assert worker.requests.named() == {7}
    assert worker.asked("/api/projects/") == 1
    [line] = [line for line in lines if line["event"] == "unknown_projects_named"]
    assert (line["projects"], line["for_example"]) == (30, [1001, 1002, 1003, 1004, 1005])


def test_as_many_made_up_projects_as_there_is_room_for_silence_nobody_for_long(
    worker: Worker, settings: Settings
) -> None:
    """Where all places are taken, the next look gives them back, also after Label Studio was away."""
    for project_id in range(100_000, 110_000):
        (settings.data_dir / "projects" / str(project_id)).mkdir(parents=True)
    assert not worker.requests.know(7)
    worker.studio.faults["GET /api/projects/$"] = httpx.Response(503)
    worker.look()
    assert not worker.requests.know(7)
    worker.studio.faults.clear()
    worker.look()
    worker.ask(7)
    worker.look()
    assert worker.trainings.projects == [7]


def test_label_studio_is_asked_now_and_then_however_many_are_named(worker: Worker) -> None:
    """New made-up projects at every look of a second cost one list of projects in two."""
    for project_id in range(1001, 1021):
        worker.requests.know(project_id)
        worker.seconds -= 2
        worker.look()
    assert worker.asked("/api/projects/") <= 11


def test_a_project_that_is_not_connected_to_this_backend_is_not_trained(worker: Worker) -> None:
    """An event for a project of another backend trains nothing, says so once, and is asked for now and then."""
    worker.studio.add_project("<View/>", 8)
    worker.studio.connect("http://other.example", "v", project=8, model_version="resnet18-imagenet-untrained-00")
    with structlog.testing.capture_logs() as lines:
        for _ in range(8):
            worker.ask(8)
            worker.look()
    assert worker.trainings.projects == []
    assert [line["project"] for line in lines if line["event"] == "project_not_connected"] == [8]
    assert worker.asked("/api/ml/") == 1


def test_a_project_that_is_connected_later_is_trained_then(worker: Worker, settings: Settings) -> None:
    """The event that comes after the connection is not lost."""
    worker.studio.add_project("<View/>", 8)
    worker.ask(8)
    worker.look()
    name = untrained_version("resnet18", "random", instance_id(settings.data_dir))
    worker.studio.connect("http://ml.example", "suggestions", project=8, model_version=name)
    worker.ask(8)
    worker.look(times=12)
    assert worker.trainings.projects == [8]


def test_a_project_that_was_trained_before_stays(worker: Worker, settings: Settings) -> None:
    """One that Label Studio does not show now keeps its files, and is not trained."""
    versions = settings.data_dir / "projects" / "9" / "versions"
    versions.mkdir(parents=True)
    worker.ask(9)
    worker.look(times=3)
    assert versions.exists()
    assert worker.trainings.projects == []


def test_where_label_studio_cannot_be_asked_the_training_says_so(worker: Worker) -> None:
    """A known project's training begins though its connections cannot be listed."""
    worker.ask(7)
    worker.studio.faults["GET /api/ml/"] = httpx.Response(500)
    worker.look(times=2)
    assert worker.trainings.projects == [7]
