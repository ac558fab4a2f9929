"""Label Studio's API: the one place that knows its routes, for both programs."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import wraps
from inspect import isfunction, isgeneratorfunction
from typing import Any, Self, TypeVar

import httpx

from common.errors import LabelStudioError, LostAnswerError, RefusedError
from common.label_studio.rows import (
    BASIC,
    ConnectionRow,
    Login,
    Project,
    ProjectSettings,
    Storage,
    Webhook,
)
from common.label_studio.session import UNREADABLE, Session

PAGE = 500
"""Tasks a request."""
LEAN_PAGE = 900
"""Tasks a request for tasks alone; on SQLite, Label Studio answers 500 for 999 whose images were uploaded."""
IMPORTED = 10_000
"""Predictions a request that stores them. Each costs Label Studio time for every task of the project that has
predictions, however few it carries, and others who write on SQLite wait for parts of it: 12,000 in one took 8 s,
and somebody else waited 1.6 s at most; in four 30 s and 2.0 s. 3,000 in one took 2 s and .8 s, in six 11 s and
1.8 s."""
READINGS = 3
"""While tasks are deleted, others slip to pages that were read already; then all are read again, so often."""
TASK_ONLY = "task_only"
"""Without these `fields` Label Studio also looks up all that belongs to the tasks."""

_LONG_S = (
    900.0  # an import grows with the tasks of the project, 3 s for 3,000; 2,000 deleted predictions took 27 s
)
_CLEARING_S = 1800.0
_LISTED_PREDICTIONS = 100_000  # that one answer may hold; 10,000 took 2 s
_SELECTED = 200  # tasks by id in one address

Read = TypeVar("Read")
Client = TypeVar("Client")


def _in_words(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let an answer of another form, as another program gives it, end as an error that names the address."""

    @wraps(method)
    def call(client: "LabelStudioClient", *arguments: object, **options: object) -> Any:  # noqa: ANN401 - as it does
        try:
            return method(client, *arguments, **options)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise client.session.other_form() from None

    @wraps(method)
    def generate(client: "LabelStudioClient", *arguments: object, **options: object) -> Iterator[Any]:
        try:
            yield from method(client, *arguments, **options)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise client.session.other_form() from None

    return generate if isgeneratorfunction(method) else call


def _all_in_words(client: type[Client]) -> type[Client]:
    for name, method in list(vars(client).items()):
        if isfunction(method) and not name.startswith("_") and name != "read_steadily":  # that calls others' code
            setattr(client, name, _in_words(method))
    return client


@_all_in_words
class LabelStudioClient:
    """The calls that consensus and the ML backend make.

    Tasks, annotations and predictions are given as Label Studio's JSON. What is created is sent once; every other
    write can be repeated without harm, and deleting what is gone is no fault.

    Parameters
    ----------
    session : Session
        Closed with the client.

    Raises
    ------
    LabelStudioError
        From every method, where Label Studio cannot be reached, refuses or fails.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.url, self.close, self.authorization = session.url, session.close, session.authorization

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def authorize(self) -> None:
        """Ask who the key belongs to."""
        self.session.json("GET", "api/current-user/whoami", "the account")

    def own_account(self) -> tuple[int, str]:
        """Id and e-mail address of the account that the key belongs to."""
        row = self.session.json("GET", "api/current-user/whoami", "the account")
        return int(row["id"]), str(row["email"])

    def accounts(self) -> dict[int, str]:
        """E-mail address of each account, by id."""
        users = self.session.json("GET", "api/users/", "the list of accounts")
        return {user["id"]: user["email"] for user in users if user.get("email")}

    def make_account(self, email: str, password: str) -> None:
        """Make an account through the invite link, as its owner would in a browser; look whether it is there."""
        subject = "the invite link"
        link = str(self.session.json("GET", "api/invite", subject)["invite_url"])
        with self.session.visitor() as visitor:
            try:
                visitor.get(link)
                form = {"email": email, "password": password}
                form["csrfmiddlewaretoken"] = visitor.cookies.get("csrftoken") or ""
                visitor.post(link, data=form, headers={"Referer": f"{self.url}/"})
            except httpx.HTTPError as error:
                raise LostAnswerError(
                    f"Label Studio at {self.url} did not answer to {subject} ({type(error).__name__})"
                ) from None

    def signed_in(self, email: str, password: str) -> httpx.Client | None:
        """Return the session of an account in Label Studio's pages, to be closed; None where it is not let in."""
        visitor = self.session.visitor()
        try:
            visitor.get("user/login/")
            form = {"email": email, "password": password}
            form["csrfmiddlewaretoken"] = visitor.cookies.get("csrftoken") or ""
            visitor.post("user/login/", data=form, headers={"Referer": f"{self.url}/user/login/"})
            answer = visitor.get("api/current-user/whoami")
            if answer.is_success and str(answer.json().get("email")).casefold() == email.casefold():
                return visitor
        except (httpx.HTTPError, *UNREADABLE, AttributeError):
            pass
        visitor.close()
        return None

    # Projects

    def project_ids(self) -> list[int]:
        """Ids of all projects that the account sees."""
        pages = self._pages("api/projects/", "results", "count", "the list of projects", {"include": "id"})
        return sorted(int(project["id"]) for project in pages)

    def project(self, project_id: int) -> Project:
        """Read a project."""
        row, headers = self.session.json_and_headers("GET", f"api/projects/{project_id}/", f"project {project_id}")
        return Project.of(row, project_id, _time_of(headers.get("date")))

    def project_settings(self, project_id: int) -> ProjectSettings:
        """Read a project's settings and counts."""
        return ProjectSettings.of(self.session.json("GET", f"api/projects/{project_id}/", f"project {project_id}"))

    def change_project(self, project_id: int, changed: Mapping[str, Any]) -> None:
        """Set some of a project's settings, by Label Studio's names."""
        self.session.request("PATCH", f"api/projects/{project_id}/", f"project {project_id}", body=dict(changed))

    def show_version(self, project_id: int, model_version: str) -> None:
        """Make a version the one that annotators and the score column see."""
        subject = f"model version {model_version!r} of project {project_id}"
        body = {"model_version": model_version}
        self.session.request("PATCH", f"api/projects/{project_id}/", subject, body=body)

    def project_titles(self) -> dict[int, str]:
        """Titles of all projects that the account sees, by id."""
        pages = self._pages(
            "api/projects/", "results", "count", "the list of projects", {"include": "id,title", "page_size": 100}
        )
        return {int(project["id"]): str(project.get("title") or "") for project in pages}

    def make_project(self, title: str, label_config: str, settings: Mapping[str, Any]) -> int:
        """Make a project in a request that is sent once, and return its id.

        Parameters
        ----------
        settings : mapping
            By Label Studio's names, such as ``maximum_annotations``.
        """
        body = {"title": title, "label_config": label_config, **settings}
        return int(self.session.json("POST", "api/projects/", f"a project {title!r}", body=body)["id"])

    # Files and tasks that come in

    def upload_images(self, project_id: int, images: Sequence[tuple[str, bytes]]) -> list[int]:
        """Upload up to 100 images, no task made, in a request that is sent once; return the uploads' ids.

        Parameters
        ----------
        images : sequence of (str, bytes)
            Name and content. Label Studio puts eight letters and a dash before a name.
        """
        files = {str(number): image for number, image in enumerate(images)}  # it takes one file a field name
        answer = self.session.json(
            "POST",
            f"api/projects/{project_id}/import",
            f"{len(images)} images for project {project_id}",
            params={"commit_to_project": "false"},
            files=files,
            timeout_s=_LONG_S,
        )
        return [int(upload_id) for upload_id in answer["file_upload_ids"]]

    def uploads(self, project_id: int, upload_ids: Sequence[int] | None = None) -> dict[int, str]:
        """Return the paths of uploaded files below ``/data/``, by id: of some of this account's, or of all."""
        path, subject = f"api/projects/{project_id}/file-uploads", f"the uploads of project {project_id}"
        chunks: list[dict[str, str]] = [{"all": "true"}]
        if upload_ids is not None:
            starts = range(0, len(upload_ids), _SELECTED)
            chunks = [{"ids": json.dumps(upload_ids[start : start + _SELECTED])} for start in starts]
        rows = (row for params in chunks for row in self.session.json("GET", path, subject, params=params))
        return {int(row["id"]): str(row["file"]) for row in rows}

    def make_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Make tasks in one request that is sent once, all of them or none; return their ids in the same order."""
        answer = self.session.json(
            "POST",
            f"api/projects/{project_id}/import",
            f"{len(tasks)} tasks for project {project_id}",
            params={"return_task_ids": "true"},
            body=list(tasks),
            timeout_s=_LONG_S,
        )
        return [int(task_id) for task_id in answer["task_ids"]]

    def tasks_after(self, project_id: int, include: str, task_id: int) -> Iterator[dict[str, Any]]:
        """Read the tasks whose id is higher than one."""
        return self.tasks(project_id, include, fields=TASK_ONLY, query=_filter("id", "greater", "Number", task_id))

    # Tasks

    def read_steadily(self, project_id: int, read: Callable[[], Read], size: Callable[[Read], int]) -> Read:
        """Read all tasks, again where some were deleted meanwhile: then others may have slipped through.

        Raises
        ------
        LabelStudioError
            If tasks were deleted during each reading.
        """
        for _ in range(READINGS):
            before = self.task_number(project_id)
            result = read()
            if size(result) >= before <= self.task_number(project_id):
                return result
        raise LabelStudioError(
            f"the tasks of project {project_id} could not be read as a whole: some were deleted during each of "
            f"{READINGS} readings; try again when that is over"
        )

    def tasks(
        self, project_id: int, include: str, *, fields: str = "all", query: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Read the tasks of a project, page by page, each once.

        Parameters
        ----------
        include : str
            Keys of tasks; Label Studio applies the list to the annotations and predictions inside them as well.
        fields : str
            `all`, or `task_only`, which is several times as fast.
        query : mapping, optional
            Filters, ordering or selected items of the Data Manager.
        """
        size = LEAN_PAGE if fields == TASK_ONLY else PAGE
        params = {"project": project_id, "fields": fields, "include": include, "page_size": size}
        if query:
            params["query"] = json.dumps(query)
        seen_ids: set[int] = set()
        for task in self._pages("api/tasks/", "tasks", "total", f"the tasks of project {project_id}", params):
            if task["id"] not in seen_ids:  # tasks that come or go meanwhile move the others between the pages
                seen_ids.add(task["id"])
                yield task

    def changed_tasks(self, project_id: int, include: str, since: datetime) -> Iterator[dict[str, Any]]:
        """Read the tasks changed later than an aware time by Label Studio's clock; not those deleted."""
        # Label Studio fails on any other format.
        value = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self.tasks(project_id, include, query=_filter("updated_at", "greater", "Datetime", value))

    def tasks_by_id(
        self, project_id: int, include: str, ids: Sequence[int], *, fields: str = "all"
    ) -> Iterator[dict[str, Any]]:
        """Read some tasks, as `tasks` does; those that are gone are left out."""
        for start in range(0, len(ids), _SELECTED):
            selected = {"all": False, "included": list(ids[start : start + _SELECTED])}
            yield from self.tasks(project_id, include, fields=fields, query={"selectedItems": selected})

    def task_page(
        self,
        project_id: int,
        *,
        page: int,
        size: int,
        include: str,
        ordering: str = "tasks:id",
        **filtered: Any,  # noqa: ANN401 - parts of a filter
    ) -> list[dict[str, Any]]:
        """Read one page of tasks with the fields that are named."""
        return list(self._page(project_id, page, size, include, filtered, ordering).get("tasks") or ())

    def count_tasks(self, project_id: int, **filtered: Any) -> int:  # noqa: ANN401 - as above
        """Count the tasks that a filter of the Data Manager leaves, without reading them."""
        return int(self._page(project_id, 1, 1, "id", filtered, "tasks:id").get("total") or 0)

    def task_number(self, project_id: int) -> int:
        """Count the tasks of a project."""
        return int(self.project_settings(project_id).tasks)

    def newest_change(self, project_id: int) -> str:
        """Return the time at which a task with annotations was last changed; empty where no task has any."""
        annotated = {
            "filter": "filter:tasks:total_annotations",
            "operator": "greater",
            "type": "Number",
            "value": 0,
        }
        page = self.task_page(
            project_id, page=1, size=1, include="id,updated_at", ordering="-tasks:updated_at", **annotated
        )
        return str(page[0].get("updated_at") or "") if page else ""

    def tasks_with_version(self, project_id: int, model_version: str) -> set[int]:
        """Ids of the tasks that have a prediction of a version."""
        return {
            task["id"] for task in self.tasks(project_id, "id", fields=TASK_ONLY, query=_having(model_version))
        }

    def set_overlap(self, task_id: int, overlap: int, *, closed: bool) -> None:
        """Set to how many annotators a task is shown, and open or close it: neither follows from the other."""
        body = {"overlap": overlap, "is_labeled": closed}
        self.session.request("PATCH", f"api/tasks/{task_id}/", f"task {task_id}", body=body)

    def replace_data(self, task_id: int, data: Mapping[str, Any]) -> None:
        """Put other data in the place of all of a task's."""
        self.session.request("PATCH", f"api/tasks/{task_id}/", f"task {task_id}", body={"data": dict(data)})

    # Annotations

    def add_annotation(self, task_id: int, annotation: Mapping[str, Any]) -> dict[str, Any]:
        """Submit an annotation in a request that is sent once, and return it; ground truth takes others' star."""
        path, subject = f"api/tasks/{task_id}/annotations/", f"an annotation of task {task_id}"
        return dict(self.session.json("POST", path, subject, body=dict(annotation)))

    def star_annotation(self, annotation_id: int) -> None:
        """Make an annotation the ground truth of its task, alone; the caller is then who has updated it."""
        subject = f"annotation {annotation_id}"
        self.session.request("PATCH", f"api/annotations/{annotation_id}/", subject, body={"ground_truth": True})

    def delete_annotation(self, annotation_id: int) -> None:
        """Delete one annotation."""
        self._delete(f"api/annotations/{annotation_id}/", f"annotation {annotation_id}")

    def annotate_from_predictions(
        self, project_id: int, version: str, task_ids: Sequence[int], account: httpx.Client
    ) -> None:
        """Make annotations of an account from a version's predictions of tasks, once from each.

        Parameters
        ----------
        task_ids : sequence of int
            At least one: none would stand for all.
        account : httpx.Client
            See `signed_in`.

        Raises
        ------
        LostAnswerError
            Unless Label Studio says that it has done so.
        """
        if not task_ids:
            return
        headers = {"X-CSRFToken": account.cookies.get("csrftoken") or "", "Referer": f"{self.url}/"}
        body = {"selectedItems": {"all": False, "included": list(task_ids)}, "model_version": version}
        params: dict[str, str | int] = {"id": "predictions_to_annotations", "project": project_id}
        try:
            answer = account.post("api/dm/actions/", params=params, json=body, headers=headers, timeout=_LONG_S)
        except httpx.HTTPError as error:
            raise LostAnswerError(
                f"Label Studio at {self.url} did not answer about annotations in bulk ({type(error).__name__})"
            ) from None
        if not answer.is_success:
            raise LostAnswerError(
                f"Label Studio at {self.url} answered {answer.status_code} about annotations in bulk"
            )

    def delete_annotations_of(self, project_id: int, account_id: int, task_ids: Sequence[int]) -> None:
        """Delete all annotations and drafts of an account on tasks, of which there is at least one."""
        if task_ids:
            params = {"id": "delete_tasks_annotations", "project": project_id}
            body = {"selectedItems": {"all": False, "included": list(task_ids)}, "annotator": account_id}
            subject = f"annotations of project {project_id}"
            self.session.request("POST", "api/dm/actions/", subject, params=params, body=body, timeout_s=_LONG_S)

    # Predictions

    def import_predictions(self, project_id: int, predictions: Sequence[Mapping[str, Any]]) -> int:
        """Store predictions (each with its ``task``) in one request that is sent once.

        Returns
        -------
        int
            How many Label Studio stored: it leaves out, without an error, those that do not fit its label config.

        Raises
        ------
        LostAnswerError
            If it may be storing them still.
        LabelStudioError
            If it refused them, or was not reached.
        """
        path, subject = f"api/projects/{project_id}/import/predictions", f"predictions for project {project_id}"
        answer = self.session.json("POST", path, subject, body=list(predictions), timeout_s=_LONG_S)
        return int(answer.get("created") or 0)

    def create_prediction(self, prediction: Mapping[str, Any]) -> None:
        """Store one prediction (with its ``task``) in a request that is sent once; its ``cluster`` is kept."""
        subject = f"a prediction for task {prediction.get('task')}"
        self.session.request("POST", "api/predictions/", subject, body=dict(prediction))

    def change_prediction(self, prediction_id: int, changed: Mapping[str, Any]) -> None:
        """Change a prediction; Label Studio takes another ``result`` only with the ``task`` beside it."""
        path = f"api/predictions/{prediction_id}/"
        self.session.request("PATCH", path, f"prediction {prediction_id}", body=dict(changed))

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete one prediction."""
        self._delete(f"api/predictions/{prediction_id}/", f"prediction {prediction_id}")

    def predictions(
        self, project_id: int, n_predictions: int, version: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Read predictions, each with its task's id.

        Parameters
        ----------
        n_predictions : int
            Of all versions. Label Studio lists them in one answer, in a twentieth of the time that pages of tasks
            take; where it would be too large, pages are read.
        version : str
            Those of other versions may be left out; part of a version's name is enough, and "" stands for all.
        """
        subject = f"the predictions of project {project_id}"
        if n_predictions <= _LISTED_PREDICTIONS:
            params = {"project": project_id}
            for prediction in self.session.json(
                "GET", "api/predictions/", subject, params=params, timeout_s=_LONG_S
            ):
                yield prediction["task"], prediction
            return
        include = "id,predictions,result,model_version,score,created_at"
        for task in self.tasks(project_id, include, query=_having(version) if version else None):
            for prediction in task.get("predictions") or ():
                yield task["id"], prediction

    def task_predictions(self, task_id: int) -> list[dict[str, Any]]:
        """Read the predictions of one task."""
        subject, params = f"the predictions of task {task_id}", {"task": task_id}
        return list(self.session.json("GET", "api/predictions/", subject, params=params))

    def prediction_ids(self, project_id: int, model_version: str, n_predictions: int) -> list[tuple[int, int]]:
        """Return the ids of a version's predictions, oldest first, each with its task's.

        Parameters
        ----------
        n_predictions : int
            Of all versions.
        """
        rows = self.predictions(project_id, n_predictions, model_version)
        return sorted((row["id"], task_id) for task_id, row in rows if row["model_version"] == model_version)

    def versions(self, project_id: int) -> list[str]:
        """Name the model versions that the project's predictions have."""
        subject = f"the model versions of project {project_id}"
        return [
            str(version)
            for version in self.session.json("GET", f"api/projects/{project_id}/model-versions/", subject)
        ]

    def version_counts(self, project_id: int) -> dict[str, tuple[int, str]]:
        """Count the predictions of each version, and tell when the latest one was made (ISO 8601)."""
        path, subject = f"api/projects/{project_id}/model-versions/", f"the model versions of project {project_id}"
        answer = self.session.json("GET", path, subject, params={"extended": "true"})
        listed = answer.get("static") if isinstance(answer, dict) else answer
        return {
            str(row.get("model_version")): (int(row.get("count") or 0), str(row.get("latest")))
            for row in listed or ()
        }

    def delete_version(self, project_id: int, model_version: str) -> None:
        """Delete all predictions of a version. It can clear the project's version: set that again afterwards."""
        path, subject = (
            f"api/projects/{project_id}/model-versions/",
            f"model version {model_version!r} of project {project_id}",
        )
        body = {"model_version": model_version}
        self.session.request("DELETE", path, subject, body=body, timeout_s=_CLEARING_S)

    # Tabs of the Data Manager

    def tabs(self, project_id: int) -> list[dict[str, Any]]:
        """List the tabs of a project."""
        params = {"project": project_id}
        tabs = self.session.json("GET", "api/dm/views/", f"the tabs of project {project_id}", params=params)
        return list(tabs)

    def add_tab(self, project_id: int, content: Mapping[str, Any]) -> None:
        """Make a tab; the request is sent once."""
        body = {"project": project_id, "data": dict(content)}
        subject = f"tab {content.get('title')!r} of project {project_id}"
        self.session.request("POST", "api/dm/views/", subject, body=body)

    def change_tab(self, project_id: int, tab_id: int, content: Mapping[str, Any]) -> None:
        """Put another content in the place of a tab's."""
        body = {"project": project_id, "data": dict(content)}
        self.session.request("PATCH", f"api/dm/views/{tab_id}/", f"tab {content.get('title')!r}", body=body)

    # Connections to ML backends, webhooks and storages

    def connections(self, project_id: int) -> list[ConnectionRow]:
        """List a project's ML backends. Label Studio asks each one's ``/health`` and ``/setup`` meanwhile."""
        params = {"project": project_id}
        rows = self.session.json("GET", "api/ml/", f"the ML backends of project {project_id}", params=params)
        return sorted((ConnectionRow.of(row) for row in rows), key=lambda row: row.id)

    def add_connection(self, project_id: int, url: str, title: str, login: Login | None) -> None:
        """Add a connection in a request that is sent once; Label Studio tries it first, and makes its webhook."""
        body = {"project": project_id, "url": url, "title": title, **_auth(login)}
        self.session.request("POST", "api/ml/", f"the ML backend of project {project_id}", body=body)

    def change_connection(
        self,
        project_id: int,
        row: ConnectionRow,
        *,
        url: str,
        title: str,
        login: Login | None,
    ) -> None:
        """Change a connection. Label Studio tries it with what the request says: so it says everything."""
        body = {"url": url, "title": title, "auto_update": True, **_auth(login)}
        self._set_connection(project_id, row, body, known_login=login is None)

    def rename_connection(self, project_id: int, row: ConnectionRow, title: str) -> None:
        """Set the title of a connection; a project that used the old one as its version follows."""
        self._set_connection(project_id, row, {"url": row.url, "title": title}, known_login=True)

    def _set_connection(
        self, project_id: int, row: ConnectionRow, body: dict[str, Any], *, known_login: bool
    ) -> None:
        body |= {"project": project_id}
        if known_login and row.basic_account is not None:  # an empty password stands for the known one
            body |= {"auth_method": BASIC, "basic_auth_user": row.basic_account, "basic_auth_pass": ""}
        self.session.request("PATCH", f"api/ml/{row.id}", f"the ML backend of project {project_id}", body=body)

    def delete_connection(self, row: ConnectionRow) -> None:
        """Delete a connection. Its webhook stays; a project whose version was its title has none afterwards."""
        self._delete(f"api/ml/{row.id}", f"ML backend {row.id}")

    def webhooks(self) -> list[Webhook]:
        """List the webhooks of all projects, and those for all of them."""
        rows = self.session.json("GET", "api/webhooks/", "the list of webhooks")
        return sorted((Webhook.of(row) for row in rows), key=lambda hook: hook.id)

    def known_actions(self) -> frozenset[str]:
        """Name the events that a project's webhook can be made for."""
        described_actions = self.session.json("GET", "api/webhooks/info/", "the events of webhooks")
        return frozenset(
            name for name, described in described_actions.items() if not described.get("organization-only")
        )

    def add_webhook(self, project_id: int, url: str, actions: frozenset[str], headers: Mapping[str, str]) -> None:
        """Make a webhook for some events in a request that is sent once."""
        body = {"project": project_id, "url": url, **_hook(actions, headers)}
        self.session.request("POST", "api/webhooks/", f"a webhook of project {project_id}", body=body)

    def change_webhook(
        self, webhook: Webhook, url: str, actions: frozenset[str], headers: Mapping[str, str]
    ) -> None:
        """Change a webhook. A request that leaves the events out would clear them: so it says everything."""
        body = {"url": url, **_hook(actions, headers)}
        self.session.request("PATCH", f"api/webhooks/{webhook.id}/", f"webhook {webhook.id}", body=body)

    def delete_webhook(self, webhook: Webhook) -> None:
        """Delete a webhook."""
        self._delete(f"api/webhooks/{webhook.id}/", f"webhook {webhook.id}")

    def storages(self, project_id: int, kinds: Iterable[str]) -> Iterator[Storage]:
        """List a project's source storages of the kinds ``s3``, ``gcs``, ``azure`` and ``localfiles``."""
        for kind in kinds:
            subject, params = f"the storages of project {project_id}", {"project": project_id}
            for row in self.session.json("GET", f"api/storages/{kind}/", subject, params=params):
                yield Storage.of(kind, row)

    def file_size(self, address: str) -> int:
        """Read a file that Label Studio serves, and return its size in bytes."""
        return len(self.session.request("GET", address.lstrip("/"), f"the file {address}").content)

    def add_storage(self, kind: str, settings: Mapping[str, Any]) -> int:
        """Make a source storage in a request that is sent once; Label Studio tries it first. Nothing is synced."""
        subject = f"a storage for project {settings.get('project')}"
        return int(self.session.json("POST", f"api/storages/{kind}/", subject, body=dict(settings))["id"])

    def _page(
        self, project_id: int, page: int, size: int, include: str, filtered: Mapping[str, Any], ordering: str
    ) -> dict[str, Any]:
        query: dict[str, Any] = {"ordering": [ordering]}
        if filtered:
            query["filters"] = {"conjunction": "and", "items": [filtered]}
        params = {"project": project_id, "page": page, "page_size": size, "fields": "all", "include": include}
        subject = f"the tasks of project {project_id}"
        answer: dict[str, Any] = self.session.json(
            "GET", "api/tasks/", subject, params={**params, "query": json.dumps(query)}
        )
        return answer

    def _pages(
        self, path: str, rows: str, total: str, subject: str, params: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        page, read = 1, 0
        while True:
            try:
                answer = self.session.json("GET", path, subject, params={**params, "page": page})
            except RefusedError as error:
                if error.http_status == httpx.codes.NOT_FOUND and page > 1:  # it ends where the page before ended
                    return
                raise
            yield from answer[rows]
            page, read = page + 1, read + len(answer[rows])
            if not answer[rows] or read >= answer[total]:
                return

    def _delete(self, path: str, subject: str) -> None:
        try:
            self.session.request("DELETE", path, subject)
        except RefusedError as error:
            if error.http_status != httpx.codes.NOT_FOUND:  # gone already: an earlier try got through
                raise


def _filter(column: str, operator: str, kind: str, value: object) -> dict[str, Any]:
    condition = {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
    return {"filters": {"conjunction": "and", "items": [condition]}}


def _having(version: str) -> dict[str, Any]:
    return _filter("predictions_model_versions", "contains", "List", [version])


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


def _time_of(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header or "").astimezone(UTC)
    except ValueError:
        return None
