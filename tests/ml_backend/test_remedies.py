"""The commands that `ml-backend doctor` prints as remedies, run as they stand there; in memory."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from flask.testing import FlaskClient
from in_memory_label_studio import PROJECT, InMemoryStudio, region
from training_parts import CONFIG
from training_parts import KEY as API_KEY
from typer.testing import CliRunner, Result

from ml_backend import cli
from ml_backend.backend import Backend
from ml_backend.serving.app import create_app
from ml_backend.settings import get_settings, read_settings

STUDIO, BACKEND = "http://label-studio.test", "http://ml.backend.test:9090"
COMMAND = re.compile(r"ml-backend [a-z]+(?: --[a-z-]+ [^\s;,]+)*")


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InMemoryStudio:
    """A Label Studio with an annotated project, and a backend beside it, which are the whole network."""
    for name, value in {
        "LABEL_STUDIO_URL": STUDIO,
        "LABEL_STUDIO_API_KEY": API_KEY,
        "ML_BACKEND_DATA_DIR": str(tmp_path),
        "ML_BACKEND_WEIGHTS": "random",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ML_BACKEND_PUBLIC_URL", raising=False)
    get_settings.cache_clear()
    backend = create_app(Backend(read_settings())).test_client()
    made = InMemoryStudio(CONFIG)
    made.add_task({"image": "http://images.example/a.png"}, [{"result": [region("kind", "dark")]}])

    def network(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        if request.url.host == "label-studio.test":
            return made.handle_request(request)
        if str(request.url).startswith(BACKEND):
            return answered(backend, request)
        raise httpx.ConnectError("[Errno 111] Connection refused")

    def try_connections(_: httpx.Request) -> None:
        for row in made.connections.values():
            works = row["url"].rstrip("/") == BACKEND
            row["state"] = "CO" if works else "DI"
            setup = {"project": f"{PROJECT}.1769860800", "schema": CONFIG, "hostname": "", "access_token": "t"}
            row["model_version"] = backend.post("/setup", json=setup).json["model_version"] if works else None

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", network)
    made.faults["GET api/ml"] = try_connections
    return made


def answered(backend: FlaskClient, request: httpx.Request) -> httpx.Response:
    """What the backend answers to a request."""
    answer = backend.open(
        request.url.path, method=request.method, headers=dict(request.headers), data=request.read()
    )
    return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.data, request=request)


def run(line: str) -> Result:
    """Run a command line of `ml-backend`."""
    get_settings.cache_clear()
    return CliRunner().invoke(cli.cli, line.split()[1:])


def to_do(options: str = "") -> dict[str, str]:
    """The remedies of all problems that the doctor names, by check."""
    ended = run(f"ml-backend doctor --images 0 --json {options}")
    rows = json.loads(ended.stdout)["findings"]
    problems = {row["check"]: row["remedy"] for row in rows if row["level"] == "problem"}
    assert ended.exit_code == bool(problems)
    return problems


@pytest.mark.parametrize("options", ["", f"--url {BACKEND}", f"--project {PROJECT}"])
def test_nothing_is_to_do_before_the_first_training(studio: InMemoryStudio, options: str) -> None:
    """A project that has just been connected, as the README says, needs its annotations and nothing else."""
    ended = run(f"ml-backend connect --project {PROJECT} --url {BACKEND}")
    assert ended.exit_code == 0, ended.output
    assert len(studio.connections) == len(studio.webhooks) == 1
    assert to_do(options) == {}


def without_connection(studio: InMemoryStudio) -> None:
    """Nobody has connected it, or somebody has removed the connection."""
    studio.connections.clear()


def elsewhere(studio: InMemoryStudio) -> None:
    """Connected to an address where nothing answers any more."""
    without_connection(studio)
    studio.connect("http://old.backend.test:9090", "old")


def without_webhook(studio: InMemoryStudio) -> None:
    """Somebody has removed the webhook."""
    studio.webhooks.clear()


def two_connections(studio: InMemoryStudio) -> None:
    """Connected twice."""
    studio.connect(BACKEND + "/", "again")


def hidden(studio: InMemoryStudio) -> None:
    """Suggestions are switched off, and Label Studio asks for trainings by itself."""
    studio.project.update(show_collab_predictions=False, min_annotations_to_start_training=5)


@pytest.mark.parametrize("spoil", [without_connection, elsewhere, without_webhook, two_connections, hidden])
@pytest.mark.parametrize("options", [f"--project {PROJECT}", f"--project {PROJECT} --url {BACKEND}"])
def test_every_remedy_works_as_it_is_printed(
    studio: InMemoryStudio, spoil: Callable[[InMemoryStudio], None], options: str
) -> None:
    """A person who copies it has nothing left to do."""
    run(f"ml-backend connect --project {PROJECT} --url {BACKEND}")
    spoil(studio)
    remedies = to_do(options)
    assert remedies
    for remedy in remedies.values():
        [command] = COMMAND.findall(remedy)
        ended = run(command.replace("http://ADDRESS:9090", BACKEND))
        assert ended.exit_code == 0, (command, ended.output)
    assert to_do(options) == {}


def test_disconnect_and_forget_undo_connect(studio: InMemoryStudio, tmp_path: Path) -> None:
    """Nothing is left in Label Studio, in the data folder, or for the doctor to do."""
    before = json.dumps(studio.project)
    run(f"ml-backend connect --project {PROJECT} --url {BACKEND}")
    refused = run(f"ml-backend forget --project {PROJECT} --yes")
    assert f"ml-backend disconnect --project {PROJECT}" in str(refused.exception)
    asked = run(f"ml-backend disconnect --project {PROJECT}")
    assert "nobody has answered" in str(asked.exception)
    assert "nothing was changed" in run(f"ml-backend disconnect --project {PROJECT} --dry-run").output
    assert len(studio.connections) == len(studio.webhooks) == 1
    assert "2 removed." in run(f"ml-backend disconnect --project {PROJECT} --yes").output
    assert (studio.connections, studio.webhooks) == ({}, {})
    assert {**studio.project, "model_version": None} == json.loads(before)
    assert to_do() == {}
    assert "has nothing of this backend" in run(f"ml-backend disconnect --project {PROJECT} --yes").output
    assert "Nothing was changed" in run(f"ml-backend forget --project {PROJECT} --dry-run").output
    assert (tmp_path / "projects" / str(PROJECT)).is_dir()
    assert "1 forgotten." in run(f"ml-backend forget --project {PROJECT} --yes").output
    assert not (tmp_path / "projects" / str(PROJECT)).exists()
    assert "Nothing is kept of projects that are gone." in run("ml-backend forget --gone").output
    assert "either --project ID, or --gone" in str(run("ml-backend forget").exception)


def test_projects_that_are_gone_are_named_and_forgotten(studio: InMemoryStudio, tmp_path: Path) -> None:
    """The doctor names them, and its remedy works."""
    (tmp_path / "projects" / "9").mkdir(parents=True)
    run(f"ml-backend connect --project {PROJECT} --url {BACKEND}")
    shown = run("ml-backend doctor --images 0").output
    assert "Label Studio does not have" in shown
    assert "ml-backend forget --gone" in shown
    assert "1 forgotten." in run("ml-backend forget --gone --yes").output
    assert "Label Studio does not have" not in run("ml-backend doctor --images 0").output
    assert len(studio.connections) == 1
