"""Label Studio as its people use it, for the demo, the benchmarks and the tests."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from common.errors import LabelStudioError
from common.label_studio.client import TASK_ONLY, LabelStudioClient
from common.label_studio.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN_PAUSES = (0.0, 0.5, 1.0, 2.0)
UPLOAD_FILES = 50
"""Label Studio refuses more than 100 files in one request."""


class Administrator(LabelStudioClient):
    """The client of both programs with what a person does: the administrator, or an annotator with an own token.

    Parameters
    ----------
    transport : httpx.BaseTransport, optional
        In place of the network.
    """

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        super().__init__(Session(url, token, transport=transport))
        self.transport = transport

    def ask(self, method: str, path: str, *, json: Any = None, **request: Any) -> Any:  # noqa: ANN401 - any JSON
        """Call a route; ``request`` is what `Session.request` takes."""
        answer = self.session.request(method, path.lstrip("/"), f"{method} {path}", body=json, **request)
        return answer.json() if answer.content else None

    def create_project(self, label_config: str, title: str = "Made", **settings: object) -> int:
        """Make a project, and return its id."""
        body = {"title": title, "label_config": label_config, **settings}
        return int(self.ask("POST", "/api/projects/", json=body)["id"])

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Import tasks, with annotations and predictions where there are some."""
        self.ask("POST", f"/api/projects/{project}/import", json=list(tasks), timeout_s=900)

    def task_ids(self, project: int) -> list[int]:
        """Return the ids of all tasks, in the order of their import."""
        return sorted(task["id"] for task in self.tasks(project, "id", fields=TASK_ONLY))

    def whole_tasks(self, project: int, **query: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - of the route
        """Read up to 1,000 tasks with all that Label Studio tells of them, or those of a tab (``view``)."""
        params = {"project": project, "fields": "all", "page_size": 1000, **query}
        return list(self.ask("GET", "/api/tasks", params=params)["tasks"])

    def next_task(self, project: int) -> dict[str, Any]:
        """Read what the label stream shows this account."""
        return dict(self.ask("GET", f"/api/projects/{project}/next"))

    def act(self, project: int, action: str, tasks: Sequence[int] | None = None, **values: object) -> None:
        """Let the Data Manager do something with some tasks, or with all of them."""
        selected = {"all": True, "excluded": []} if tasks is None else {"all": False, "included": list(tasks)}
        params, body = {"id": action, "project": project}, {"selectedItems": selected, **values}
        self.ask("POST", "/api/dm/actions/", params=params, json=body, timeout_s=3600)

    def upload(self, project: int, files: Mapping[str, bytes], *, make_tasks: bool = False) -> dict[str, str]:
        """Upload images, and return the address of each by its name."""
        items = list(files.items())
        for start in range(0, len(items), UPLOAD_FILES):
            batch = {name: (name, content) for name, content in items[start : start + UPLOAD_FILES]}
            params = {"commit_to_project": "true" if make_tasks else "false"}
            self.ask("POST", f"/api/projects/{project}/import", params=params, files=batch)
        uploads = self.ask("GET", f"/api/projects/{project}/file-uploads", params={"all": "true"})
        return {file_name(upload["file"]): f"/data/{upload['file']}" for upload in uploads}

    def annotate(self, task: int, *result: Mapping[str, Any], **fields: object) -> int:
        """Submit an annotation, and return its id."""
        body = {"result": list(result), **fields}
        return int(self.ask("POST", f"/api/tasks/{task}/annotations/", json=body)["id"])

    def sign_up(self, emails: Sequence[str]) -> dict[str, str]:
        """Make accounts through the invite link, as people would; return each account's own token."""
        link = self.ask("GET", "/api/invite")["invite_url"]
        with ThreadPoolExecutor(max_workers=2) as several:
            tokens = several.map(partial(self._sign_up, link), emails)
            return dict(zip(emails, tokens, strict=True))

    def _sign_up(self, link: str, email: str) -> str:
        options: Any = {"timeout": 60, "follow_redirects": True, "trust_env": False, "transport": self.transport}
        with httpx.Client(base_url=self.url, **options) as browser:
            browser.get(link)
            form = {"email": email, "password": secrets.token_urlsafe(12)}
            form["csrfmiddlewaretoken"] = browser.cookies.get("csrftoken", "")
            browser.post(link, data=form)
            for pause in TOKEN_PAUSES:  # with SQLite busy for another account, it answers 500 now and then
                time.sleep(pause)
                answer = browser.get("/api/current-user/token")
                if not answer.is_server_error:
                    break
            if answer.is_error:
                raise LabelStudioError(f"The invite link made no account {email} ({answer.status_code}).")
            return str(answer.json()["token"])


def file_name(address: str) -> str:
    """Name that a file had when it was uploaded; Label Studio puts eight letters before it.

    >>> file_name("/data/upload/1/7b9fb79e-image-000.png")
    'image-000.png'
    """
    return address.rsplit("/", 1)[-1].split("-", 1)[1]
