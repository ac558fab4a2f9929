"""What consensus reads from Label Studio and writes there: votes, reports, tabs, overlap."""

import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from common.contract import (
    MACHINE_ACCOUNT,
    REPORT_NAMES,
    VERSION_PREFIX,
    Accusation,
    accusation_in,
    decision_in,
    is_of_report,
    signed_kind,
    signed_meta,
    words_in,
)
from common.errors import LabelStudioError, LostAnswerError, RefusedError
from common.label_studio.annotations import account_of, changed_by, choices_in, moment_of
from common.label_studio.client import IMPORTED, PAGE, LabelStudioClient
from common.label_studio.incremental_sync import FIELDS, IncrementalSync, Pulled
from common.label_studio.label_config import LabelConfig, LabelConfigError, read_label_config
from common.label_studio.task_cache import TaskCache
from common.progress import StepProgress
from consensus import __version__
from consensus.core.decide.writeback import Difference, Entry, Written
from consensus.core.routing.overlap import Change, Served, ServedTask
from consensus.core.votes.from_annotations import UNKNOWN_ACCOUNT, Annotation, Task

Tasks = TypeVar("Tasks")

LOOKS_SECONDS = (0.0, 5.0, 15.0, 40.0)
"""Pauses before each look at what has arrived, while an import whose answer was lost may be at work."""
SENDINGS = 3
READ_BEFORE = 20
"""Tasks whose data are read just before they are changed: Label Studio can only replace all of it."""
SKIPS_COUNT = ("IGNORE_SKIPPED", "REQUEUE_FOR_ME")
"""Skip queues under which the label stream shows a task to one annotator less for everybody who skipped it."""
STREAM_FIELDS = "id,overlap,is_labeled,annotations,completed_by,was_cancelled,ground_truth,updated_at"
"""The same, where only who had a task counts; the key `annotators` of a task stays empty without `fields=all`."""

DERIVED = 5
"""Version of what is kept of what was derived of a task."""

HIDDEN = (
    "inner_id", "completed_at", "cancelled_annotations", "total_predictions", "annotations_ids", "file_upload",
    "storage_filename", "created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists",
    "annotations_results", "predictions_results", "data.checksum",
)  # fmt: skip
"""Columns that a tab made here does not show; Label Studio would show all of them."""
HIDDEN_IN_REPORTS = ("predictions_score", "predictions_model_versions")
"""The score column is about the ML model's predictions, and a report's tab has one model version."""


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
    url : str
        Of the Label Studio.
    created_at : str
        Moment of its creation: another project may get its id after a reset.
    """

    id: int
    title: str
    n_tasks: int
    model_version: str
    config: LabelConfig
    url: str = ""
    created_at: str = ""


class CachedTasks:
    """All tasks of a project as they are now, and what was derived of those that have not changed since.

    Parameters
    ----------
    accounts : mapping of int to str
        Names of the annotators; others are called `account ID`.
    secret : str
        What reports are signed with.
    """

    def __init__(self, cache: TaskCache, accounts: Mapping[int, str], secret: str) -> None:
        self._cache, self._accounts, self._secret = cache, accounts, secret

    def data(self) -> dict[int, dict[str, Any]]:
        """Return the data of all tasks, by id."""
        return self._cache.data()

    def read(self, *, underived: bool = False) -> list[tuple[Task, list[Written]]]:
        """Read tasks by id, with what earlier runs wrote onto them: all, or those of which nothing is derived."""
        read = partial(_task, accounts=self._accounts, secret=self._secret)
        return list(self._cache.tasks(read, underived=underived))

    def derive(
        self, depends_on: object, derive: Callable[[list[Task]], Iterable[Any]]
    ) -> tuple[dict[int, Any], list[Written]]:
        """Derive something of each task, or take what was derived of it by an earlier run.

        Parameters
        ----------
        depends_on : object
            Whose `repr` names all that it depends on besides the task, the accounts and this version of consensus.
        derive : callable
            Of some tasks, in their order; JSON.

        Returns
        -------
        dict of int to JSON
            By task, by id.
        list of Written
            What earlier runs wrote onto the tasks.
        """
        names = sorted(self._accounts.items())
        key = _keyed_digest(self._secret, repr((__version__, DERIVED, names, depends_on)))
        before = self._cache.derived(key)
        fresh = self.read(underived=True)
        content = derive([task for task, _ in fresh])
        new = {
            task.id: [made, [_plain(each) for each in written]]
            for (task, written), made in zip(fresh, content, strict=True)
        }
        # Whose an annotation without an account was, and what one voted before it was changed, may yet be known.
        unknown = {
            task.id
            for task, _ in fresh
            if any(each.of_unknown_account or each.changed_by is not None for each in task.annotations)
        }
        self._cache.put_derived((number, row) for number, row in new.items() if number not in unknown)
        rows = dict(sorted((before | new).items()))
        written = [_from_plain(number, each) for number, (_, reports) in rows.items() for each in reports]
        return {number: made for number, (made, _) in rows.items()}, written


class Studio:
    """A Label Studio, as a run uses it.

    Parameters
    ----------
    client : LabelStudioClient
    secret : str
        What reports are signed with.
    sleep : callable
        Waits for so many seconds.
    cache : Path, optional
        A folder where the tasks of each project are kept, so that the next run reads only what has changed.

    Raises
    ------
    LabelStudioError
        From every method, where Label Studio cannot be reached, refuses or fails.
    """

    def __init__(
        self,
        client: LabelStudioClient,
        secret: str = "",
        sleep: Callable[[float], None] = time.sleep,
        cache: Path | None = None,
    ) -> None:
        self._client, self._secret, self._sleep, self._cache = client, secret, sleep, cache

    @property
    def client(self) -> LabelStudioClient:
        """What it speaks to Label Studio with."""
        return self._client

    @property
    def secret(self) -> str:
        """What reports are signed with."""
        return self._secret

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def wait(self, seconds: float) -> None:
        """Let a request whose answer was lost come to its end."""
        self._sleep(seconds)

    def project(self, number: int) -> Project:
        """Read a project and its `<Choices>`."""
        project = self._client.project(number)
        try:
            config = read_label_config(project.label_config)
        except LabelConfigError as error:
            raise LabelStudioError(str(error)) from None
        version = project.model_version or ""
        return Project(
            number, project.title, project.n_tasks, version, config, self._client.url, project.created_at
        )

    def project_numbers(self) -> list[int]:
        """Ids of all projects that the account sees."""
        return self._client.project_ids()

    def authorize(self) -> None:
        """Ask who the key belongs to."""
        self._client.authorize()

    def overlaps(self, project: int) -> Counter[int]:
        """Count tasks by how many annotators they are shown to, among the first of the project."""
        tasks = self._client.task_page(project, page=1, size=PAGE, include="id,overlap")
        return Counter(int(task.get("overlap") or 1) for task in tasks)

    def accounts(self) -> dict[int, str]:
        """E-mail address of each account, by id."""
        return self._client.accounts()

    def pull(
        self,
        project: int,
        accounts: Mapping[int, str],
        now: datetime,
        make: Callable[[CachedTasks], Tasks],
        progress: StepProgress = lambda _: None,
    ) -> Pulled[Tasks]:
        """Read all tasks with their submitted annotations and predictions; ask for what has changed of them.

        Parameters
        ----------
        project : int
        accounts : mapping of int to str
            Names of the annotators; others are called `account ID`.
        now : datetime
            Aware.
        make : callable
            Makes of the tasks what is returned.
        progress : callable
            Told the number of tasks read so far.

        Raises
        ------
        LabelStudioError
            Also where tasks were deleted during each of several readings.
        """

        def made(cache: TaskCache) -> Tasks:
            progress(cache.counts().tasks)
            return make(CachedTasks(cache, accounts, self._secret))

        return self._sync(made).pull(
            self._client.project(project),
            "",  # what is kept of a task does not depend on the label config
            now,
            lambda count: None if count % PAGE else progress(count),
            accounts.keys(),
        )

    def note_written(self, project: int, tasks: Collection[int], counts: Mapping[str, int]) -> None:
        """Keep what was written, so that the next run need not read all predictions.

        Parameters
        ----------
        project : int
        tasks : collection of int
            Whose predictions were written.
        counts : mapping of str to int
            How many predictions each version of ours has now.
        """
        versions = {VERSION_PREFIX + report: counts.get(VERSION_PREFIX + report, 0) for report in REPORT_NAMES}
        self._sync(lambda _: None).refresh(self._client.project(project), tasks, versions)

    def _sync(self, make: Callable[[TaskCache], Tasks]) -> IncrementalSync[Tasks]:
        return IncrementalSync(self._client, self._cache, make)

    def served(self, project: int, accounts: Mapping[int, str], progress: StepProgress = lambda _: None) -> Served:
        """Read how the label stream serves a project's tasks, and who had them; what was said is not read.

        Parameters
        ----------
        project : int
        accounts : mapping of int to str
            Names of the annotators; others are called `account ID`.
        progress : callable
            Told the number of tasks read so far.

        Raises
        ------
        LabelStudioError
            Also where tasks were deleted during each of several readings.
        """

        def read() -> tuple[ServedTask, ...]:
            return tuple(
                ServedTask(
                    task["id"],
                    int(task.get("overlap") or 1),
                    bool(task.get("is_labeled")),
                    tuple(_annotation(row, accounts) for row in task.get("annotations") or []),
                )
                for task in _counted(self._client.tasks(project, STREAM_FIELDS), progress)
            )

        tasks = self._client.read_steadily(project, read, len)
        return Served(tasks, self._client.project(project).skip_queue in SKIPS_COUNT)

    def set_overlap(self, change: Change) -> None:
        """Set to how many annotators a task is shown, and open or close it."""
        self._client.set_overlap(change.task, change.overlap, closed=change.closed)

    def written_versions(self, project: int) -> dict[str, tuple[int, str]]:
        """Return how many predictions each report has, and when the latest was made."""
        counts = self._client.version_counts(project)
        return {version: count for version, count in counts.items() if version.startswith(VERSION_PREFIX)}

    def write(
        self,
        project: int,
        changes: Difference,
        to_name: Mapping[str, str],
        progress: StepProgress = lambda _: None,
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
        shown = (self._client.project(project).model_version or "") if changes.clear else ""
        try:
            for version in changes.clear:
                self._client.delete_version(project, version)
        finally:
            if changes.clear:
                self.show(project, shown)
        for start in range(0, len(changes.create), IMPORTED):
            entries = changes.create[start : start + IMPORTED]
            self._create(project, entries, to_name)
            sent += len(entries)
            progress(sent)
        if shown in changes.clear:  # it could not be shown while it had no prediction
            self.show(project, shown)
        for written in changes.update:
            entry = written.entry
            result = _result(entry, to_name, self._secret)
            changed = {"task": entry.task, "score": entry.score, "result": result}
            self._client.change_prediction(written.id, changed)
            sent += 1
            progress(sent)
        for number in changes.delete:
            self._client.delete_prediction(number)
            sent += 1
            progress(sent)

    def write_columns(
        self,
        project: int,
        changes: Mapping[int, Mapping[str, Any]],
        names: Collection[str],
        progress: StepProgress = lambda _: None,
    ) -> None:
        """Set some keys of the data of tasks, and leave the others as they are at that moment.

        Parameters
        ----------
        project : int
        changes : mapping of int to mapping
            By task; those of the names that it does not have are taken away.
        names : collection of str
            The keys that are ours.
        progress : callable
            Told the number of tasks set so far.
        """
        for start in range(0, len(changes), READ_BEFORE):
            tasks = sorted(changes)[start : start + READ_BEFORE]
            for task in list(self._client.tasks_by_id(project, "id,data", tasks)):  # a deleted one is not there
                others = {key: value for key, value in task["data"].items() if key not in names}
                self._client.replace_data(task["id"], {**others, **changes[task["id"]]})
            progress(start + len(tasks))

    def show(self, project: int, version: str) -> None:
        """Let annotators see the predictions of a version again, where Label Studio has forgotten it.

        A version that somebody has chosen meanwhile stays; one that no prediction and no ML backend has any more
        cannot be shown.
        """
        if not version or self._client.project(project).model_version:
            return
        try:
            self._client.show_version(project, version)
        except RefusedError as error:
            if error.http_status != httpx.codes.BAD_REQUEST:
                raise

    def make_tabs(self, project: int, *, dry_run: bool = False) -> list[str]:
        """Make the Data Manager tab of each report that has none; return the reports it was made for.

        A project without any tab gets one of all tasks first, as Label Studio would make it: once other tabs
        exist, it makes none.
        """
        views = self._client.tabs(project)
        shown = {value for view in views for value in _versions_shown(view.get("data"))}
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

    def make_tab(self, project: int, title: str, filters: Mapping[str, Any]) -> None:
        """Make a tab with a filter of its own, and the columns of a report's tab."""
        self._make_tab(project, {"title": title, "filters": filters, **_hiding(HIDDEN + HIDDEN_IN_REPORTS)})

    def _make_tab(self, project: int, content: dict[str, Any]) -> None:
        """Make a tab; where the answer is lost, look whether it is there."""
        try:
            self._client.add_tab(project, content)
        except LostAnswerError:
            self._sleep(LOOKS_SECONDS[1])
            titles = [(view.get("data") or {}).get("title") for view in self._client.tabs(project)]
            if content["title"] not in titles:
                raise

    def _create(self, project: int, entries: Sequence[Entry], to_name: Mapping[str, str]) -> None:
        """Send entries; where the answer is lost, look what is there, and send only what is not."""
        for last in (False,) * (SENDINGS - 1) + (True,):
            rows = [
                {
                    "task": entry.task,
                    "model_version": entry.model_version,
                    "score": entry.score,
                    "result": _result(entry, to_name, self._secret),
                }
                for entry in entries
            ]
            try:
                created = self._client.import_predictions(project, rows)
            except LostAnswerError:
                if last:
                    raise
                entries = self._not_there(project, entries)
                if not entries:
                    return
                continue
            if created != len(entries):
                raise LabelStudioError(
                    f"Label Studio stored {created} of {len(entries)} predictions of project {project}; were "
                    "tasks deleted or choices renamed meanwhile? The next run repairs it"
                )
            return

    def _not_there(self, project: int, entries: Sequence[Entry]) -> list[Entry]:
        """Give the entries that have not arrived, after waiting for those that may still do."""
        tasks = sorted({entry.task for entry in entries})
        for pause in LOOKS_SECONDS:
            self._sleep(pause)
            there = Counter(
                _written(prediction, task["id"], self._secret).entry.identity
                for task in self._client.tasks_by_id(project, FIELDS, tasks)
                for prediction in task.get("predictions") or []
                if (prediction.get("model_version") or "").startswith(VERSION_PREFIX)
            )
            missing = [entry for entry in entries if not there[entry.identity]]
            if not missing:
                break
        return missing


def _counted(tasks: Iterable[dict[str, Any]], progress: StepProgress) -> Iterator[dict[str, Any]]:
    count = 0
    for count, task in enumerate(tasks, start=1):
        yield task
        if count % PAGE == 0:
            progress(count)
    if count % PAGE:
        progress(count)


def _task(row: Mapping[str, Any], accounts: Mapping[int, str], secret: str) -> tuple[Task, list[Written]]:
    """Return a task, and what earlier runs wrote onto it."""
    predictions, annotations = row["predictions"], row["annotations"]
    suggested = {prediction["id"]: prediction["result"] for prediction in predictions}
    written = [
        _written(each, row["id"], secret)
        for each in predictions
        if (each["model_version"] or "").startswith(VERSION_PREFIX)
    ]
    reports = frozenset(each.id for each in written if each.entry.kind)
    task = Task(
        row["id"],
        row["data"],
        [_annotation(annotation, accounts, suggested, reports) for annotation in annotations],
        *_made_before(predictions, annotations),
        _by_version(predictions),
    )
    return task, written


def _annotation(
    raw: Mapping[str, Any],
    accounts: Mapping[int, str],
    suggested: Mapping[int | None, Any] | None = None,
    reports: Collection[int] = (),
) -> Annotation:
    number = account_of(raw)
    # Accounts that are gone stay apart: whoever they were, each of them voted.
    unknown = f"{UNKNOWN_ACCOUNT}of annotation {raw['id']}"
    result, parent = raw.get("result") or [], raw.get("parent_prediction")
    mark, changed = decision_in(result), changed_by(raw)
    annotator = unknown if number is None else accounts.get(number, f"account {number}")
    from_report = parent in reports or is_of_report(result)  # chosen because of votes: it measures nobody
    return Annotation(
        id=int(raw["id"]),
        annotator=annotator,
        updated_at=str(raw.get("updated_at") or ""),
        skipped=bool(raw.get("was_cancelled")),
        ground_truth=bool(raw.get("ground_truth")),
        result=result,
        lead_time=raw.get("lead_time"),
        from_prediction=parent,
        suggestion=_regions((suggested or {}).get(parent)),
        from_report=from_report,
        changed_by=None if changed is None else accounts.get(changed, f"account {changed}"),
        accusation=accusation_in(result),
        is_decision=mark is not None,
        teaches=annotator != MACHINE_ACCOUNT and not from_report and (mark is None or mark.teaches),
        unstarred=mark.starred if mark else (),
    )


def _made_before(
    predictions: Sequence[Any], annotations: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Mapping[str, object]] | None, float | None]:
    """Regions and score of the last prediction of a model that was made before the first annotation.

    A model that had learned from a task's annotations would only repeat them.
    """
    of_models = [
        (moment_of(str(prediction.get("created_at"))), prediction)
        for prediction in predictions
        if not (prediction.get("model_version") or "").startswith(VERSION_PREFIX)
    ]
    if not of_models:
        return None, None
    earliest = min((moment_of(str(annotation.get("created_at"))) for annotation in annotations), default=None)
    untold = moment_of("")
    before = [pair for pair in of_models if pair[0] > untold and (earliest is None or pair[0] < earliest)]
    if not before:
        return None, None
    last = max(before, key=lambda pair: pair[0])[1]
    return _regions(last.get("result")), last.get("score")


def _by_version(predictions: Sequence[Any]) -> dict[str, Sequence[Mapping[str, object]]]:
    """Regions of the latest prediction of each version of a model; reports are none."""
    return {
        prediction["model_version"]: _regions(prediction.get("result")) or []
        for prediction in sorted(predictions, key=lambda each: int(each["id"]))
        if prediction.get("model_version") and not prediction["model_version"].startswith(VERSION_PREFIX)
    }


def _regions(result: Any) -> Sequence[Mapping[str, object]] | None:  # noqa: ANN401  # whatever a backend has made
    """Regions of a prediction; None where there is none, or what there is are no regions."""
    if not isinstance(result, list) or not all(isinstance(region, Mapping) for region in result):
        return None
    return result


def _written(prediction: Mapping[str, Any], task: int, secret: str) -> Written:
    result, score = prediction.get("result"), prediction.get("score")
    made = choices_in(result).made if isinstance(result, list) else {}
    control, choices = next(iter(made.items()), ("", ()))
    version = str(prediction["model_version"])
    kind = signed_kind(secret, task, prediction)
    return Written(
        int(prediction["id"]),
        Entry(
            task=task,
            report=version.removeprefix(VERSION_PREFIX),
            control=control,
            choice=choices[0] if choices else "",
            score=float("nan") if score is None else float(score),
            kind=kind,
            accusation=accusation_in(result) if kind else None,
            others=choices[1:],
            why=words_in(result) if kind else (),
        ),
    )


def _plain(written: Written) -> list[Any]:
    """Return it in values that JSON holds, without its task."""
    entry = written.entry
    shown = entry.report, entry.control, entry.choice, entry.score, entry.kind
    return [written.id, *shown, entry.accusation, entry.others, entry.why]


def _from_plain(task: int, values: Sequence[Any]) -> Written:
    number, report, control, choice, score, kind, accusation, others, why = values
    wrong = Accusation(*accusation) if accusation else None
    return Written(number, Entry(task, report, control, choice, score, kind, wrong, tuple(others), tuple(why)))


def _keyed_digest(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _result(entry: Entry, to_name: Mapping[str, str], secret: str) -> list[dict[str, Any]]:
    """Return the regions of an entry's prediction: one, signed with its score, or none."""
    if not entry.has_region:
        return []
    region: dict[str, Any] = {
        "id": f"{entry.report}-{entry.control}-{entry.task}",
        "from_name": entry.control,
        "to_name": to_name[entry.control],
        "type": "choices",
        "value": {"choices": entry.choices},
    }
    if entry.kind:
        signed = entry.task, entry.model_version, entry.score
        region["meta"] = signed_meta(secret, *signed, region, entry.kind, entry.accusation, entry.why)
    return [region]


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
    return [str(version) for value in values for version in (value if isinstance(value, list) else [value])]
