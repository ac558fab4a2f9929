"""The edge to Label Studio: the one file that owns its SDK."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.request_options import RequestOptions

from common.contract import REPORT_NAMES, VERSION_PREFIX, signed_kind, signed_meta
from common.label_studio.annotations import account_of, choices_in
from common.label_studio.label_config import LabelConfig, LabelConfigError, read_label_config
from consensus.core.decide.writeback import Difference, Entry, Written
from consensus.core.routing.overlap import Change, Served, ServedTask
from consensus.core.votes.from_annotations import Annotation, Task
from consensus.errors import LabelStudioError

PAGE = 500
TIMEOUT_SECONDS = 120.0
CLEARING_SECONDS = 1800
READINGS = 3
"""While tasks are deleted, others slip to pages that were read already; then all are read again, so often at most.
What still slips is the next run's difference."""
FIELDS = (
    "id,data,annotations,predictions,result,completed_by,was_cancelled,ground_truth,created_at,updated_at,lead_time,"
    "parent_prediction,model_version,score"
)
"""Keys of tasks, annotations and predictions to send; `include` reaches into the nested ones as well."""

SKIPS_COUNT = ("IGNORE_SKIPPED", "REQUEUE_FOR_ME")
"""Skip queues under which the label stream shows a task to one annotator less for everybody who skipped it."""
STREAM_FIELDS = "id,overlap,is_labeled,annotations,completed_by,was_cancelled,ground_truth,updated_at"
"""The same, where only who had a task counts; the key `annotators` of a task stays empty without `fields=all`."""

HIDDEN = (
    "inner_id", "completed_at", "cancelled_annotations", "total_predictions", "annotations_ids", "file_upload",
    "storage_filename", "created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists",
    "annotations_results", "predictions_results",
)  # fmt: skip
"""Columns that a tab made here does not show; Label Studio would show all of them."""
HIDDEN_IN_REPORTS = ("predictions_score", "predictions_model_versions")
"""The score column is about the ML model's predictions, and a report's tab has one model version."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Project:
    """What a run needs to know of a project.

    Attributes
    ----------
    id : int
    title : str
    n_tasks : int
    model_version : str
        The version whose predictions annotators see.
    config : LabelConfig
    """

    id: int
    title: str
    n_tasks: int
    model_version: str
    config: LabelConfig


@dataclass(frozen=True)
class Pulled:
    """All tasks of a project, and what earlier runs wrote onto them."""

    tasks: list[Task]
    written: list[Written]


class Studio:
    """A Label Studio, as a run uses it.

    Parameters
    ----------
    url, api_key : str
        Address, and a legacy token or a personal access token.
    client : LabelStudio, optional
        In place of one made from the two.
    timeout : float, optional
        Seconds that an answer may take.
    signing_key : str, optional
        What reports are signed with in place of the API key.

    Raises
    ------
    LabelStudioError
        From every method, where Label Studio cannot be reached, refuses or fails.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        client: LabelStudio | None = None,
        timeout: float | None = None,
        signing_key: str = "",
    ) -> None:
        if not client and not (url and api_key):
            missing = "LABEL_STUDIO_API_KEY" if url else "LABEL_STUDIO_URL"
            raise LabelStudioError(
                f"{missing} is not set; set it in the environment or in .env "
                "(the token is in Label Studio under Account & Settings)"
            )
        if "@" in url:
            raise LabelStudioError(
                "LABEL_STUDIO_URL holds a password; the token in LABEL_STUDIO_API_KEY is enough"
            )
        self.url = url.strip().rstrip("/")
        self._secret = signing_key or api_key.strip()
        try:
            api_key.encode("ascii")
            httpx.URL(self.url)
        except UnicodeEncodeError:
            raise LabelStudioError(
                "LABEL_STUDIO_API_KEY is no token: it holds letters that no token has"
            ) from None
        except httpx.InvalidURL as error:
            raise LabelStudioError(f"LABEL_STUDIO_URL is {self.url!r}, which is no address: {error}") from None
        limit = timeout or TIMEOUT_SECONDS
        self._connections = httpx.Client(timeout=limit, follow_redirects=True)
        self._client = client or LabelStudio(
            base_url=self.url, api_key=api_key.strip(), timeout=limit, httpx_client=self._connections
        )

    def close(self) -> None:
        """Close the connections; those of a client that was given stay."""
        self._connections.close()

    def project(self, number: int) -> Project:
        """Read a project and its `<Choices>`."""
        with self._talking(f"project {number}"):
            found = self._client.projects.get(number)
        try:
            config = read_label_config(found.label_config or "")
        except LabelConfigError as error:
            raise LabelStudioError(str(error)) from None
        return Project(number, found.title or "", found.task_number or 0, found.model_version or "", config)

    def project_numbers(self) -> list[int]:
        """Ids of all projects that the account sees."""
        with self._talking("the list of projects"):
            return sorted(project.id for project in self._client.projects.list() if project.id is not None)

    def accounts(self) -> dict[int, str]:
        """E-mail address of each account, by id."""
        with self._talking("the list of accounts"):
            return {
                user.id: user.email for user in self._client.users.list() if user.id is not None and user.email
            }

    def pull(self, project: int, accounts: Mapping[int, str], progress: Progress = lambda _: None) -> Pulled:
        """Read all tasks with their submitted annotations and our predictions.

        Parameters
        ----------
        project : int
        accounts : mapping of int to str
            Names of the annotators; others are called `account ID`.
        progress : callable
            Told the number of tasks read so far.
        """
        for _ in range(READINGS):
            before = self.project(project).n_tasks
            pulled = self._pull_once(project, accounts, progress)
            if len(pulled.tasks) >= before <= self.project(project).n_tasks:
                break
        return pulled

    def _pull_once(self, project: int, accounts: Mapping[int, str], progress: Progress) -> Pulled:
        pulled, read = Pulled([], []), set[int]()
        with self._talking(f"the tasks of project {project}"):
            pager = self._client.tasks.list(project=project, fields="all", include=FIELDS, page_size=PAGE)
            for count, task in enumerate(pager, start=1):
                if task.id in read:  # tasks that come or go meanwhile move the others between the pages
                    continue
                read.add(int(task.id or 0))
                suggested = {one.id: one.result for one in task.predictions or []}
                annotations = [_annotation(one, accounts, suggested) for one in task.annotations or []]
                before = _made_before(task.predictions or [], task.annotations or [])
                pulled.tasks.append(Task(int(task.id or 0), task.data or {}, annotations, *before))
                pulled.written.extend(
                    _written(one, int(task.id or 0), self._secret)
                    for one in task.predictions or []
                    if (one.model_version or "").startswith(VERSION_PREFIX)
                )
                if count % PAGE == 0:
                    progress(count)
        progress(len(pulled.tasks))
        return pulled

    def served(self, project: int, accounts: Mapping[int, str], progress: Progress = lambda _: None) -> Served:
        """Read how the label stream serves a project's tasks, and who had them; what was said is not read.

        Parameters
        ----------
        project : int
        accounts : mapping of int to str
            Names of the annotators; others are called `account ID`.
        progress : callable
            Told the number of tasks read so far.
        """
        tasks: dict[int, ServedTask] = {}
        with self._talking(f"the tasks of project {project}"):
            skips_count = self._client.projects.get(project).skip_queue in SKIPS_COUNT
            pager = self._client.tasks.list(project=project, fields="all", include=STREAM_FIELDS, page_size=PAGE)
            for count, task in enumerate(pager, start=1):
                number = int(task.id or 0)
                annotations = tuple(_annotation(one, accounts) for one in task.annotations or [])
                tasks[number] = ServedTask(number, int(task.overlap or 1), bool(task.is_labeled), annotations)
                if count % PAGE == 0:
                    progress(count)
        progress(len(tasks))
        return Served(tuple(tasks.values()), skips_count)

    def set_overlap(self, change: Change) -> None:
        """Set to how many annotators a task is shown, and open or close it: neither follows from the other."""
        with self._talking(f"task {change.task}"):
            self._client.tasks.update(str(change.task), overlap=change.overlap, is_labeled=change.closed)

    def write(
        self, project: int, changes: Difference, to_name: Mapping[str, str], progress: Progress = lambda _: None
    ) -> None:
        """Send a difference: empty the reports that are written anew, add what is new, then take away what is old.

        Whatever is missing after an interruption is the next run's difference.

        Parameters
        ----------
        project : int
        changes : Difference
        to_name : mapping of str to str
            The object that each control labels.
        progress : callable
            Told the number of predictions sent so far.
        """
        sent = 0
        shown = self.project(project).model_version if changes.clear else ""
        try:
            for version in changes.clear:
                self._clear(project, version)
        finally:
            if changes.clear:
                self.show(project, shown)
        for start in range(0, len(changes.create), PAGE):
            entries = changes.create[start : start + PAGE]
            self._create(project, entries, to_name)
            sent += len(entries)
            progress(sent)
        if shown in changes.clear:  # it could not be shown while it had no prediction
            self.show(project, shown)
        for written in changes.update:
            with self._talking(f"prediction {written.id}"):
                self._client.predictions.update(written.id, score=written.entry.score)
            sent += 1
            progress(sent)
        for number in changes.delete:
            with self._talking(f"prediction {number}"):
                self._delete(number)
            sent += 1
            progress(sent)

    def show(self, project: int, version: str) -> None:
        """Let annotators see the predictions of a version again, where Label Studio has forgotten it.

        A version that somebody has chosen meanwhile stays; one that no prediction and no ML backend has any more
        cannot be shown.
        """
        if not version or self.project(project).model_version:
            return
        with self._talking(f"model version {version!r} of project {project}"):
            try:
                self._client.projects.update(project, model_version=version)
            except ApiError as error:
                if error.status_code != httpx.codes.BAD_REQUEST:
                    raise

    def make_tabs(self, project: int, *, dry_run: bool = False) -> list[str]:
        """Make the Data Manager tab of each report that has none; return the reports it was made for.

        A project without any tab gets one of all tasks first, as Label Studio would make it: once other tabs
        exist, it makes none.
        """
        with self._talking(f"the tabs of project {project}"):
            views = list(self._client.views.list(project=project))
        shown = {value for view in views for value in _versions_shown(view.data)}
        missing: list[str] = [report for report in REPORT_NAMES if VERSION_PREFIX + report not in shown]
        if dry_run:
            return missing
        if not views:
            self._make_tab(project, {"title": "Default", **_hiding(HIDDEN)})
        for report in missing:
            content = {
                "title": report,
                "filters": _showing(VERSION_PREFIX + report),
                **_hiding(HIDDEN + HIDDEN_IN_REPORTS),
            }
            self._make_tab(project, content)
        return missing

    def _make_tab(self, project: int, content: dict[str, Any]) -> None:
        with self._talking(f"tab {content['title']!r} of project {project}"):
            self._client.views.create(project=project, data=content)

    def _create(self, project: int, entries: Sequence[Entry], to_name: Mapping[str, str]) -> None:
        body: list[Any] = [
            {
                "task": entry.task,
                "model_version": entry.model_version,
                "score": entry.score,
                "result": [_region(entry, to_name, self._secret)] if entry.choice else [],
            }
            for entry in entries
        ]
        with self._talking(f"import of predictions into project {project}"):
            created = self._client.projects.import_predictions(project, request=body).created
        if created != len(entries):
            raise LabelStudioError(
                f"Label Studio stored {created} of {len(entries)} predictions of project {project}; were tasks "
                "deleted or choices renamed meanwhile? The next run repairs it"
            )

    def _delete(self, prediction: int) -> None:
        try:
            self._client.predictions.delete(prediction)
        except ApiError as error:
            if error.status_code != httpx.codes.NOT_FOUND:  # gone already: an earlier try got through
                raise

    def _clear(self, project: int, version: str) -> None:
        """Delete all predictions of one of our versions; Label Studio may forget the annotators' one over it."""
        with self._talking(f"model version {version!r} of project {project}"):
            # The SDK has no method for this route.
            answer = self._client._client_wrapper.httpx_client.request(  # noqa: SLF001
                f"api/projects/{project}/model-versions/",
                method="DELETE",
                json={"model_version": version},
                request_options=RequestOptions(timeout_in_seconds=CLEARING_SECONDS),
            )
            if answer.is_error:
                raise ApiError(status_code=answer.status_code, body=answer.text)

    @contextmanager
    def _talking(self, subject: str) -> Iterator[None]:
        """Turn whatever goes wrong on the way into one sentence."""
        try:
            yield
        except ApiError as error:
            raise LabelStudioError(_explained(error, subject, self.url)) from None
        except httpx.HTTPError as error:
            raise LabelStudioError(
                f"Label Studio at {self.url} cannot be reached for {subject} ({type(error).__name__}); "
                "is it running, and is LABEL_STUDIO_URL right?"
            ) from None


def _explained(error: ApiError, subject: str, url: str) -> str:
    if error.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return (
            f"Label Studio at {url} refused the token for {subject} ({error.status_code}); check "
            "LABEL_STUDIO_API_KEY, and that legacy tokens are on if it is one"
        )
    if error.status_code == httpx.codes.NOT_FOUND:
        return f"Label Studio at {url} has no {subject}, or the account may not see it (404)"
    said = " ".join(str(error.body).split())[:300]
    return f"Label Studio at {url} answered {error.status_code} about {subject}: {said}"


def _annotation(
    raw: Mapping[str, Any], accounts: Mapping[int, str], suggested: Mapping[int | None, Any] | None = None
) -> Annotation:
    number = account_of(raw)
    # Accounts that are gone stay apart: whoever they were, each of them voted.
    unknown = f"account unknown of annotation {raw['id']}"
    return Annotation(
        id=int(raw["id"]),
        annotator=unknown if number is None else accounts.get(number, f"account {number}"),
        updated_at=str(raw.get("updated_at") or ""),
        skipped=bool(raw.get("was_cancelled")),
        ground_truth=bool(raw.get("ground_truth")),
        result=raw.get("result") or [],
        lead_time=raw.get("lead_time"),
        from_prediction=raw.get("parent_prediction"),
        suggestion=_regions((suggested or {}).get(raw.get("parent_prediction"))),
    )


def _made_before(
    predictions: Sequence[Any], annotations: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Mapping[str, object]] | None, float | None]:
    """Regions and score of the last prediction of a model that was made before the first annotation.

    A model that had learned from a task's annotations would only repeat them.
    """
    earliest = min((_moment(one.get("created_at")) for one in annotations), default=None)
    of_models = [
        (_moment(one.created_at), one)
        for one in predictions
        if not (one.model_version or "").startswith(VERSION_PREFIX)
    ]
    before = [(moment, one) for moment, one in of_models if moment and (earliest is None or moment < earliest)]
    if not before:
        return None, None
    last = max(before, key=lambda pair: pair[0])[1]
    return _regions(last.result), last.score


def _moment(value: Any) -> str:  # noqa: ANN401  # text or a datetime, as the SDK has read it
    moment = datetime.fromisoformat(value) if isinstance(value, str) and value else value
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(moment, datetime) else ""


def _regions(result: Any) -> Sequence[Mapping[str, object]] | None:  # noqa: ANN401  # whatever a backend has made
    """Regions of a prediction; None where there is none, or what there is are no regions."""
    if not isinstance(result, list) or not all(isinstance(region, Mapping) for region in result):
        return None
    return result


def _written(prediction: Any, task: int, secret: str) -> Written:  # noqa: ANN401  # the SDK's generated type
    made = choices_in(prediction.result).made if isinstance(prediction.result, list) else {}
    control, choices = next(iter(made.items()), ("", ()))
    score = float("nan") if prediction.score is None else float(prediction.score)
    version = str(prediction.model_version)
    kind = signed_kind(secret, task, version, prediction.result)
    choice = choices[0] if choices else ""
    entry = Entry(task, version.removeprefix(VERSION_PREFIX), control, choice, score, kind)
    return Written(int(prediction.id), entry)


def _region(entry: Entry, to_name: Mapping[str, str], secret: str) -> dict[str, Any]:
    region: dict[str, Any] = {
        "id": f"{entry.report}-{entry.control}-{entry.task}",
        "from_name": entry.control,
        "to_name": to_name[entry.control],
        "type": "choices",
        "value": {"choices": [entry.choice]},
    }
    if entry.kind:
        region["meta"] = signed_meta(secret, entry.task, entry.model_version, region, entry.kind)
    return region


def _showing(version: str) -> dict[str, Any]:
    item = {
        "filter": "filter:tasks:predictions_model_versions",
        "operator": "contains",
        "type": "List",
        "value": [version],
    }
    return {"conjunction": "and", "items": [item]}


def _hiding(columns: Sequence[str]) -> dict[str, Any]:
    """Hide columns in the list of tasks and, beside an open task, all but the data and the id."""
    names = [f"tasks:{column}" for column in columns]
    beside = [*names, *(f"tasks:{column}" for column in ("total_annotations", "annotators", *HIDDEN_IN_REPORTS))]
    return {"hiddenColumns": {"explore": names, "labeling": list(dict.fromkeys(beside))}}


def _versions_shown(content: Any) -> list[str]:  # noqa: ANN401  # whatever a person made of the tab
    """Model versions that a tab's filter names."""
    if not isinstance(content, Mapping):
        return []
    items = (content.get("filters") or {}).get("items") or []
    values = [item.get("value") for item in items if item.get("filter", "").endswith("predictions_model_versions")]
    return [str(one) for value in values for one in (value if isinstance(value, list) else [value])]
