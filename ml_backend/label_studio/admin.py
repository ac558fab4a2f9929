"""Label Studio's connections, webhooks and project settings through its SDK: read them, and set them right."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import httpx
from label_studio_sdk.core.api_error import ApiError

from ml_backend.errors import LabelStudioError, RefusedError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.rows import BASIC, ConnectionRow, Login, ProjectSettings, Storage, Webhook

# Whatever is sent twice must not be there twice; the SDK would repeat it.
_ONCE: Any = {"max_retries": 0}

Answer = TypeVar("Answer")


class LabelStudioAdmin(LabelStudioClient):
    """The calls that connect a backend. Writes are sent once; each can be repeated without harm."""

    def authorize(self) -> None:
        """Ask who the key belongs to.

        Raises
        ------
        RefusedError
            If Label Studio does not let it in.
        """
        self._json("api/current-user/whoami")

    def connection_rows(self, project_id: int) -> list[ConnectionRow]:
        """List a project's connections. Label Studio asks each one's ``/health`` and ``/setup`` meanwhile."""
        found = self._asked(lambda: self._client.ml.list(project=project_id))
        return sorted((ConnectionRow.of(one) for one in found), key=lambda row: row.id)

    def add_connection(self, project_id: int, url: str, title: str, login: Login | None) -> None:
        """Add a connection; Label Studio tries it first, and makes its webhook."""
        asked = {"project": project_id, "url": url, "title": title, **_auth(login)}
        self._asked(lambda: self._client.ml.create(**asked, request_options=_ONCE))

    def change_connection(
        self, project_id: int, row: ConnectionRow, *, url: str, title: str, login: Login | None
    ) -> None:
        """Change a connection. Label Studio tries it with what the request says: so it says everything."""
        changed = {"project": project_id, "url": url, "title": title, "auto_update": True, **_auth(login)}
        if login is None and row.basic_account is not None:  # an empty password stands for the known one
            changed |= {"auth_method": BASIC, "basic_auth_user": row.basic_account, "basic_auth_pass": ""}
        self._asked(lambda: self._client.ml.update(id=row.id, **changed))

    def delete_connection(self, row: ConnectionRow) -> None:
        """Delete a connection. Its webhook stays; a project whose version was its title has none afterwards."""
        self._asked(lambda: self._client.ml.delete(id=row.id))

    def webhooks(self) -> list[Webhook]:
        """List the webhooks of all projects, and those for all of them."""
        return sorted((Webhook.of(one) for one in self._asked(self._client.webhooks.list)), key=lambda one: one.id)

    def known_actions(self) -> frozenset[str]:
        """Name the events that a project's webhook can be made for."""
        found = self._json("api/webhooks/info/")
        return frozenset(name for name, described in found.items() if not described.get("organization-only"))

    def add_webhook(self, project_id: int, url: str, actions: frozenset[str], headers: Mapping[str, str]) -> None:
        """Make a webhook for some events."""
        asked = {"project": project_id, "url": url, **_hook(actions, headers)}
        self._asked(lambda: self._client.webhooks.create(**asked, request_options=_ONCE))

    def change_webhook(
        self, webhook: Webhook, url: str, actions: frozenset[str], headers: Mapping[str, str]
    ) -> None:
        """Change a webhook. A request that leaves the events out would clear them: so it says everything."""
        self._asked(lambda: self._client.webhooks.update(id=webhook.id, url=url, **_hook(actions, headers)))

    def delete_webhook(self, webhook: Webhook) -> None:
        """Delete a webhook."""
        self._asked(lambda: self._client.webhooks.delete(id=webhook.id))

    def project_ids(self) -> list[int]:
        """List the ids of all projects that the key may see."""
        pages = self._asked(lambda: iter(self._client.projects.list(include="id")))
        found = []
        while (project := self._asked(lambda: next(pages, None))) is not None:
            found.append(int(project.id))
        return sorted(found)

    def project_settings(self, project_id: int) -> ProjectSettings:
        """Read a project's settings and counts."""
        return ProjectSettings.of(self._json(f"api/projects/{project_id}/"))

    def change_project(self, project_id: int, changed: Mapping[str, Any]) -> None:
        """Set some of a project's settings, by Label Studio's names."""
        self._asked(lambda: self._client.projects.update(id=project_id, **changed))

    def count_tasks(self, project_id: int, **filtered: Any) -> int:  # noqa: ANN401 - parts of a filter
        """Count the tasks that a filter of the Data Manager leaves, without reading them."""
        return int(self._page(project_id, 1, 1, "id", filtered).get("total") or 0)

    def task_page(
        self,
        project_id: int,
        *,
        page: int,
        size: int,
        include: str,
        ordering: str = "tasks:id",
        **filtered: Any,  # noqa: ANN401 - as above
    ) -> list[dict[str, Any]]:
        """Read one page of tasks with the fields that are named."""
        return list(self._page(project_id, page, size, include, filtered, ordering).get("tasks") or ())

    def storages(self, project_id: int, kinds: Iterable[str]) -> Iterator[Storage]:
        """List a project's source storages of the kinds ``s3``, ``gcs``, ``azure`` and ``localfiles``."""
        for kind in kinds:
            for one in self._json(f"api/storages/{kind}/?project={project_id}"):
                yield Storage.of(kind, one)

    def _page(
        self,
        project_id: int,
        page: int,
        size: int,
        include: str,
        filtered: Mapping[str, Any],
        ordering: str = "tasks:id",
    ) -> dict[str, Any]:
        query: dict[str, Any] = {"ordering": [ordering]}
        if filtered:
            query["filters"] = {"conjunction": "and", "items": [filtered]}
        options: Any = {
            "additional_query_parameters": {
                "project": project_id,
                "page": page,
                "page_size": size,
                "fields": "all",
                "include": include,
                "query": json.dumps(query),
            }
        }
        found: dict[str, Any] = self._json("api/tasks/", options)
        return found

    def _json(self, path: str, options: Any = None) -> Any:  # noqa: ANN401 - what Label Studio answers
        wrapper = self._client._client_wrapper  # noqa: SLF001 - the SDK lacks this, or reads it into too strict types
        answer = self._asked(lambda: wrapper.httpx_client.request(path, method="GET", request_options=options))
        if answer.is_error:
            said = _said(_body(answer))
            raise RefusedError(
                f"Label Studio answered {answer.status_code} to GET {path.partition('?')[0]}: {said}",
                answer.status_code,
                said,
            )
        try:
            return answer.json()
        except ValueError:
            raise LabelStudioError(
                f"what answers to GET {path.partition('?')[0]} is not JSON: is LABEL_STUDIO_URL Label Studio's?"
            ) from None

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        refused: list[ApiError] = []

        def noting() -> Answer:
            try:
                return ask()
            except ApiError as error:
                refused.append(error)
                raise

        try:
            return super()._asked(noting)
        except LabelStudioError as error:
            if not refused:
                raise
            raise RefusedError(str(error), refused[0].status_code or 0, _said(refused[0].body)) from None


def _auth(login: Login | None) -> dict[str, Any]:
    if login is None:
        return {}
    return {"auth_method": BASIC, "basic_auth_user": login.name, "basic_auth_pass": login.password}


def _hook(actions: frozenset[str], headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "is_active": True,
        "send_payload": True,
        "send_for_all_actions": False,
        "actions": sorted(actions),
        "headers": dict(headers),
    }


def _body(answer: httpx.Response) -> Any:  # noqa: ANN401 - whatever was answered
    try:
        return answer.json()
    except ValueError:
        return ""


def _said(body: Any) -> str:  # noqa: ANN401 - whatever was answered
    """Give the sentences of a refusal: those about single fields as well."""
    if not isinstance(body, dict):
        return " ".join(str(body).split())[:300]
    fields = body.get("validation_errors")
    said = [one for many in fields.values() for one in many] if isinstance(fields, dict) else [body.get("detail")]
    return " ".join(" ".join(str(one) for one in said if one).split())[:300]
