"""Label Studio as the demo's administrator and annotators use it: the calls that make and fill the project."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from demonstration.digits import LABELS
from demonstration.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demonstration.annotators import Answer
    from demonstration.digits import Digit

CONTROL, IMAGE = "digit", "image"
TITLE = "Handwritten digits"
TIMEOUT_SECONDS = 60.0
TOKEN_PAUSES = (0.0, 0.5, 1.0, 2.0)
UPLOAD_FILES = 50
"""Label Studio refuses more than 100 files in one request."""

LABEL_CONFIG = f"""\
<View>
  <Image name="{IMAGE}" value="${IMAGE}"/>
  <Choices name="{CONTROL}" toName="{IMAGE}" choice="single" showInLine="true">
    {" ".join(f'<Choice value="{label}"/>' for label in LABELS)}
  </Choices>
</View>
"""


class Studio:
    """A Label Studio as one account sees it.

    Parameters
    ----------
    url
        Its address.
    token
        The account's legacy token.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Token {token}"},
            timeout=TIMEOUT_SECONDS,
            follow_redirects=True,
            trust_env=False,
        )
        self.sdk = LabelStudio(base_url=url, api_key=token, httpx_client=self.http)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, **how: Any) -> Any:  # noqa: ANN401 - any JSON
        """Call a route that the SDK has no method for."""
        answer = self.http.request(method, path, **how)
        if answer.is_error:
            raise DemoError(f"Label Studio answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return answer.json()

    def make_project(self, annotators: int) -> int:
        """Make the project; each task may be annotated by everybody."""
        made = self.sdk.projects.create(
            title=TITLE, label_config=LABEL_CONFIG, maximum_annotations=annotators, show_skip_button=True
        )
        return int(made.id)

    def upload(self, project: int, digits: Sequence[Digit]) -> dict[str, int]:
        """Upload images, make a task of each with its given label, and return the tasks by file name."""
        route = f"/api/projects/{project}/import"
        for start in range(0, len(digits), UPLOAD_FILES):
            files = [
                (each.name, (each.name, each.png, "image/png")) for each in digits[start : start + UPLOAD_FILES]
            ]
            self.ask("POST", route, params={"commit_to_project": "false"}, files=files)
        uploads = self.ask("GET", f"/api/projects/{project}/file-uploads", params={"all": "true"})
        given = {each.name: each.given for each in digits}
        tasks = [
            {"data": {IMAGE: f"/data/{upload['file']}", "given": given[file_name(upload["file"])]}}
            for upload in uploads
        ]
        self.ask("POST", route, json=tasks)
        task_of = {file_name(task["data"][IMAGE]): task["id"] for task in self.tasks(project)}
        if task_of.keys() != given.keys():
            raise DemoError(f"Label Studio made {len(task_of)} tasks of {len(given)} images.")
        return task_of

    def tasks(self, project: int, **query_fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - parameters of the route
        """Read all tasks with their annotations and predictions, in the order of a tab if one is named."""
        query = {"project": project, "fields": "all", "page_size": 1000, **query_fields}
        page = self.ask("GET", "/api/tasks", params=query)
        if len(page["tasks"]) != page["total"]:
            raise DemoError(f"Label Studio gave {len(page['tasks'])} of {page['total']} tasks.")
        return page["tasks"]

    def connect_backend(self, project: int, url: str) -> None:
        """Connect an ML backend as Settings > Model does; Label Studio then tells it of annotations."""
        try:
            self.sdk.ml.create(project=project, url=url, title="Digits backend", is_interactive=False)
        except ApiError as error:
            raise DemoError(f"Label Studio refused the ML backend at {url}: {error.body}") from None
        hooks = self.sdk.webhooks.list(project=project)
        if not any(hook.url.startswith(url) for hook in hooks):
            raise DemoError(f"Label Studio made no webhook for {url}: it would never train.")

    def sign_up(self, emails: Sequence[str]) -> dict[str, str]:
        """Make accounts through the invite link, as people would; return each account's own token."""
        link = self.ask("GET", "/api/invite")["invite_url"]
        with ThreadPoolExecutor(max_workers=2) as several:
            return dict(
                zip(emails, several.map(lambda email: sign_up(self.url, link, email), emails), strict=True)
            )

    def submit(self, task: int, answer: Answer) -> None:
        """Submit an annotation, or a skip."""
        region = {
            "id": f"{CONTROL}-{task}",
            "from_name": CONTROL,
            "to_name": IMAGE,
            "type": "choices",
            "value": {"choices": [answer.label]},
        }
        self.sdk.annotations.create(
            task, result=[region] if answer.label else [], was_cancelled=answer.label is None, lead_time=2.0
        )


def sign_up(url: str, link: str, email: str) -> str:
    """Make one account with a random password, and return its token."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, follow_redirects=True, trust_env=False) as browser:
        browser.get(link)
        form = {"email": email, "password": secrets.token_urlsafe(12)}
        form["csrfmiddlewaretoken"] = browser.cookies.get("csrftoken", "")
        browser.post(link, data=form)
        for pause in TOKEN_PAUSES:  # with SQLite busy for another account, Label Studio answers 500 now and then
            time.sleep(pause)
            answer = browser.get("/api/current-user/token")
            if not answer.is_server_error:
                break
        if answer.is_error:
            raise DemoError(f"The invite link made no account {email} ({answer.status_code}).")
        return str(answer.json()["token"])


def file_name(address: str) -> str:
    """Name that a file had when it was uploaded; Label Studio puts eight letters before it.

    >>> file_name("/data/upload/1/7b9fb79e-image-000.png")
    'image-000.png'
    """
    return address.rsplit("/", 1)[-1].split("-", 1)[1]
