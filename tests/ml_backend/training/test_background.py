import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from training_parts import NOW, annotate_more, annotated, client_of, trainer

from common.errors import SettingsError
from common.files import held
from ml_backend.settings import Settings
from ml_backend.training.background import BackgroundTraining, TrainingProcess
from ml_backend.training.publish import training_lock
from ml_backend.training.training_requests import ProjectState, TrainingRequests

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 60


class Trainings:
    """Trainings that only note their projects; ``status`` is what they end with."""

    def __init__(self) -> None:
        self.projects: list[int] = []
        self.status = 0
        self.begun, self.go_on = threading.Semaphore(0), threading.Event()
        self.go_on.set()
        self.during: Callable[[], object] = lambda: None

    def run(self, project_id: int) -> int:
        """Train, until ``go_on``."""
        self.projects.append(project_id)
        self.begun.release()
        assert self.go_on.wait(LIMIT_S)
        self.during()
        return self.status

    def stop(self) -> None:
        """End the training that is going on, as a signal does."""
        self.status = -signal.SIGTERM
        self.go_on.set()


@pytest.fixture
def requests(settings: Settings) -> TrainingRequests:
    """Requests that are due at once."""
    return TrainingRequests(settings.data_dir, quiet_s=0, max_wait_s=0)


@pytest.fixture
def trainings() -> Trainings:
    """Trainings that succeed at once."""
    return Trainings()


@pytest.fixture
def worker(settings: Settings, requests: TrainingRequests, trainings: Trainings) -> BackgroundTraining:
    """A worker that is not started."""
    return BackgroundTraining(settings, requests, trainings, poll_s=0.001)


def ask(requests: TrainingRequests, *project_ids: int) -> None:
    """Ask for trainings, the first project first."""
    for project_id in project_ids:
        requests.add(project_id, time.time())


def test_one_training_at_a_time_over_all_workers(
    settings: Settings, requests: TrainingRequests, worker: BackgroundTraining, trainings: Trainings
) -> None:
    """While one worker trains another one does not lead; the projects follow one another."""
    trainings.go_on.clear()
    ask(requests, 7, 8, 9)
    worker.start()
    assert trainings.begun.acquire(timeout=LIMIT_S)
    assert not BackgroundTraining(settings, requests, Trainings()).lead()
    assert trainings.projects == [7]
    trainings.go_on.set()
    assert trainings.begun.acquire(timeout=LIMIT_S)
    assert trainings.begun.acquire(timeout=LIMIT_S)
    worker.stop()
    assert trainings.projects == [7, 8, 9]


def test_events_during_a_training_cause_exactly_one_more(
    requests: TrainingRequests, worker: BackgroundTraining, trainings: Trainings
) -> None:
    """Five events while it runs: two trainings in all."""
    ask(requests, 7)
    trainings.during = lambda: ask(requests, *[7] * 5) if len(trainings.projects) == 1 else None
    for _ in range(4):
        worker.look()
    assert trainings.projects == [7, 7]


def test_a_failed_training_is_tried_again_and_given_up(
    settings: Settings, requests: TrainingRequests, trainings: Trainings
) -> None:
    """A training that always fails runs once and is repeated three times, each time after a longer wait."""
    seconds = 0.0
    worker = BackgroundTraining(settings, requests, trainings, clock=lambda: seconds)
    trainings.status = 1
    ask(requests, 7)
    began = []
    for second in range(0, 1000, 10):
        seconds = second
        before = len(trainings.projects)
        worker.look()
        began += [second] * (len(trainings.projects) - before)
    assert began == [0, 30, 90, 180]
    assert requests.counts() == (0, 0)


def test_an_unforeseen_fault_does_not_end_the_trainings(
    requests: TrainingRequests, worker: BackgroundTraining, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that nobody thought of is logged, and the next look at the requests trains."""
    faults = iter([ZeroDivisionError("once"), RuntimeError("twice")])
    due = TrainingRequests.due

    def faulty(requests: TrainingRequests, now: float) -> list[int]:
        for fault in faults:
            raise fault
        return due(requests, now)

    monkeypatch.setattr(TrainingRequests, "due", faulty)
    ask(requests, 7)
    worker.start()
    assert trainings.begun.acquire(timeout=LIMIT_S)
    worker.stop()


def test_a_training_that_is_broken_off_is_asked_for_again(
    settings: Settings, requests: TrainingRequests, trainings: Trainings
) -> None:
    """The worker is stopped while it asks Label Studio, before there is a process to end."""

    def stopping() -> NoReturn:
        worker.stop()
        raise SettingsError("no Label Studio")

    worker = BackgroundTraining(settings, requests, trainings, client=stopping)
    ask(requests, 7)
    worker.look()
    assert trainings.projects == [7]
    assert requests.counts() == (1, 0)


def test_a_training_ends_though_nothing_can_be_noted_of_it(
    settings: Settings,
    requests: TrainingRequests,
    worker: BackgroundTraining,
    trainings: Trainings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a full disk where its standing cannot be kept, it is not begun again and again."""
    (settings.data_dir / "projects" / "7" / ".standing.json").mkdir(parents=True)  # cannot be written
    state = ProjectState("1", 1, 1, 0, "")
    monkeypatch.setattr(BackgroundTraining, "_state", lambda *_: state)
    ask(requests, 7)
    for _ in range(3):
        worker.look()
    assert trainings.projects == [7]
    assert requests.counts() == (0, 0)


def test_another_worker_takes_over(
    settings: Settings, requests: TrainingRequests, worker: BackgroundTraining, trainings: Trainings
) -> None:
    """When the worker that trains goes, the other one does what it left, and a broken-off training is repeated."""
    trainings.go_on.clear()
    ask(requests, 7)
    worker.start()
    assert trainings.begun.acquire(timeout=LIMIT_S)
    others = Trainings()
    other = BackgroundTraining(settings, requests, others, poll_s=0.001)
    other.start()
    worker.stop()
    assert others.begun.acquire(timeout=LIMIT_S)
    other.stop()
    assert (trainings.projects, others.projects) == ([7], [7])


def python(program: str, timeout_s: float = LIMIT_S) -> TrainingProcess:
    """A training that is a Python program."""
    return TrainingProcess(timeout_s, (sys.executable, "-c", program))


def test_a_process_gets_its_project() -> None:
    """The id is the last argument, and the exit status comes back."""
    assert python("import sys; sys.exit(int(sys.argv[1]))").run(7) == 7


def test_a_process_that_takes_too_long_is_killed() -> None:
    """No training holds up all others for ever."""
    assert python("import signal; signal.pause()", timeout_s=0.1).run(7) == -signal.SIGKILL


def test_a_stop_ends_the_process(tmp_path: Path) -> None:
    """One that is at work is ended, and one that begins afterwards as well."""
    os.mkfifo(tmp_path / "begun")
    training = python(f"open({str(tmp_path / 'begun')!r}, 'w').close(); import signal; signal.pause()")
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(training.run(7)))
    thread.start()
    (tmp_path / "begun").read_bytes()  # comes back when the program has opened it
    training.stop()
    thread.join(LIMIT_S)
    assert [*status, training.run(7)] == [-signal.SIGTERM] * 2


def test_what_old_versions_have_left_goes_in_the_background(
    settings: Settings, requests: TrainingRequests, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training has no time to delete it; the worker does where the project is connected and nothing trains."""
    monkeypatch.setattr("ml_backend.training.publish._CLEARING_S", -1)
    studio, now = annotated(10, 80), [0.0]
    parts = trainer(settings.model_copy(update={"keep_versions": 1}), studio)
    old = str(parts.train(7, NOW).serving)
    annotate_more(studio)
    new = str(parts.train(7, NOW.replace(hour=13)).serving)
    assert studio.versions() == {old: 80, new: 80}
    quiet = settings.model_copy(update={"keep_versions": 1, "reconcile_s": 0})
    worker = BackgroundTraining(quiet, requests, trainings, lambda: client_of(studio), clock=lambda: now[0])
    now[0] = 20
    with held(training_lock(settings.data_dir, 7), wait=True):
        worker.look()
    assert parts.registry.versions(7) == [new, old]
    now[0] = 400
    worker.look()
    assert studio.versions() == {old: 80, new: 80}  # another backend may answer there
    studio.connect("http://ml.example", new, model_version=new)
    now[0] = 800
    worker.look()
    assert (studio.versions(), parts.registry.versions(7)) == ({new: 80}, [new])
