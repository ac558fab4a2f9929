from pathlib import Path

import pytest

from ml_backend.training.training_requests import TrainingRequests


@pytest.fixture
def requests(tmp_path: Path) -> TrainingRequests:
    """No request yet; 5 s of quiet, at most 60 s."""
    return TrainingRequests(tmp_path, quiet_s=5, max_wait_s=60)


def test_a_training_waits_for_quiet(requests: TrainingRequests) -> None:
    """Events 3 s apart are one training, 5 s after the last."""
    for second in (100, 103, 106):
        requests.add(7, second)
        assert requests.due(second + 4) == []
    assert requests.due(111) == [7]


def test_a_training_does_not_wait_for_ever(requests: TrainingRequests) -> None:
    """Where events never cease, a training starts 60 s after the first."""
    for second in range(100, 158, 3):
        requests.add(7, second)
        assert requests.due(second + 1) == []
    requests.add(7, 159)
    assert requests.due(160) == [7]


def test_many_events_are_one_training(requests: TrainingRequests) -> None:
    """A begun training takes all events before it."""
    for _ in range(10):
        requests.add(7, 100)
    requests.begin(7)
    assert requests.due(1000) == []


def test_events_during_a_training_make_exactly_one_more(requests: TrainingRequests) -> None:
    """Three annotations while a training runs are one request after it."""
    requests.add(7, 100)
    requests.begin(7)
    for second in (101, 102, 103):
        requests.add(7, second)
    requests.end(7)
    assert requests.due(200) == [7]
    requests.begin(7)
    requests.end(7)
    assert requests.due(1000) == []


def test_a_training_whose_worker_died_is_asked_for_again(requests: TrainingRequests) -> None:
    """What was begun and never ended is due again."""
    requests.add(7, 100)
    requests.begin(7)
    requests.recover(now=200)
    assert requests.due(205) == [7]
    requests.begin(7)
    requests.end(7)
    requests.recover(now=300)
    assert requests.due(1000) == []


def test_projects_wait_for_themselves(requests: TrainingRequests) -> None:
    """The project that has waited longest comes first, and one that is not quiet yet not at all."""
    for project_id, second in ((7, 102), (8, 101), (9, 109)):
        requests.add(project_id, second)
    assert requests.due(110) == [8, 7]


def test_other_folders_are_left_alone(requests: TrainingRequests, tmp_path: Path) -> None:
    """A copy that someone made beside a project's folder stops no training."""
    requests.add(7, 100)
    copied = tmp_path / "projects" / "7.bak"
    copied.mkdir()
    for name in ("requested", "training"):
        (copied / name).write_text("100")
    requests.recover(now=100)
    assert requests.due(1000) == [7]


def test_another_process_sees_the_request(requests: TrainingRequests, tmp_path: Path) -> None:
    """A request of one worker is due in another."""
    requests.add(7, 100)
    assert TrainingRequests(tmp_path, quiet_s=5, max_wait_s=60).due(105) == [7]
