import threading
from dataclasses import dataclass, field

import pytest
from werkzeug.exceptions import ServiceUnavailable

from common.doctor import Diagnosis, problem
from ml_backend.backend import Backend
from ml_backend.serving.app import create_app
from ml_backend.serving.examination import FRESH_S, Examination
from ml_backend.settings import Settings

MISSING = problem("no webhook leads here", "nothing is learned", "ml-backend connect --project 7")


@dataclass
class Looking:
    """Examines, and counts how often; at a moment of its own."""

    now: float = 0.0
    projects: list[int] = field(default_factory=list)

    def __call__(self, project: int) -> list[Diagnosis]:
        """Find that the webhook is missing."""
        self.projects.append(project)
        return [Diagnosis(f"project {project}", project, "webhook", MISSING)]


def test_what_was_seen_a_moment_ago_is_said_again() -> None:
    """Each project is looked at once in half a minute."""
    look = Looking()
    examination = Examination(look, lambda: look.now)
    assert examination.of(7) == examination.of(7)
    assert examination.of(8)[0].project_id == 8
    assert look.projects == [7, 8]
    look.now = FRESH_S
    examination.of(7)
    assert look.projects == [7, 8, 7]


def test_two_examinations_at_once_are_refused() -> None:
    """Also one that fails leaves the way free."""
    begun, go_on = threading.Event(), threading.Event()

    def look(_: int) -> list[Diagnosis]:
        begun.set()
        assert go_on.wait(10)
        raise OSError("the data folder is gone")

    examination, raised = Examination(look), list[Exception]()

    def first() -> None:
        try:
            examination.of(7)
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(10)
    with pytest.raises(ServiceUnavailable, match="an examination is at work"):
        examination.of(8)
    go_on.set()
    thread.join(10)
    assert len(raised) == 1
    with pytest.raises(OSError, match="is gone"):
        examination.of(8)


def test_the_route_gives_what_the_command_prints_as_json(backend: Backend) -> None:
    """Each finding with its reason and remedy, and whether all is fine."""
    looking = Looking()
    client = create_app(backend, lambda _, project: looking(project)).test_client()
    answer = client.get("/doctor?project=7")
    assert answer.status_code == 200
    assert answer.json == {
        "fine": False,
        "findings": [
            {
                "about": "project 7",
                "project": 7,
                "check": "webhook",
                "level": "problem",
                "seen": MISSING.seen,
                "why": MISSING.why,
                "remedy": MISSING.remedy,
            }
        ],
    }
    assert client.get("/doctor").status_code == 400
    assert client.get("/doctor?project=../7").status_code == 400
    assert looking.projects == [7]


def test_the_only_thread_asks_nobody(backend: Backend) -> None:
    """It would wait for its own answer."""
    alone = Backend(backend.settings.model_copy(update={"threads": 1, "workers": 1}), backend.connect)
    looking = Looking()
    answer = create_app(alone, lambda _, project: looking(project)).test_client().get("/doctor?project=7")
    assert answer.status_code == 503
    assert "ML_BACKEND_THREADS" in answer.json["error"]
    assert looking.projects == []


def test_without_credentials_nothing_is_examined(backend: Backend) -> None:
    """Where they are asked for."""
    settings = backend.settings.model_dump() | {"basic_user": "ls", "basic_password": "secret"}
    assert (
        create_app(Backend(Settings.model_validate(settings))).test_client().get("/doctor?project=7").status_code
        == 401
    )
