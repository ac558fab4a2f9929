"""Batches of decisions, written into Label Studio: each of their items once, whatever is cut off or repeated.

A batch's items are stored before anything is sent. Before a task is written to, it is looked at: whether the batch
has an annotation there already, told by the batch's id in the `meta` of its regions, and whether a person has
annotated the task meanwhile. What became of an item and the decision are stored in one transaction.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import httpx

from common.contract import MACHINE_ACCOUNT, DecisionMark
from common.errors import LabelStudioError, LostAnswerError, RefusedError
from common.label_studio.annotations import account_of, moment_of
from common.progress import Progress, of_step, silent
from consensus.assist.accounts import machine_account, machine_password
from consensus.assist.annotations import (
    annotations_of,
    controls_of,
    fault_of,
    regions_of,
    tasks_now,
    written_by,
)
from consensus.label_studio import LOOKS_SECONDS, SENDINGS, Project, Studio
from consensus.store.columns import Row
from consensus.store.decisions import STREAM_KINDS, BatchKind, Source, Verdict
from consensus.store.store import Store

Seen = TypeVar("Seen")

CHUNK = 500
"""Tasks that are looked at, written and noted together."""
BULK_FROM = 20
"""From so many tasks on, what a machine decided is written by Label Studio's bulk calls."""
BULK_VERSION = "consensus-batch/"
"""Begins the version of the predictions from which annotations are made in bulk; they are taken away again."""
WRITERS = 4
"""Requests at once; with its own development server and SQLite, Label Studio gains little from more."""
GONE = "the task was deleted"
BY_A_PERSON = "a person has annotated the task"
PATIENCE = 5
"""After so many failures in a row the rest waits for another try."""


@dataclass(frozen=True)
class WriteOptions:
    """How a batch writes what it decided.

    Attributes
    ----------
    account : int or None
        Id in Label Studio of the account that decides; None stands for the machine account.
    ground_truth : bool
        Whether the annotations are ground truth, which takes the star of others on the task.
    teaches : bool
        Whether they may measure annotators.
    closes : bool
        Whether nobody is shown the tasks any more.
    over_people : bool
        Whether tasks that people have annotated are written to as well, as a reviewer's decision is.
    verdict, source : str
        For the log of decisions; an item's evidence may hold a `verdict` and a `reason` of its own.
    model_version : str or None
        Whose suggestions were accepted.
    """

    account: int | None = None
    ground_truth: bool = False
    teaches: bool = False
    closes: bool = True
    over_people: bool = False
    verdict: Verdict = "accepted"
    source: Source = "suggestion"
    model_version: str | None = None

    @classmethod
    def of(cls, batch: Row) -> "WriteOptions":
        """Read those of a stored batch."""
        stored = batch["params"].get("write") or {}
        return cls(**{field.name: stored[field.name] for field in fields(cls) if field.name in stored})


@dataclass(frozen=True)
class Performed:
    """What became of a batch's items.

    Attributes
    ----------
    counts : mapping of str to int
        Items by state.
    left : list of dict
        Items that were not written, each with its note.
    """

    batch: Row
    counts: Mapping[str, int]
    left: list[Row]


def plan(
    store: Store,
    project: int,
    kind: BatchKind,
    items: Sequence[Row],
    *,
    made_by: str,
    now: datetime,
    options: WriteOptions | None = None,
    key: str | None = None,
    filtered: Mapping[str, object] | None = None,
    params: Mapping[str, object] | None = None,
) -> Row:
    """Keep a batch before anything is written; the same items with the same options are the same batch.

    Where all of that was left, as a person had annotated the task and has not any more, it is another batch.

    Parameters
    ----------
    items : sequence of dict
        Columns `task`, `control`, `labels` and, if known, `evidence`: its `score`, `verdict`, `reason`,
        `model_version` and `prediction` (an id) go to where they belong, its `regions` are written as they are.
        With `audit` one more person is shown the task, blind; with `keep_open` as many as were to be.
    made_by : str
        Address of the account that asks for it.
    key : str, optional
        Of what is asked for; it follows from the items and options where none is named.
    """
    options = options or WriteOptions()
    ordered = sorted(items, key=lambda item: (item["task"], item["control"]))
    content = [kind, asdict(options), [[item["task"], item["control"], item["labels"]] for item in ordered]]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    stored = {**(params or {}), "write": asdict(options)}
    key, is_ours = key or digest, not key
    while True:
        batch = store.decisions.open_batch(
            project, kind, key, made_by=made_by, made_at=now, items=ordered, filtered=filtered, params=stored
        )
        if batch["undone_by"] is not None:
            key = f"{key} after {batch['undone_by']}"  # what was taken back can be asked for again
        elif is_ours and batch["finished_at"] and {*store.decisions.item_counts(batch["id"])} == {"left"}:
            key = f"{key} after {batch['id']}"  # and so can what was left
        else:
            return batch


def perform(
    studio: Studio,
    store: Store,
    batch: Row,
    now: Callable[[], datetime],
    progress: Progress = silent,
) -> Performed:
    """Write what of a batch is not written yet; an item that cannot be written is left, with its reason.

    Raises
    ------
    SuiteError
        Where Label Studio or the store cannot be used; then the batch stays unfinished, and another call goes on.
    """
    options, number = WriteOptions.of(batch), str(batch["id"])
    target = studio.project(batch["project"])
    store.recognize(batch["project"], target.url, target.created_at)
    with store.lock_batches(batch["project"], options.account) as check:
        planned = by_task(store.decisions.items(number, ["planned"]))
        if planned:
            writer = _Writer(studio, store, batch, options, target, now)
            tell = of_step(progress, "writing annotations", len(planned))
            with writer.bulk_calls(len(planned)):
                for done, tasks in in_chunks(planned):
                    check()
                    writer.write(tasks)
                    tell(done)
        if batch["finished_at"] is None and options.account is None:
            clear_bulk(studio, target, number)
        if batch["finished_at"] is None:
            written = store.decisions.items(number, ["written"])
            keys = [(item["task"], item["control"]) for item in written]
            store.decisions.close_many(batch["project"], keys, now(), because_of(number), besides="audit")
            audited = [item for item in written if (item["evidence"] or {}).get("audit")]
            store.decisions.enter(batch["project"], "audit", [_audit_entry(item) for item in audited], now())
            store.decisions.finish_batch(number, now())
    return performed(store, number)


def clear_bulk(studio: Studio, project: Project, batch: str) -> None:
    """Take away the predictions from which annotations were made, if there are some."""
    version = f"{BULK_VERSION}{batch}"
    if version in studio.client.version_counts(project.id):
        shown = studio.project(project.id).model_version
        try:
            studio.client.delete_version(project.id, version)
        finally:  # Label Studio may have forgotten it
            studio.show(project.id, shown or project.model_version)


def resume(
    studio: Studio, store: Store, project: int, now: Callable[[], datetime], progress: Progress = silent
) -> list[Performed]:
    """Go on with all batches of annotations of a project that were cut off, but for undoes."""
    others = ("undo", "send", *STREAM_KINDS)
    batches = [batch for batch in store.decisions.unfinished(project) if batch["kind"] not in others]
    return [perform(studio, store, batch, now, progress) for batch in batches]


def performed(store: Store, batch: str) -> Performed:
    """Tell what became of a batch."""
    decisions = store.decisions
    return Performed(decisions.batch(batch), decisions.item_counts(batch), decisions.items(batch, ["left"]))


def because_of(batch: str) -> str:
    """Return why a queue's entry is closed that a batch has decided."""
    return f"batch {batch}"


def _audit_entry(item: Row) -> Row:
    """Return an entry of the queue `audit`, at a random place that is always the same."""
    digest = hashlib.sha256(repr((item["batch"], item["task"], item["control"])).encode()).digest()
    detail = {"label": ", ".join(item["labels"]), "batch": item["batch"], "score": item["evidence"].get("score")}
    place = int.from_bytes(digest[:6], "big") / 2**48
    return {"task": item["task"], "control": item["control"], "priority": place, "detail": detail}


class _Sent(NamedTuple):
    """What became of a task: the annotation that holds its items, or a note why there is none."""

    annotation: Mapping[str, Any] | None
    note: str | None = None
    overlap: int | None = None


class _Writer:
    """Writes some tasks of a batch at a time."""

    def __init__(
        self,
        studio: Studio,
        store: Store,
        batch: Row,
        options: WriteOptions,
        project: Project,
        now: Callable[[], datetime],
    ) -> None:
        self._studio, self._store, self._options, self._project, self._now = studio, store, options, project, now
        self._is_machine = options.account is None
        self._account = machine_account(studio) if options.account is None else options.account
        self._address = studio.accounts().get(self._account)
        if self._address is None:
            raise LabelStudioError(f"Label Studio has no account {self._account} that could decide")
        self._mark = DecisionMark(str(batch["id"]), options.teaches)
        self._failures = 0
        self._bulk: httpx.Client | None = None
        self._version, self._prepared = f"{BULK_VERSION}{self._mark.batch}", set[int]()

    @contextmanager
    def bulk_calls(self, tasks: int) -> Iterator[None]:
        """Write by bulk calls what can be, in a session of the machine account, if that is let in."""
        if self._is_machine and not self._options.ground_truth and tasks >= BULK_FROM:
            self._bulk = self._studio.client.signed_in(MACHINE_ACCOUNT, machine_password(self._studio))
        if self._bulk is not None:
            self._prepared = self._tasks_prepared()
        try:
            yield
        finally:
            if self._bulk is not None:
                self._bulk.close()

    def write(self, tasks: Mapping[int, list[Row]]) -> None:
        """Write some tasks, and note what became of them."""
        there = tasks_now(self._studio, self._project.id, tasks, counted=self._bulk is not None)
        left = {
            (task, item["control"]): note
            for task, items in tasks.items()
            for item in items
            if (note := self._why_left(item, there.get(task)))
        }
        writable = {
            task: accepted
            for task, items in tasks.items()
            if (accepted := [item for item in items if (task, item["control"]) not in left])
        }
        self._keep_before(writable, there)
        if self._bulk is not None:
            there = self._send_in_bulk(self._bulk, writable, there)
        with ThreadPoolExecutor(WRITERS) as several:
            sendings = several.map(lambda task: self._send(writable[task], there.get(task)), writable)
            sent = dict(zip(writable, sendings, strict=True))
        self._note(writable, sent, left)

    def _send_in_bulk(
        self, account: httpx.Client, tasks: Mapping[int, list[Row]], there: dict[int, dict[str, Any]]
    ) -> dict[int, dict[str, Any]]:
        """Let Label Studio make annotations from predictions that hold them; return the tasks as they are then.

        It makes one from each prediction, however often it is asked. What is missing afterwards is written singly.
        """
        client, project = self._studio.client, self._project.id
        look = partial(tasks_now, self._studio, project, tasks)
        ready = [task for task in tasks if not written_by(self._mark.batch, there[task], self._account)]
        missing = [task for task in ready if task not in self._prepared]
        rows = [
            {
                "task": task,
                "model_version": self._version,
                "score": min(float((item["evidence"] or {}).get("score") or 0.0) for item in tasks[task]),
                "result": regions_of(tasks[task], self._mark, self._project.config),
            }
            for task in missing
        ]
        try:
            if rows:
                client.import_predictions(project, rows)
        except LostAnswerError:
            self._looked_at(self._tasks_prepared, lambda prepared: prepared.issuperset(missing))
        except RefusedError:  # as where a task was deleted meanwhile: each is written singly, and told apart
            return look()
        try:
            client.annotate_from_predictions(project, self._version, ready, account)
        except LostAnswerError:
            return self._looked_at(
                look,
                lambda now_there: all(
                    written_by(self._mark.batch, now_there[task], self._account)
                    for task in ready
                    if task in now_there
                ),
            )
        return look()

    def _tasks_prepared(self) -> set[int]:
        """Ids of the tasks that have a prediction from which their annotation is made."""
        client, project = self._studio.client, self._project.id
        is_there = self._version in client.version_counts(project)
        return client.tasks_with_version(project, self._version) if is_there else set()

    def _looked_at(self, look: Callable[[], Seen], is_done: Callable[[Seen], object]) -> Seen:
        """Look until something is done, while a request whose answer was lost may be at work."""
        for pause in LOOKS_SECONDS:
            self._studio.wait(pause)
            seen = look()
            if is_done(seen):
                break
        return seen

    def _why_left(self, item: Row, task: Mapping[str, Any] | None) -> str | None:
        """Return why an item is not to be written; None where it is to be, or has been."""
        if task is None:
            return GONE
        written = written_by(self._mark.batch, task, self._account)
        if written:
            held = item["control"] in controls_of(written)
            return None if held else "the annotation of its task was written without it"
        for annotation in annotations_of(task):
            if self._is_machine and account_of(annotation) == self._account:
                if item["control"] in controls_of(annotation):
                    return "a machine has decided it already"
            elif not self._options.over_people:
                return BY_A_PERSON
        if (
            self._is_machine
            and self._options.ground_truth
            and any(annotation.get("ground_truth") for annotation in annotations_of(task))
        ):
            return "the task has ground truth already"
        return fault_of(item, self._project.config)

    def _keep_before(self, tasks: Mapping[int, list[Row]], there: Mapping[int, Mapping[str, Any]]) -> None:
        """Store how the tasks are before they are changed, for an undo."""
        rows: list[Row] = []
        for task, items in tasks.items():
            row = there[task]
            starred = [each["id"] for each in annotations_of(row) if each.get("ground_truth")]
            before = {
                "overlap": int(row.get("overlap") or 1),
                "is_labeled": bool(row.get("is_labeled")),
                "starred": starred if self._options.ground_truth else [],
                "shown": self._shown(task) if any("audit" in (item["evidence"] or {}) for item in items) else [],
            }
            for item in items:
                if item["before"] is None:
                    item["before"] = before
                    rows.append({"task": task, "control": item["control"], "before": before})
        if rows:
            self._store.decisions.settle_items(self._mark.batch, rows)

    def _shown(self, task: int) -> list[Row]:
        """Return the suggestions that whoever is shown a task would see, with their regions."""
        version = self._project.model_version
        return [
            {"id": row["id"], "result": row["result"]}
            for row in self._studio.client.task_predictions(task)
            if version and row.get("model_version") == version and row.get("result")
        ]

    def _send(self, items: Sequence[Row], task: Mapping[str, Any] | None) -> _Sent:
        """Write a task's annotation, and close the task."""
        note = self._why_left(items[0], task)  # somebody may have been quicker
        if task is None or note:
            return _Sent(None, note)
        annotation: Mapping[str, Any] | None = written_by(self._mark.batch, task, self._account)
        try:
            if annotation and self._is_late(annotation, task):
                self._studio.client.delete_annotation(annotation["id"])
                return _Sent(None, BY_A_PERSON)
            annotation = annotation or self._add(items, task)
        except RefusedError as error:
            return _Sent(None, self._excuse(error))
        self._failures = 0
        try:
            return _Sent(annotation, None, self._close(items, task, annotation))
        except RefusedError as error:
            return _Sent(annotation, f"written; the task could not be closed: {self._excuse(error)}")

    def _is_late(self, annotation: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
        """Whether a person had annotated a task between our look at it and our annotation."""
        made_at = moment_of(str(annotation.get("created_at")))
        return not self._options.over_people and any(
            account_of(each) != self._account and moment_of(str(each.get("created_at"))) < made_at
            for each in annotations_of(task)
        )

    def _excuse(self, error: RefusedError) -> str:
        """Return why a task is passed over; raise where Label Studio refuses whatever it is asked."""
        self._failures += 1
        if error.http_status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) or self._failures > PATIENCE:
            raise error
        return GONE if error.http_status == httpx.codes.NOT_FOUND else str(error)

    def _add(self, items: Sequence[Row], task: Mapping[str, Any]) -> Mapping[str, Any]:
        """Submit an annotation; where nobody can tell whether it arrived, look before it is sent again."""
        prediction = next((made for item in items if (made := (item["evidence"] or {}).get("prediction"))), None)
        mark = self._mark._replace(starred=tuple((items[0]["before"] or {}).get("starred") or ()))
        body = {
            "result": regions_of(items, mark, self._project.config),
            "completed_by": self._account,
            "ground_truth": self._options.ground_truth,
            **({} if prediction is None else {"parent_prediction": prediction}),
        }
        for _ in range(SENDINGS - 1):
            try:
                return self._studio.client.add_annotation(task["id"], body)
            except LostAnswerError:
                pauses: Sequence[float] = LOOKS_SECONDS
            except RefusedError as error:
                if not httpx.codes.is_server_error(error.http_status):
                    raise
                pauses = LOOKS_SECONDS[:1]
            annotation = self._arrived(task["id"], pauses)
            if annotation:
                return annotation
        return self._studio.client.add_annotation(task["id"], body)

    def _arrived(self, task: int, pauses: Sequence[float]) -> dict[str, Any] | None:
        for pause in pauses:
            self._studio.wait(pause)
            there = tasks_now(self._studio, self._project.id, [task]).get(task)
            annotation = there and written_by(self._mark.batch, there, self._account)
            if annotation:
                return annotation
        return None

    def _close(self, items: Sequence[Row], task: Mapping[str, Any], annotation: Mapping[str, Any]) -> int | None:
        """Let the task be shown to nobody more, or to whom it is left; return the overlap that this takes.

        That is None where nothing has to be set.
        """
        before, flags = items[0]["before"], {name for item in items for name in item["evidence"] or ()}
        numbers = {each["id"] for each in annotations_of(task) if not each.get("was_cancelled")}
        submitted = len(numbers | {annotation["id"]})
        overlap, closed = submitted, True
        if "audit" in flags:  # the suggestion is taken off, so that nothing is ticked
            overlap, closed = submitted + 1, False
        elif "keep_open" in flags:  # our annotation takes none of the places for people
            overlap, closed = before["overlap"] + 1, before["is_labeled"]
        elif not self._options.closes or before["overlap"] <= submitted:  # Label Studio closes it by itself
            return None
        if (task.get("overlap"), task.get("is_labeled")) != (overlap, closed) or overlap > submitted:
            self._studio.client.set_overlap(task["id"], overlap, closed=closed)
        if "audit" in flags:
            for shown in before["shown"]:
                self._studio.client.change_prediction(shown["id"], {"task": task["id"], "result": []})
        return overlap

    def _note(
        self,
        tasks: Mapping[int, list[Row]],
        sent: Mapping[int, _Sent],
        left: Mapping[tuple[int, str], str],
    ) -> None:
        """Store what became of the items, and what was decided."""
        changed: list[Row] = [
            {"task": task, "control": control, "state": "left", "note": note}
            for (task, control), note in left.items()
        ]
        decisions: list[Row] = []
        at = self._now()
        for task, items in tasks.items():
            annotation, note, overlap = sent[task]
            for item in items:
                row = {"task": task, "control": item["control"], "note": note}
                if annotation is None:
                    changed.append({**row, "state": "left"})
                    continue
                before = {**item["before"], "as_written": annotation.get("updated_at"), "overlap_set": overlap}
                number = int(annotation["id"])
                changed.append({**row, "state": "written", "annotation": number, "before": before})
                decisions += self._decisions(item, number, at)
        self._store.decisions.settle_items(self._mark.batch, changed, decisions)

    def _decisions(self, item: Row, annotation: int, at: datetime) -> Iterator[Row]:
        evidence = dict(item["evidence"] or {})
        own = {
            name: evidence.pop(name, None) for name in ("verdict", "reason", "score", "model_version", "source")
        }
        for label in item["labels"] or [""]:
            yield {
                "project": self._project.id,
                "task": item["task"],
                "control": item["control"],
                "label": label,
                "verdict": own["verdict"] or self._options.verdict,
                "decided_by": self._address,
                "source": own["source"] or self._options.source,
                "at": at,
                "batch": self._mark.batch,
                "annotation": annotation,
                "model_version": own["model_version"] or self._options.model_version,
                "score": own["score"],
                "evidence": evidence or None,
                "reason": own["reason"],
            }


def by_task(items: Iterable[Row]) -> dict[int, list[Row]]:
    """Put a batch's items together by their task."""
    tasks: dict[int, list[Row]] = {}
    for item in items:
        tasks.setdefault(item["task"], []).append(item)
    return tasks


def in_chunks(tasks: Mapping[int, list[Row]]) -> Iterator[tuple[int, dict[int, list[Row]]]]:
    """Yield some tasks at a time, each with how many have been yielded."""
    numbers = sorted(tasks)
    for start in range(0, len(numbers), CHUNK):
        chunk = numbers[start : start + CHUNK]
        yield start + len(chunk), {task: tasks[task] for task in chunk}
