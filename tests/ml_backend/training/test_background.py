import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import SettingsError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.settings import Settings
from ml_backend.training import background
from ml_backend.training.background import BackgroundTraining
from ml_backend.training.training_requests import ProjectState, TrainingRequests

RECORD = """
import os, pathlib, sys, time
place = pathlib.Path({place!r})
(place / f"{{time.monotonic_ns()}}-begin").touch()
time.sleep({seconds})
(place / f"{{time.monotonic_ns()}}-end").touch()
sys.exit({code})
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the trainings of these tests leave a note."""
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def notes(log: Path) -> list[str]:
    """What began and ended, in order."""
    return [
        path.name.split("-")[1] for path in sorted(log.iterdir(), key=lambda path: int(path.name.split("-")[0]))
    ]


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether a condition comes true in time."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Workers:
    """Two workers with the same folder, whose trainings only leave notes."""

    def __init__(self, settings: Settings, log: Path, *, seconds: float = 0.0, code: int = 0) -> None:
        self.requests = TrainingRequests(settings.data_dir, quiet_s=0, max_wait_s=0)
        script = RECORD.format(place=str(log), seconds=seconds, code=code)
        self.both = [BackgroundTraining(settings, self.requests, (sys.executable, "-c", script)) for _ in range(2)]
        for worker in self.both:
            worker.start()

    def stop(self) -> None:
        """Stop both."""
        for worker in self.both:
            worker.stop()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for requests more often than in production."""
    monkeypatch.setattr(background, "_POLL_S", 0.02)
    monkeypatch.setattr(background, "_RETRY_S", 0.05)


def test_one_training_at_a_time_over_all_workers(settings: Settings, log: Path) -> None:
    """Two workers and three projects: trainings follow one another and never overlap."""
    workers = Workers(settings, log, seconds=0.1)
    for project_id in (7, 8, 9):
        workers.requests.add(project_id, time.time())
    assert eventually(lambda: len(notes(log)) == 6)
    workers.stop()
    assert notes(log) == ["begin", "end"] * 3


def test_events_during_a_training_cause_exactly_one_more(settings: Settings, log: Path) -> None:
    """Five events while it runs: two trainings in all."""
    workers = Workers(settings, log, seconds=0.3)
    workers.requests.add(7, time.time())
    assert eventually(lambda: notes(log) == ["begin"])
    for _ in range(5):
        workers.requests.add(7, time.time())
    assert eventually(lambda: len(notes(log)) == 4)
    time.sleep(0.3)
    workers.stop()
    assert notes(log) == ["begin", "end"] * 2


def test_a_failed_training_is_tried_again_and_given_up(settings: Settings, log: Path) -> None:
    """A training that always fails runs once and is repeated three times."""
    workers = Workers(settings, log, code=1)
    workers.requests.add(7, time.time())
    assert eventually(lambda: len(notes(log)) == 8)
    time.sleep(0.5)
    workers.stop()
    assert notes(log) == ["begin", "end"] * 4


def test_an_unforeseen_fault_does_not_end_the_trainings(
    settings: Settings, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that nobody thought of is logged, and the next look at the requests trains."""
    faults = iter([ZeroDivisionError("once"), RuntimeError("twice")])
    due = TrainingRequests.due

    def faulty(requests: TrainingRequests, now: float) -> list[int]:
        for fault in faults:
            raise fault
        return due(requests, now)

    monkeypatch.setattr(TrainingRequests, "due", faulty)
    workers = Workers(settings, log)
    workers.requests.add(7, time.time())
    assert eventually(lambda: notes(log) == ["begin", "end"])
    workers.stop()


def test_a_training_does_not_begin_while_its_worker_stops(settings: Settings, log: Path) -> None:
    """The worker is stopped while it asks Label Studio, before there is a process to end: that is ended, too."""
    requests = TrainingRequests(settings.data_dir, quiet_s=0, max_wait_s=0)

    def stopping() -> LabelStudioClient:
        worker._stopping.set()
        raise SettingsError("no Label Studio")

    script = RECORD.format(place=str(log), seconds=60, code=0)
    worker = BackgroundTraining(settings, requests, (sys.executable, "-c", script), client=stopping)
    requests.add(7, time.time())
    worker.start()
    assert eventually(lambda: worker._thread is not None and not worker._thread.is_alive())
    assert worker._child is not None
    assert worker._child.returncode == -signal.SIGTERM
    assert requests.counts() == (1, 0)


def test_a_training_ends_though_nothing_can_be_noted_of_it(
    settings: Settings, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk where its standing cannot be kept, it is not begun again and again."""
    (settings.data_dir / "projects" / "7" / ".standing.json").mkdir(parents=True)  # cannot be written
    state = ProjectState("1", 1, 1, 0, "")
    monkeypatch.setattr(BackgroundTraining, "_state", lambda *_: state)
    workers = Workers(settings, log)
    workers.requests.add(7, time.time())
    assert eventually(lambda: len(notes(log)) >= 2 and workers.requests.counts() == (0, 0))
    time.sleep(0.5)
    workers.stop()
    assert notes(log) == ["begin", "end"]


def test_another_worker_takes_over(settings: Settings, log: Path) -> None:
    """When the worker that trains goes, the other one does what it left, and a broken-off training is repeated."""
    workers = Workers(settings, log, seconds=30)
    workers.requests.add(7, time.time())
    assert eventually(lambda: notes(log) == ["begin"])
    leader = next(worker for worker in workers.both if worker._child is not None)
    leader.stop()
    assert eventually(lambda: notes(log) == ["begin", "begin"])
    workers.stop()
