"""Label Studio through its SDK: the one place that calls its API."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.control_tags import ChoicesTag
from label_studio_sdk.label_interface.object_tags import ImageTag

from ml_backend.core.controls import Control
from ml_backend.core.evidence import Annotation
from ml_backend.errors import LabelStudioError
from ml_backend.settings import Settings

_PAGE = 1000
_KEPT_LENGTH = 100_000  # of a label config whose controls are remembered
# Label Studio applies the list to the annotations inside the tasks as well.
_LEAN = "id,data,annotations,completed_by,created_at,updated_at,was_cancelled,ground_truth,result"
_TIMEOUT_S = 60.0
_IMPORT_TIMEOUT_S = 900.0  # grows with the tasks of the project: 3 s for 3,000
_DELETE_TIMEOUT_S = 900.0  # 2,000 predictions took 27 s

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Project:
    """What the backend needs to know of a project."""

    id: int
    label_config: str
    model_version: str | None
    sampling: str = ""


@dataclass(frozen=True)
class Task:
    """A task with the annotations that were submitted for it."""

    id: int
    data: dict[str, Any]
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class Connection:
    """A project's connection to an ML backend (Settings > Model)."""

    id: int
    url: str
    title: str
    auth_method: str | None = None
    auth_account: str | None = None


def choices_controls(label_config: str) -> tuple[Control, ...]:
    """Find the Choices controls that are bound to exactly one image.

    Controls of a region (``perRegion``), with choices taken from the task, or bound to anything but one
    ``<Image>`` with a plain ``$key`` are left alone. A config that cannot be read has no controls.

    Examples
    --------
    >>> config = '''<View><Image name="image" value="$photo"/><TextArea name="note" toName="image"/>
    ...     <Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>'''
    >>> choices_controls(config)
    (Control(name='kind', to_name='image', labels=('cat', 'dog'), multiple=False, image_key='photo'),)
    """
    return (_kept_controls if len(label_config) <= _KEPT_LENGTH else _controls)(label_config)


def _controls(label_config: str) -> tuple[Control, ...]:
    try:
        found = list(LabelInterface(label_config).controls)
    except Exception:  # noqa: BLE001 - the parser raises its own, lxml's and plain KeyErrors
        return ()
    return tuple(control for tag in found if (control := _control(tag)) is not None)


_kept_controls = lru_cache(maxsize=256)(_controls)


def _control(tag: Any) -> Control | None:  # noqa: ANN401 - the SDK's tags are untyped
    if not isinstance(tag, ChoicesTag) or not tag.labels or len(tag.objects or ()) != 1:
        return None
    per_region = {key.lower(): value for key, value in tag.attr.items()}.get("perregion", "false")
    image = tag.objects[0]
    if per_region.lower() == "true" or not isinstance(image, ImageTag) or image.is_image_list:
        return None
    if not image.value_is_variable:
        return None
    return Control(
        name=tag.name,
        to_name=image.name,
        labels=tuple(dict.fromkeys(tag.labels)),
        multiple=bool(tag.is_multiple_choice),
        image_key=image.value_name,
    )


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
        self._connections = httpx_client or httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True)
        self._client = self._asked(
            lambda: LabelStudio(
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
        found = self._asked(lambda: self._client.projects.get(id=project_id))
        return Project(
            project_id,
            str(found.label_config or ""),
            found.model_version or None,
            str(getattr(found.sampling, "value", found.sampling) or ""),
        )

    def tasks(self, project_id: int) -> Iterator[Task]:
        """Read all tasks of a project with their annotations, page by page."""
        for task in self._listed(project=project_id, include=_LEAN):
            yield Task(task["id"], task["data"] or {}, tuple(_annotations(task.get("annotations") or ())))

    def tasks_alone(self, project_id: int) -> Iterator[Task]:
        """Read all tasks of a project without their annotations, which is several times as fast."""
        for task in self._listed(project=project_id, include="id,data"):
            yield Task(task["id"], task["data"] or {}, ())

    def task_number(self, project_id: int) -> int:
        """Count the tasks of a project."""
        return int(self._asked(lambda: self._client.projects.get(id=project_id)).task_number or 0)

    def tasks_with_version(self, project_id: int, model_version: str) -> set[int]:
        """Ids of the tasks that have a prediction of a version."""
        filtered = {
            "filter": "filter:tasks:predictions_model_versions",
            "operator": "contains",
            "type": "List",
            "value": [model_version],
        }
        query = json.dumps({"filters": {"conjunction": "and", "items": [filtered]}})
        return {task["id"] for task in self._listed(project=project_id, include="id", query=query)}

    def import_predictions(self, project_id: int, predictions: Sequence[dict[str, Any]]) -> int:
        """Store predictions (each with its ``task``) in one request that is sent once.

        Returns
        -------
        int
            How many Label Studio stored: it leaves out, without an error, those that do not fit its label config.
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

    def versions(self, project_id: int) -> list[str]:
        """Name the model versions that the project's predictions have."""
        path = f"api/projects/{project_id}/model-versions/"
        try:
            answer = self._request(path, "GET").json()
        except ValueError:
            raise LabelStudioError(
                f"what answers at {self._url} to GET {path} is not JSON: is LABEL_STUDIO_URL Label Studio's?"
            ) from None
        return [str(version) for version in answer]

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

    def _listed(self, **query: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - passed to the SDK as they are
        pages = self._asked(lambda: iter(self._client.tasks.list(page_size=_PAGE, **query)))
        while True:
            task = self._asked(lambda: next(pages, None))
            if task is None:
                return
            yield task.model_dump()

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
            raise LabelStudioError(
                f"Label Studio at {self._url} answered {error.status_code}: {_detail(error.body)}"
            ) from None
        except httpx.HTTPError as error:
            raise LabelStudioError(
                f"Label Studio at {self._url} cannot be reached ({type(error).__name__}): is it running, and is "
                "LABEL_STUDIO_URL right as seen from the backend?"
            ) from None


def _detail(body: Any) -> str:  # noqa: ANN401 - whatever was answered
    text = body.get("detail", body) if isinstance(body, dict) else body
    return " ".join(str(text).split())[:300]


def _annotations(raw: Iterable[dict[str, Any]]) -> Iterator[Annotation]:
    for one in raw:
        annotator = one.get("completed_by")
        if isinstance(annotator, dict):
            annotator = annotator.get("id")
        yield Annotation(
            annotator=int(annotator or 0),
            updated_at=str(one.get("updated_at") or one.get("created_at") or ""),
            skipped=bool(one.get("was_cancelled")),
            ground_truth=bool(one.get("ground_truth")),
            choices=_choices(one.get("result") or ()),
        )


def _choices(result: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    return {
        str(region["from_name"]): tuple(str(choice) for choice in region["value"]["choices"])
        for region in result
        if isinstance(region, dict) and region.get("type") == "choices" and "choices" in region.get("value", {})
    }
