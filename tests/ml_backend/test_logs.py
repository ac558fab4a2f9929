import io
import json
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from flask.testing import FlaskClient
from running_backend import eventually

from common.logs import ToStructlog, configure_logs, without_secrets
from ml_backend.backend import Backend
from ml_backend.serving.app import create_app
from ml_backend.settings import Settings
from ml_backend.training.background import BackgroundTraining, TrainingProcess
from ml_backend.training.training_requests import TrainingRequests

if TYPE_CHECKING:
    from conftest import Samples

SECRET = "s3cr3t"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def as_in_a_service(capsys: Captured) -> None:  # noqa: ARG001 - standard error has to be taken before it is set up
    """Logs as they are where nobody watches."""
    configure_logs()


def fail(error: Exception) -> None:
    """Raise an error."""
    raise error


def lines(capsys: Captured) -> list[dict[str, Any]]:
    """What was logged since the last look: JSON line by line, without tracebacks."""
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.usefixtures("trained_project")
def test_requests_full_of_secrets_leave_none(
    settings: Settings, backend: Backend, samples: "Samples", capsys: Captured
) -> None:
    """Tokens, passwords and signed addresses, wherever they are put, do not get into the log."""
    ours = {
        "basic_user": "ls",
        "basic_password": SECRET + "-ours",
        "token": SECRET + "-token",
        "model_wait_s": 0.01,
    }
    guarded = Backend(Settings.model_validate(settings.model_dump() | ours), backend.connect)
    client = create_app(guarded).test_client()
    headers = {"Authorization": f"Bearer {SECRET}-token", "Cookie": SECRET, "X-Api-Key": SECRET}
    urls = [
        f"http://x.example/gone.png?X-Amz-Signature={SECRET}",
        f"http://{SECRET}:{SECRET}@x.example/gone.png",
        f"s3://{SECRET}/gone.png",
        f"file:///{SECRET}",
        f"data:image/png;base64,{SECRET}",
        {"token": SECRET},
    ]
    tasks: list[object] = [{"id": row, "data": {"image": url, "note": SECRET}} for row, url in enumerate(urls, 1)]
    params = {"login": SECRET, "password": SECRET, "context": {"token": SECRET}}
    body = {"project": "7.1", "label_config": samples.config, "tasks": [*tasks, SECRET], "params": params}
    setup = {"project": "7.1", "access_token": SECRET, "hostname": f"http://{SECRET}@h", "extra_params": SECRET}
    event = {"action": SECRET, "project": {"id": 7, "title": SECRET}}
    for route, sent in (
        ("/setup", setup),
        ("/predict", body),
        ("/webhook", event),
        ("/setup", {"project": SECRET}),
    ):
        client.post(f"{route}?token={SECRET}", json=sent, headers=headers)
        client.post(route, json=sent, headers={"Authorization": f"Basic {SECRET}"})
        client.post(route, data=SECRET, content_type="application/json", headers=headers)
    client.get(f"/{SECRET}", headers=headers)
    shown = client.get("/metrics", headers=headers).text
    printed = capsys.readouterr()
    assert SECRET not in printed.err + printed.out
    assert "s3cr3t" not in shown
    assert "predicted" in printed.err


@pytest.mark.usefixtures("trained_project")
def test_each_reason_has_a_line(client: FlaskClient, samples: "Samples", capsys: Captured) -> None:
    """Failed tasks are named with their project and reason, and a request with what came of it."""
    urls = ["http://x.example/black.png", "http://x.example/gone.png", None]
    tasks = [{"id": row, "data": {"image": url}} for row, url in enumerate(urls, 1)]
    body = {"project": "7.1", "label_config": samples.config, "tasks": tasks}
    client.post("/predict", json=body)
    logged = lines(capsys)
    assert [
        (line["project"], line["tasks"], line["for_example"], line["reason"])
        for line in logged
        if line["event"] == "tasks_left_out"
    ] == [
        (7, 1, [2], "missing"),
        (7, 1, [3], "no_url"),
    ]
    [summary] = [line for line in logged if line["event"] == "predicted"]
    expected = {"project": 7, "tasks": 3, "suggested": 1, "empty": 2, "version": samples.version, "level": "info"}
    assert expected.items() <= summary.items()
    assert 0 <= summary["seconds"] < 60
    assert summary["timestamp"].endswith("Z")


@pytest.mark.usefixtures("trained_project")
@pytest.mark.parametrize("task", [[], {"id": 1, "data": {}}, {"id": "x" * 900, "data": {"image": "ftp://x/"}}])
def test_a_request_of_many_bad_tasks_writes_little(
    client: FlaskClient, samples: "Samples", capsys: Captured, task: object
) -> None:
    """However many there are, and whatever is wrong with them."""
    client.post("/predict", json={"project": "7", "label_config": samples.config, "tasks": [task] * 5000})
    printed = capsys.readouterr().err
    assert len(printed) < 2000
    [line] = [json.loads(line) for line in printed.splitlines() if "left_out" in line]
    assert (line["tasks"], len(line["for_example"])) == (5000, 5)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://h/a.png?sig=x", "http://h/a.png?…"),
        ("GET /predict?token=x HTTP/1.1", "GET /predict?… HTTP/1.1"),
        ("'http://h/?sig=x' is gone", "'http://h/?…' is gone"),
        ("https://me:pw@h:80/a", "https://h:80/a"),
        ("postgres://me@h/a and http://h/b?c#d e", "postgres://h/a and http://h/b?… e"),
        ("is it running?", "is it running?"),
        ("is it running? and is x=1 right", "is it running? and is x=1 right"),
        ("a@b.example", "a@b.example"),
        ("x" * 600, "x" * 500 + "…"),
        ("http://" + "a" * 2000 + "@h", "http://" + "a" * 493 + "…"),
    ],
)
def test_addresses_lose_what_is_secret(text: str, safe: str) -> None:
    """Queries and accounts go, long texts end, sentences stay as they are, at any depth."""
    cleaned = without_secrets(None, "info", {"event": text, "deep": [{"one": (text,)}], "error": ValueError(text)})
    assert cleaned == {"event": safe, "deep": [{"one": [safe]}], "error": safe}


def test_numbers_stay_numbers() -> None:
    """What is no text is logged as it is."""
    event = {"tasks": 3, "seconds": 0.5, "ok": True, "version": None}
    assert without_secrets(None, "info", dict(event)) == event


def test_what_libraries_log_is_a_line_of_ours(capsys: Captured) -> None:
    """A library's warning is one JSON line; of its error the kind and the place are told, not the message."""
    logger = logging.getLogger("some.library")
    logger.warning("slow answer from %s\nTraceback …", "http://h/a?sig=" + SECRET)
    try:
        fail(ValueError(SECRET))
    except ValueError:
        logger.exception("it broke")
    ToStructlog().handle(logging.makeLogRecord({"msg": "%d tasks", "args": ("three",), "levelname": "WARNING"}))
    logger.info("chatter")
    first, second, third = lines(capsys)
    assert (first["event"], first["level"], first["logger"]) == (
        "slow answer from http://h/a?…",
        "warning",
        "some.library",
    )
    assert (second["event"], second["level"], second["error"]) == ("it broke", "error", "ValueError")
    assert second["place"].startswith("test_logs.py:fail:")
    assert third["event"] == "%d tasks"
    assert SECRET not in str([first, second, third])


def test_errors_that_nobody_caught_are_a_line(capsys: Captured) -> None:
    """A thread or a program that dies of a fault says where, and neither its traceback nor its message."""
    error = RuntimeError(SECRET)
    thread = threading.Thread(target=fail, args=[error], name="broken")
    thread.start()
    thread.join()
    sys.excepthook(type(error), error, error.__traceback__)
    of_thread, of_program = lines(capsys)
    assert (of_thread["event"], of_thread["error"], of_thread["thread"]) == (
        "uncaught_error",
        "RuntimeError",
        "broken",
    )
    assert of_thread["place"].startswith("test_logs.py:fail:")
    assert (of_program["event"], of_program["level"]) == ("uncaught_error", "critical")


def test_a_traceback_that_is_asked_for_is_not_given(capsys: Captured) -> None:
    """Even a line that wants to show an error's traceback has none."""
    try:
        fail(ValueError(SECRET))
    except ValueError:
        structlog.get_logger().error("it broke", exc_info=True)
    [line] = lines(capsys)
    assert set(line) == {"event", "level", "timestamp"}


TRAINING = """
import sys
print("a table of figures")
print('{"event": "embedding", "tasks": 3}', file=sys.stderr)
print("Error: Label Studio at http://me:pw@h/?sig=x cannot be reached", file=sys.stderr)
sys.exit(1)
"""


def test_what_a_training_says_is_a_line(settings: Settings, capsys: Captured) -> None:
    """Its own log passes, its sentences become lines, its tables do not, and its result is told."""
    requests = TrainingRequests(settings.data_dir, quiet_s=0, max_wait_s=0)
    process = TrainingProcess(20, (sys.executable, "-c", TRAINING))
    requests.add(7, time.time())
    BackgroundTraining(settings, requests, process).look()
    by_event: dict[str, dict[str, Any]] = {}

    def all_there() -> bool:  # a thread passes them on
        by_event.update({line["event"]: line for line in lines(capsys)})
        return len(by_event) == 4

    eventually(all_there, 10)
    assert set(by_event) == {"training_started", "embedding", "training_said", "training_ended"}
    sentence = {"project": 7, "text": "Error: Label Studio at http://h/?… cannot be reached"}
    assert sentence.items() <= by_event["training_said"].items()
    assert {"project": 7, "result": "failed", "version": None}.items() <= by_event["training_ended"].items()


class Writes(io.StringIO):
    """A file that remembers what each write brought."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def write(self, text: str, /) -> int:
        """Remember it."""
        self.parts.append(text)
        return super().write(text)


def test_an_event_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers share a file, unbuffered in the container: a line in two writes would run into another's."""
    file = Writes()
    monkeypatch.setattr(sys, "stderr", file)
    configure_logs()
    structlog.get_logger().info("one")
    logging.getLogger("gunicorn.error").warning("two")
    assert [json.loads(part)["event"] for part in file.parts] == ["one", "two"]
    assert all(part.endswith("}\n") for part in file.parts)


def test_a_line_of_the_log_is_one_line() -> None:
    """Line breaks in what others wrote are shown, also on a terminal, where no JSON escapes them."""
    cleaned = without_secrets(None, "info", {"event": "titled cat\nerror: forged", "reason": "a\nb"})
    assert not [value for value in cleaned.values() if "\n" in value]
    assert cleaned["event"] == "titled cat\N{SYMBOL FOR NEWLINE}error: forged"
