"""Label Studio through its SDK: the one place that calls its API."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

import httpx
from label_studio_sdk._extensions.pager_ext import SyncPagerExt
from label_studio_sdk.base_client import LabelStudioBase
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.projects.client import ProjectsClient
from label_studio_sdk.tasks.client_ext import TasksClientExt

from common.contract import VERSION_PREFIX
from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.errors import LabelStudioError, LostAnswerError, RefusedError
from ml_backend.settings import Settings

_PAGE = 500  # on SQLite, Label Studio answers 500 for a page of 999 tasks whose images were uploaded
# Label Studio applies the list to the annotations inside the tasks as well.
_LEAN = "id,data,annotations,completed_by,created_at,updated_at,was_cancelled,ground_truth,result"
_WITH_VERDICTS = f"{_LEAN},predictions,model_version,score"
_TASK_ONLY: Any = "task_only"  # without it Label Studio also looks up all that belongs to the tasks
_TIMEOUT_S = 60.0
_IMPORT_TIMEOUT_S = 900.0  # grows with the tasks of the project: 3 s for 3,000
_DELETE_TIMEOUT_S = 900.0  # 2,000 predictions took 27 s
_LISTED_PREDICTIONS = 100_000  # that one answer may hold; 10,000 took 2 s
_LOST = frozenset({408, 502, 503, 504})  # what a proxy answers while Label Studio perhaps goes on
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_GONE = 404

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Project:
    """What the backend needs to know of a project."""

    id: int
    label_config: str
    model_version: str | None
    sampling: str = ""
    stamp: str = ""  # second of its creation; another project may get its id after a reset
    counts: "Counts | None" = None
    read_at: datetime | None = None  # by Label Studio's clock


@dataclass(frozen=True)
class Counts:
    """How much a project holds; ``submitted`` and ``skipped`` are annotations."""

    tasks: int
    submitted: int
    skipped: int


@dataclass(frozen=True)
class Task:
    """A task with the annotations that were submitted for it, and perhaps what consensus says of it."""

    id: int
    data: dict[str, Any]
    annotations: tuple[Annotation, ...]
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Connection:
    """A project's connection to an ML backend (Settings > Model)."""

    id: int
    url: str
    title: str
    auth_method: str | None = None
    auth_account: str | None = None


class _Projects(ProjectsClient):  # type: ignore[misc]  # the SDK is not followed
    def list(self, **query: Any) -> Any:  # noqa: ANN401 - passed to the SDK as they are
        return SyncPagerExt.from_sync_pager(super().list(**query))


class LeanLabelStudio(LabelStudioBase):  # type: ignore[misc]  # as above
    """The SDK's client without what it adds to projects: that imports pandas, 70 MB in each process.

    Both lists end at the last page; those of the SDK's base ask for one more, and fail.
    """

    @property
    def tasks(self) -> TasksClientExt:
        """Its tasks."""
        return TasksClientExt(client_wrapper=self._client_wrapper)

    @property
    def projects(self) -> _Projects:
        """Its projects."""
        return _Projects(client_wrapper=self._client_wrapper)


class LabelStudioClient:
    """The calls that a training makes.

    The SDK retries reads and writes by itself; the writes here that must not happen twice switch that off.

    Parameters
    ----------
    settings : Settings
    httpx_client : httpx.Client, optional
        Another transport, for tests.
    """

    def __init__(self, settings: Settings, httpx_client: httpx.Client | None = None) -> None:
        settings.require_label_studio()
        self._url = settings.label_studio_url
        self._secret = settings.signing_key
        self._connections = httpx_client or httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True)
        self._client = self._asked(
            lambda: LeanLabelStudio(
                base_url=settings.label_studio_url,
                api_key=settings.label_studio_api_key.get_secret_value(),
                timeout=_TIMEOUT_S,
                httpx_client=self._connections,
            )
        )

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def authorization(self) -> str:
        """Give the header value for Label Studio's own files; an access token is renewed when it expired."""
        headers = self._asked(self._client._client_wrapper.get_headers)  # noqa: SLF001 - the SDK has no other way
        return str(headers["Authorization"])

    def project(self, project_id: int) -> Project:
        """Read a project."""
        answer = self._asked(lambda: self._client.projects.with_raw_response.get(id=project_id))
        found = answer.data
        return Project(
            project_id,
            str(found.label_config or ""),
            found.model_version or None,
            str(getattr(found.sampling, "value", found.sampling) or ""),
            stamp=_stamp(found.created_at),
            counts=_counts(found),
            read_at=_moment(answer.headers.get("date")),
        )

    def tasks(
        self, project_id: int, *, since: datetime | None = None, with_verdicts: bool = False
    ) -> Iterator[Task]:
        """Read the tasks of a project with their annotations, page by page.

        Parameters
        ----------
        project_id : int
        since : datetime, optional
            Only those changed later; aware, by Label Studio's clock. What was deleted is not among them.
        with_verdicts : bool
            Read their predictions as well, which takes longer, and keep those of consensus.
        """
        asked = {"include": _WITH_VERDICTS if with_verdicts else _LEAN}
        if since is not None:
            # Label Studio fails on any other format.
            value = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            asked["query"] = _filter("filter:tasks:updated_at", "greater", "Datetime", value)
        for task in self._listed(project=project_id, **asked):
            verdicts = (Verdict.of(one, task["id"], self._secret) for one in task.get("predictions") or ())
            yield Task(
                task["id"],
                task["data"] or {},
                tuple(Annotation.of(each) for each in task.get("annotations") or ()),
                tuple(one for one in verdicts if one is not None),
            )

    def tasks_alone(self, project_id: int) -> Iterator[Task]:
        """Read all tasks of a project without their annotations, which is several times as fast."""
        for task in self._listed(project=project_id, include="id,data", fields=_TASK_ONLY):
            yield Task(task["id"], task["data"] or {}, ())

    def verdicts(self, project_id: int, n_predictions: int) -> Iterator[tuple[int, Verdict]]:
        """Read all that consensus says, by task.

        Parameters
        ----------
        project_id : int
        n_predictions : int
            Of all versions. Label Studio lists them in one answer, in a twentieth of the time that pages of tasks
            take; where it would be too large, pages are read.
        """
        for task_id, one in self._predictions(project_id, n_predictions, VERSION_PREFIX):
            if (verdict := Verdict.of(one, task_id, self._secret)) is not None:
                yield task_id, verdict

    def prediction_ids(self, project_id: int, model_version: str, n_predictions: int) -> list[tuple[int, int]]:
        """Give the ids of a version's predictions, oldest first, each with its task's.

        Parameters
        ----------
        project_id : int
        model_version : str
        n_predictions : int
            Of all versions.
        """
        found = self._predictions(project_id, n_predictions, model_version)
        return sorted((one["id"], task_id) for task_id, one in found if one["model_version"] == model_version)

    def newest_change(self, project_id: int) -> str:
        """Give the time at which a task with annotations was last changed; empty where no task has any."""
        column = "filter:tasks:total_annotations"
        annotated = {"filter": column, "operator": "greater", "type": "Number", "value": 0}
        query = {"filters": {"conjunction": "and", "items": [annotated]}, "ordering": ["-tasks:updated_at"]}
        page = self._asked(
            lambda: self._client.tasks.list(
                project=project_id, page=1, page_size=1, include="id,updated_at", query=json.dumps(query)
            )
        )
        found = [task.model_dump() for task in page.items or []]
        return str(found[0].get("updated_at") or "") if found else ""

    def task_number(self, project_id: int) -> int:
        """Count the tasks of a project."""
        return int(self._asked(lambda: self._client.projects.get(id=project_id)).task_number or 0)

    def tasks_with_version(self, project_id: int, model_version: str) -> set[int]:
        """Ids of the tasks that have a prediction of a version."""
        query = _filter("filter:tasks:predictions_model_versions", "contains", "List", [model_version])
        listed = self._listed(project=project_id, include="id", query=query, fields=_TASK_ONLY)
        return {task["id"] for task in listed}

    def import_predictions(self, project_id: int, predictions: Sequence[dict[str, Any]]) -> int:
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
        answer = self._asked(
            lambda: self._client.projects.import_predictions(
                id=project_id,
                request=cast("Any", predictions),  # plain dicts serialise as the SDK's own models do
                request_options={"max_retries": 0, "timeout_in_seconds": _IMPORT_TIMEOUT_S},
            )
        )
        return int(answer.created or 0)

    def create_prediction(self, prediction: dict[str, Any]) -> None:
        """Store one prediction (with its ``task``) in a request that is sent once; its ``cluster`` is kept."""
        self._asked(lambda: self._client.predictions.create(**prediction, request_options={"max_retries": 0}))

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete one prediction; one that is not there is no fault."""

        def delete() -> None:
            try:
                self._client.predictions.delete(id=prediction_id)
            except ApiError as error:
                if error.status_code != _GONE:
                    raise

        self._asked(delete)

    def versions(self, project_id: int) -> list[str]:
        """Name the model versions that the project's predictions have."""
        return [str(version) for version in self._request_json(f"api/projects/{project_id}/model-versions/")]

    def version_counts(self, project_id: int) -> dict[str, tuple[int, str]]:
        """Count the predictions of each version, and tell when the latest one was made (ISO 8601)."""
        answer = self._request_json(f"api/projects/{project_id}/model-versions/?extended=true")
        listed = answer.get("static") if isinstance(answer, dict) else answer
        return {
            str(one.get("model_version")): (int(one.get("count") or 0), str(one.get("latest")))
            for one in listed or ()
        }

    def delete_version(self, project_id: int, model_version: str) -> None:
        """Delete all predictions of a version. It can clear the project's version: set that again afterwards."""
        self._request(
            f"api/projects/{project_id}/model-versions/",
            "DELETE",
            {"model_version": model_version},
            _DELETE_TIMEOUT_S,
        )

    def show_version(self, project_id: int, model_version: str) -> None:
        """Make a version the one that annotators and the score column see."""
        self._asked(lambda: self._client.projects.update(id=project_id, model_version=model_version))

    def connections(self, project_id: int) -> list[Connection]:
        """List the ML backends of a project. Label Studio asks each one's ``/health`` and ``/setup`` meanwhile."""
        found = self._asked(lambda: self._client.ml.list(project=project_id))
        return [
            Connection(int(one.id or 0), one.url, one.title or "", one.auth_method, one.basic_auth_user)
            for one in found
        ]

    def rename_connection(self, project_id: int, connection: Connection, title: str) -> None:
        """Set the title; a project that used the old one as its version follows.

        Label Studio tries the connection again on every change, with what the change says: so it says everything.
        An empty password stands for the one that it knows.
        """
        changed: dict[str, Any] = {"url": connection.url, "project": project_id, "title": title}
        if connection.auth_method == "BASIC_AUTH":
            changed |= {"auth_method": "BASIC_AUTH", "basic_auth_user": connection.auth_account}
            changed |= {"basic_auth_pass": ""}
        self._asked(lambda: self._client.ml.update(id=connection.id, **changed))

    def _predictions(
        self, project_id: int, n_predictions: int, version: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Read predictions by task: all, or where that is too many, those of the tasks that have the version."""
        if n_predictions <= _LISTED_PREDICTIONS:
            for one in self._request_json(f"api/predictions/?project={project_id}", _IMPORT_TIMEOUT_S):
                yield one["task"], one
            return
        query = _filter("filter:tasks:predictions_model_versions", "contains", "List", [version])
        include = "id,predictions,result,model_version,score"
        for task in self._listed(project=project_id, include=include, query=query):
            for one in task.get("predictions") or ():
                yield task["id"], one

    def _listed(self, **query: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - passed to the SDK as they are
        pages = self._asked(lambda: iter(self._client.tasks.list(page_size=_PAGE, **query)))
        while True:
            task = self._asked(lambda: next(pages, None))
            if task is None:
                return
            yield task.model_dump()

    def _request_json(self, path: str, timeout_s: float = _TIMEOUT_S) -> Any:  # noqa: ANN401 - whatever it says
        try:
            return self._request(path, "GET", timeout_s=timeout_s).json()
        except ValueError:
            raise LabelStudioError(
                f"what answers at {self._url} to GET {path} is not JSON: is LABEL_STUDIO_URL Label Studio's?"
            ) from None

    def _request(
        self, path: str, method: str, body: dict[str, Any] | None = None, timeout_s: float = _TIMEOUT_S
    ) -> httpx.Response:
        options: Any = {"timeout_in_seconds": timeout_s}
        wrapper = self._client._client_wrapper  # noqa: SLF001 - the SDK lacks this route
        response: httpx.Response = self._asked(
            lambda: wrapper.httpx_client.request(path, method=method, json=body, request_options=options)
        )
        if response.is_error:
            raise LabelStudioError(f"Label Studio answered {response.status_code} to {method} {path}")
        return response

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except ApiError as error:
            kind = LostAnswerError if error.status_code in _LOST else LabelStudioError
            message = f"Label Studio at {self._url} answered {error.status_code}: {_detail(error.body)}"
            if error.status_code == _GONE:
                raise RefusedError(message, _GONE, _detail(error.body)) from None
            raise kind(message) from None
        except httpx.HTTPError as error:
            kind = LabelStudioError if isinstance(error, _NEVER_SENT) else LostAnswerError
            raise kind(
                f"Label Studio at {self._url} cannot be reached ({type(error).__name__}): is it running, and is "
                "LABEL_STUDIO_URL right as seen from the backend?"
            ) from None


def _detail(body: Any) -> str:  # noqa: ANN401 - whatever was answered
    text = body.get("detail", body) if isinstance(body, dict) else body
    return " ".join(str(text).split())[:300]


def _filter(column: str, operator: str, kind: str, value: object) -> str:
    item = {"filter": column, "operator": operator, "type": kind, "value": value}
    return json.dumps({"filters": {"conjunction": "and", "items": [item]}})


def _stamp(created_at: Any) -> str:  # noqa: ANN401 - the SDK's, a datetime or text
    """Name the moment of a project's creation as Label Studio does in what it sends to a backend."""
    try:
        made = datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at
        return str(int(made.timestamp()))
    except (AttributeError, ValueError):
        return ""


def _counts(project: Any) -> Counts | None:  # noqa: ANN401 - the SDK's
    given = (project.task_number, project.total_annotations_number, project.skipped_annotations_number)
    return Counts(*(int(one) for one in given)) if None not in given else None


def _moment(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header or "").astimezone(UTC)
    except ValueError:
        return None
