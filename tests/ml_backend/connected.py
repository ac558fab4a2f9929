"""Projects of a real Label Studio that are connected to a real backend in this process."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from in_memory_label_studio import region
from werkzeug.serving import make_server

from common.doctor import Finding, Level
from common.label_studio.rows import Login
from ml_backend.backend import Backend
from ml_backend.diagnosis.reading import ProjectReader, read_backend
from ml_backend.doctor import PROJECT_CHECKS
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.connecting import Connecting, ConnectionSetting, DesiredConnection
from ml_backend.label_studio.ownership import known_instance
from ml_backend.model_registry import Artifact
from ml_backend.serving.app import create_app
from ml_backend.serving.auth import webhook_headers
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import RunningLabelStudio

NAME, PASSWORD = "label-studio", "a password"
LOGIN = {"basic_user": NAME, "basic_password": PASSWORD}


@contextmanager
def answering(settings: Settings) -> Iterator[str]:
    """The backend's application, on the port of its public address if that is set; yields where it is.

    It loads no weights and trains nothing.
    """
    known = httpx.URL(settings.public_url).port if settings.public_url else 0
    backend = Backend(settings)
    server = make_server("127.0.0.1", known or 0, create_app(backend), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        backend.close()


@dataclass
class Studio:
    """A Label Studio as its administrator sees it."""

    running: "RunningLabelStudio"
    _open: ExitStack = field(default_factory=ExitStack)
    _admins: dict[str, LabelStudioClient] = field(default_factory=dict)

    @cached_property
    def http(self) -> httpx.Client:
        """Connections with the administrator's key."""
        headers = {"Authorization": f"Token {self.running.api_key}"}
        return self._open.enter_context(httpx.Client(base_url=self.running.url, headers=headers, timeout=60))

    @cached_property
    def others(self) -> httpx.Client:
        """Connections without a key, to anything else."""
        return self._open.enter_context(httpx.Client(timeout=10))

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """Connections that are logged in as a browser is, without a token."""
        with httpx.Client(base_url=self.running.url, timeout=60, headers={"Referer": self.running.url}) as made:
            made.get("/user/login/")
            form = {"email": self.running.email, "password": self.running.password}
            made.post("/user/login/", data=form | {"csrfmiddlewaretoken": made.cookies["csrftoken"]})
            made.headers["X-CSRFToken"] = made.cookies["csrftoken"]
            yield made

    def admin(self, settings: Settings) -> LabelStudioClient:
        """Our own client for a key: one for all tests."""
        key = settings.label_studio_api_key.get_secret_value()
        if key not in self._admins:
            self._admins[key] = LabelStudioClient(settings)
            self._open.callback(self._admins[key].close)
        return self._admins[key]

    def close(self) -> None:
        """Close all connections."""
        self._open.close()

    def ask(self, method: str, path: str, **how: Any) -> Any:  # noqa: ANN401 - any JSON
        """Call a route, and give its JSON."""
        return self.running.administrator.ask(method, path, **how)

    def project(self, label_config: str, **settings: object) -> int:
        """Make a project."""
        return self.running.administrator.create_project(label_config, **settings)

    def tasks(self, project: int, data: list[dict[str, Any]]) -> list[int]:
        """Import tasks, and give the ids of all of them."""
        self.running.administrator.import_tasks(project, [{"data": row} for row in data])
        return self.running.administrator.task_ids(project)

    def upload(self, project: int, name: str, body: bytes) -> str:
        """Upload a file without making a task of it, and give its address."""
        return self.running.administrator.upload(project, {name: body})[name]

    def annotate(self, task: int, label: str, **more: object) -> None:
        """Submit a choice."""
        self.running.administrator.annotate(task, region("kind", label), **more)

    def connections(self, project: int) -> list[dict[str, Any]]:
        """Its connections."""
        found: list[dict[str, Any]] = self.ask("GET", f"/api/ml?project={project}")
        return found

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        """Its webhooks."""
        found: list[dict[str, Any]] = self.ask("GET", f"/api/webhooks/?project={project}")
        return found

    def change_webhook(self, project: int, **changed: object) -> None:
        """Change its only webhook; Label Studio clears the events where they are left out."""
        [hook] = self.webhooks(project)
        self.ask("PATCH", f"/api/webhooks/{hook['id']}/", json={"actions": hook["actions"], **changed})

    def change_connection(self, project: int, **changed: object) -> None:
        """Change its first connection, with the login that it has."""
        row = self.connections(project)[0]
        login = {"auth_method": "BASIC_AUTH", "basic_auth_user": row["basic_auth_user"], "basic_auth_pass": ""}
        said = {"url": row["url"], "project": project} | (login if row["basic_auth_user"] else {})
        self.ask("PATCH", f"/api/ml/{row['id']}", json=said | changed)


@dataclass
class Connected:
    """A project and the backend that it should be connected to."""

    studio: Studio
    settings: Settings
    project: int
    version: str = ""

    def train(self, artifact: Artifact) -> None:
        """Let a version answer."""
        backend = Backend(self.settings)
        backend.registry.save(self.project, artifact)
        backend.registry.switch(self.project, artifact.model_version)
        self.version = artifact.model_version

    def predict(self, tasks: list[int]) -> None:
        """Store a prediction of the version for each task."""
        shown = {"result": [region("kind", "dark")], "score": 0.9, "model_version": self.version}
        made = [{"task": task, **shown} for task in tasks]
        self.studio.running.administrator.import_predictions(self.project, made)

    def connect(
        self, *, dry_run: bool = False, sampling: str | None = None, url: str = ""
    ) -> list[ConnectionSetting]:
        """What ``ml-backend connect`` does."""
        admin = self.studio.admin(self.settings)
        return Connecting(admin, self.desired(sampling, url), dry_run=dry_run).run()

    def examine(self, images: int = 0) -> dict[str, list[Finding]]:
        """What ``ml-backend doctor`` says about the project, by check."""
        backend = Backend(self.settings)
        about = read_backend(self.settings, self.studio.others)
        state = ProjectReader(self.studio.admin(self.settings), backend, about, images).read(self.project)
        backend.close()
        return {name: list(check(state)) for name, check in PROJECT_CHECKS.items()}

    def to_do(self) -> dict[str, list[Finding]]:
        """The problems and warnings of each check that has some."""
        found = {
            name: [one for one in findings if one.level is not Level.FINE]
            for name, findings in self.examine().items()
        }
        return {name: findings for name, findings in found.items() if findings}

    def state(self) -> dict[str, Any]:
        """All of it in Label Studio that a repair could touch; when it was tried last is left out."""
        project = self.studio.ask("GET", f"/api/projects/{self.project}/")
        return {
            "connections": [
                {key: value for key, value in row.items() if key != "updated_at"}
                for row in self.studio.connections(self.project)
            ],
            "webhooks": self.studio.webhooks(self.project),
            "project": {
                key: project[key]
                for key in (
                    "model_version",
                    "show_collab_predictions",
                    "sampling",
                    "min_annotations_to_start_training",
                )
            },
        }

    def desired(self, sampling: str | None = None, url: str = "") -> DesiredConnection:
        """What it asks for."""
        settings = self.settings
        return DesiredConnection(
            self.project,
            url or settings.public_url,
            login=Login(settings.basic_user, settings.basic_password.get_secret_value())
            if settings.basic_user
            else None,
            headers=webhook_headers(settings),
            sampling=sampling,
            own_versions=frozenset(Backend(settings).registry.versions(self.project)),
            instance=known_instance(settings.data_dir),
        )


def settings_for(studio: Studio, folder: Path, **given: object) -> Settings:
    """Settings of a backend that keeps to its folder."""
    return Settings.model_validate(
        {
            "label_studio_url": studio.running.url,
            "label_studio_api_key": studio.running.api_key,
            "data_dir": folder,
            "weights": "random",
            **given,
        }
    )
