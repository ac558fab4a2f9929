"""A console on a store and a Label Studio in memory, and people at it."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from html import unescape
from pathlib import Path

import httpx
from flask.testing import FlaskClient
from made_projects import OWNER, InMemoryProject
from werkzeug.test import TestResponse

from common.doctor import Diagnosis
from common.serving.credentials import Credentials
from consensus.console.access import Roles
from consensus.console.app import create_console
from consensus.console.desk import Console
from consensus.console.health import Schedule
from consensus.diagnosis.examination import examine
from consensus.serving.ml_backend import MLBackend
from consensus.serving.service import Service
from consensus.settings import project_config
from consensus.store.store import Store

PASSWORD = "a-password-of-these-tests"
ANN, REV, OTHER, SECOND = "ann@example.com", "rev@example.com", "other@example.com", "second@example.com"
WAIT_S = 20.0
BACKEND = "http://backend.example:9090"
SETTINGS = """# ours, and dear
machines = ["bot@example.com"]  # of the night

[review]
spot_share = 0.02  # as by itself
"""


class Backend:
    """An ML backend that answers about clusters, and says what its doctor finds.

    Parameters
    ----------
    clusters : list of dict
        What it lists.
    findings : list of dict
    answer : callable or None
        What it answers in place of that.
    """

    def __init__(self) -> None:
        self.clusters: list[dict[str, object]] = []
        self.findings: list[dict[str, object]] = []
        self.version, self.every, self.without = "m1", 1, 0
        self.answer: Callable[[httpx.Request], httpx.Response] | None = None
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests.append(request)
        if self.answer is not None:
            return self.answer(request)
        if request.url.path == "/doctor":
            return streamed(200, {"fine": not self.findings, "findings": self.findings})
        if request.url.params["version"] != self.version:
            return streamed(404, {"error": f"no version {request.url.params['version']!r}"})
        listed = {"model_version": self.version, "every": self.every, "without": self.without}
        return streamed(200, {**listed, "clusters": self.clusters})


def streamed(status: int, content: object) -> httpx.Response:
    """An answer as it comes over a network: not read yet."""
    return httpx.Response(status, content=iter([json.dumps(content).encode()]))


class Desk:
    """A console, and people at it."""

    def __init__(self, made: InMemoryProject, store: Store, folder: Path) -> None:
        self.made, self.store, self.backend = made, store, Backend()
        server = made.server
        server.accounts |= {20: ANN, 21: REV, 22: SECOND, 23: OTHER}
        server.passwords |= dict.fromkeys((OWNER, ANN, REV, OTHER, SECOND), PASSWORD)
        self.settings_file = folder / "consensus.toml"
        self.settings_file.write_text(SETTINGS)
        self.service = Service(
            "a-token-of-this-test",
            lambda: store,
            lambda: nullcontext(made.connected()),
            lambda _: {"done": True},
            lambda project: project_config(self.settings_file, project),
            ml_backend=MLBackend(BACKEND, Credentials("", token="tok-en"), httpx.MockTransport(self.backend)),
        )
        roles = Roles(frozenset({SECOND}), frozenset({REV, OTHER}))
        self.folder = folder
        (folder / "datasets").mkdir()
        self.console = Console(
            self.service,
            folder / "pictures",
            roles,
            secret="secret-of-the-sessions",
            schedule=Schedule("*/15 * * * *"),
            examine=self.examined,
            imports_in=lambda: folder / "imports",
            datasets_in=folder / "datasets",
            settings_file=self.settings_file,
            count_with=lambda _, text: {"Discovered": text.count("dawid-skene") + 4},
        )
        self.app = create_console(self.console)

    def examined(self, project: int) -> Iterator[Diagnosis]:
        """What `consensus doctor` finds."""
        url = f"sqlite:///{self.folder}/store.db"
        return examine("http://ls.example", self.made.connected, lambda: url, None, [project], now=self.made.now())

    def visitor(self) -> FlaskClient:
        """Somebody who has not signed in."""
        return self.app.test_client()

    def signed_in(self, email: str, password: str = PASSWORD) -> FlaskClient:
        """Somebody who has."""
        client = self.visitor()
        answer = send(client, "/sign-in", client.get("/sign-in"), email=email, password=password)
        assert answer.status_code == 303, answer.text
        return client

    def ended(self, answer: TestResponse) -> None:
        """Wait for the end of the job to whose page an answer leads."""
        found = re.search(r"/projects/(\d+)/jobs/(\w+)", answer.headers["Location"])
        assert found, answer.headers["Location"]
        pause = threading.Event()
        for _ in range(int(WAIT_S * 50)):
            job = self.service.background.job(int(found[1]), found[2])
            assert job is not None
            if job.finished_at:
                assert job.state == "done", job.error
                return
            pause.wait(0.02)
        raise AssertionError("it did not end")


def token_in(page: TestResponse) -> str:
    """What a form of the page proves that it is ours by."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def send(client: FlaskClient, path: str, page: TestResponse, **form: object) -> TestResponse:
    """Send a form of a page."""
    return client.post(path, data={"csrf_token": token_in(page), **form})


def words(page: str) -> str:
    """The text of a page, each run of spaces one."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def fields(page: str) -> dict[str, list[str]]:
    """The hidden fields of the last form of a page."""
    form = page[page.rindex("<form") :]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form):
        found.setdefault(name, []).append(unescape(value))
    return found
