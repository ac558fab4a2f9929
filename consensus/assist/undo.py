"""Taking a batch back: exactly what it wrote, where nobody has touched that since."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.errors import LostAnswerError, RefusedError
from common.label_studio.annotations import account_of
from common.progress import Progress, of_step, silent
from consensus.assist.annotations import (
    annotations_of,
    chosen,
    controls_of,
    tasks_now,
    updater_of,
    written_by,
)
from consensus.assist.batches import (
    BULK_FROM,
    CHUNK,
    GONE,
    WRITERS,
    WriteOptions,
    because_of,
    by_task,
    clear_bulk,
    in_chunks,
)
from consensus.assist.sending import chunks
from consensus.errors import ConfigError
from consensus.label_studio import LOOKS_SECONDS, Studio
from consensus.store.columns import Row
from consensus.store.store import Store

NEVER_WRITTEN = "taken back before it was written"


@dataclass(frozen=True)
class Undone:
    """What was taken back, or would be.

    Attributes
    ----------
    batch : dict
        The batch that is taken back.
    undone : int
        Items whose annotation is no more.
    kept : list of dict
        Items that stay as they are, each with its note.
    undo : dict or None
        The batch that takes it back; None in a dry run.
    """

    batch: Row
    undone: int
    kept: list[Row]
    undo: Row | None = None


def undo(
    studio: Studio,
    store: Store,
    batch: str,
    by: str,
    now: Callable[[], datetime],
    *,
    dry_run: bool = False,
    progress: Progress = silent,
) -> Undone:
    """Take back what a batch wrote and nobody has touched since; a second call goes on where one was cut off.

    Its annotations are deleted; overlap, what was closed and ground truth become what they were; entries of queues
    that it closed wait again. An annotation that somebody has changed, and one on whose task something was decided
    later, stay, and are named.

    Parameters
    ----------
    batch : str
        Its id, or the beginning of it.
    by : str
        Address of the account that asks for it.

    Raises
    ------
    ConfigError
        Where it is an undo itself.
    """
    row = store.decisions.batch(batch)
    number = str(row["id"])
    if row["kind"] == "undo":
        raise ConfigError(
            f"batch {number} is an undo, and what was taken back is not written again by another; decide again, "
            "as with `consensus accept`"
        )
    target = studio.project(row["project"])
    (store.check_origin if dry_run else store.recognize)(row["project"], target.url, target.created_at)
    if dry_run:
        return (
            _look_at_sent(store, row) if row["kind"] == "send" else _Undo(studio, store, row, None, by, now).look()
        )
    with store.lock_batches(row["project"], WriteOptions.of(row).account) as check:
        items = store.decisions.items(number, ["planned", "written", "kept"])
        taking = store.decisions.open_batch(
            row["project"],
            "undo",
            f"undo {number}",
            made_by=by,
            made_at=now(),
            items=[{name: item[name] for name in ("task", "control", "labels")} for item in items],
            params={"undoes": number},
        )
        if row["kind"] == "send":
            for some in chunks(items, progress, "taking back"):
                store.decisions.take_sent_back(row, str(taking["id"]), some)
        else:
            undoing = _Undo(studio, store, row, taking, by, now)
            tasks = by_task(items)
            tell = of_step(progress, "taking back", len(tasks))
            for done, chunk in in_chunks(tasks):
                check()
                undoing.take_back(chunk, str(taking["id"]))
                tell(done)
            if row["finished_at"] is None:
                clear_bulk(studio, target, number)
        store.decisions.mark_undone(number, str(taking["id"]))
        for unfinished in (number, str(taking["id"])):
            store.decisions.finish_batch(unfinished, now())
    counts = store.decisions.item_counts(number)
    staying = store.decisions.items(number, ["kept"])
    return Undone(
        store.decisions.batch(number), counts.get("undone", 0), staying, store.decisions.batch(str(taking["id"]))
    )


def _look_at_sent(store: Store, batch: Row) -> Undone:
    """Tell what would wait no more."""
    items = store.decisions.items(str(batch["id"]), ["written", "kept"])
    notes = {
        place: note
        for start in range(0, len(items), CHUNK)
        for place, note in store.decisions.sent_notes(batch, items[start : start + CHUNK]).items()
    }
    staying = [{**item, "note": note} for item in items if (note := notes[item["task"], item["control"]])]
    return Undone(batch, len(items) - len(staying), staying)


class _Undo:
    """Takes some tasks of a batch back at a time."""

    def __init__(
        self, studio: Studio, store: Store, batch: Row, taking: Row | None, by: str, now: Callable[[], datetime]
    ) -> None:
        self._studio, self._store, self._batch, self._by, self._now = studio, store, batch, by, now
        self._is_machine = WriteOptions.of(batch).account is None
        self._project, self._number = int(batch["project"]), str(batch["id"])
        already = store.decisions.decisions(self._project, batch=taking["id"]) if taking else []
        self._taken_back = {row["undoes"] for row in already}
        self._owner, _ = studio.client.own_account()
        self._accounts = studio.accounts()
        self._decisions = by_task(store.decisions.decisions(self._project, batch=self._number))
        decided_again = by_task(store.decisions.standing(self._project))
        self._later = {
            (task, row["control"]): row
            for task, rows in decided_again.items()
            for row in rows
            if row["batch"] != self._number and row["at"] > batch["made_at"]  # ours may not be in the log yet
        }

    def look(self) -> Undone:
        """Tell what would be taken back."""
        items = self._store.decisions.items(self._number, ["planned", "written", "kept"])
        there = tasks_now(self._studio, self._project, {item["task"] for item in items})
        notes = [(item, self._why_kept(item, there.get(item["task"]))) for item in items]
        staying = [{**item, "note": note} for item, note in notes if note]
        written = sum(item["state"] != "planned" for item in items)
        return Undone(self._batch, written - len(staying), staying)

    def take_back(self, tasks: Mapping[int, list[Row]], undo_batch: str) -> None:
        """Delete annotations and put back what was around them; note what was done."""
        there = tasks_now(self._studio, self._project, tasks)
        staying = {
            (task, item["control"]): note
            for task, items in tasks.items()
            for item in items
            if (note := self._why_kept(item, there.get(task)))
        }
        kept_tasks = {task for task, _ in staying}  # one annotation holds all items of a task
        free = {task: items for task, items in tasks.items() if task not in kept_tasks}
        deleting = {
            task: annotation
            for task in free
            if task in there and (annotation := self._written(free[task], there[task]))
        }
        singly = self._deleted_in_bulk(deleting, there)
        with ThreadPoolExecutor(WRITERS) as several:
            list(several.map(self._studio.client.delete_annotation, singly))
            after = tasks_now(self._studio, self._project, free, counted=True) if deleting else there
            restorings = several.map(lambda task: self._restore(free[task], after.get(task)), free)
            notes = dict(zip(free, restorings, strict=True))
        changed: list[Row] = []
        decisions: list[Row] = []
        for task, items in tasks.items():
            for item in items:
                row = {"task": task, "control": item["control"]}
                if task in kept_tasks:
                    note = staying.get((task, item["control"])) or "its annotation stays for another control"
                    changed.append({**row, "state": "kept", "note": note})
                elif item["state"] == "planned" and task not in deleting:
                    changed.append({**row, "state": "left", "note": NEVER_WRITTEN})
                else:
                    changed.append({**row, "state": "undone", "note": notes[task]})
                    decisions += self._undone_rows(task, item["control"], undo_batch)
        places = [(row["task"], row["control"]) for row in changed if row["state"] == "undone"]
        noted = [{**row, "state": "written" if row["state"] == "undone" else "left"} for row in changed]
        self._store.decisions.settle_items(undo_batch, noted)
        because = because_of(undo_batch)
        self._store.decisions.close_many(self._project, places, self._now(), because, queue="audit")
        self._store.decisions.reopen_many(self._project, places, because_of(self._number))
        self._store.decisions.settle_items(self._number, changed, decisions)

    def _deleted_in_bulk(
        self, deleting: Mapping[int, Mapping[str, Any]], there: Mapping[int, Mapping[str, Any]]
    ) -> list[int]:
        """Delete what Label Studio can in one call; return the annotations that are left to be deleted singly."""
        account = next((account_of(annotation) for annotation in deleting.values()), None)
        alone = [
            task
            for task in deleting
            if sum(account_of(each) == account for each in annotations_of(there[task])) == 1
        ]
        if not self._is_machine or account is None or len(alone) < BULK_FROM:
            return [annotation["id"] for annotation in deleting.values()]
        try:
            self._studio.client.delete_annotations_of(self._project, account, alone)
        except LostAnswerError:
            self._studio.wait(LOOKS_SECONDS[1])
            return [annotation["id"] for annotation in deleting.values()]  # those that are gone do no harm
        return [annotation["id"] for task, annotation in deleting.items() if task not in {*alone}]

    def _why_kept(self, item: Row, task: Mapping[str, Any] | None) -> str | None:
        """Return why an item's annotation stays; None where it goes, or is gone."""
        annotation = self._written([item], task) if task else None
        if not annotation:
            return None
        later = self._later.get((item["task"], item["control"]))
        if later:
            return f"{later['decided_by']} has decided later ({later['verdict']} {later['label']})".rstrip()
        before = item["before"] or {}
        written_at, updater = before.get("as_written"), updater_of(annotation)
        if written_at is None:  # its batch was cut off before that was noted
            intact = updater in (None, self._owner) and self._holds(annotation, item)
        else:
            intact = annotation.get("updated_at") == written_at
        if intact:
            return None
        name = self._accounts.get(updater or 0, "somebody")
        return f"{name} has changed it at {annotation.get('updated_at')}"

    def _written(self, items: Sequence[Row], task: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the annotation of some items, also where somebody has made it lose the batch's mark."""
        numbers = {item["annotation"] for item in items} - {None}
        by_number = (annotation for annotation in annotations_of(task) if annotation["id"] in numbers)
        return next(by_number, None) or written_by(self._number, task)

    def _holds(self, annotation: Mapping[str, Any], item: Row) -> bool:
        if (item["evidence"] or {}).get("regions") is not None:
            return item["control"] in controls_of(annotation)
        return chosen(annotation, item["control"]) == sorted(item["labels"])

    def _restore(self, items: Sequence[Row], task: Mapping[str, Any] | None) -> str | None:
        """Put overlap, mark and star of a task back; return a note where that is not possible."""
        before = next((item["before"] for item in items if item["before"]), None)
        if task is None:
            return GONE
        if before is None:
            return None
        annotations = annotations_of(task)
        starred = self._starred_before(before, annotations)
        try:
            if starred is not None:
                self._studio.client.star_annotation(starred)
            for shown in before.get("shown") or ():
                self._studio.client.change_prediction(shown["id"], {"task": task["id"], "result": shown["result"]})
            overlap = int(task.get("overlap") or 1)
            ours = before.get("overlap_set")
            restored = before["overlap"] if overlap in (ours, before["overlap"]) or ours is None else overlap
            submitted = sum(not each.get("was_cancelled") for each in annotations)
            closed = before["is_labeled"] or submitted >= restored
            if (overlap, bool(task.get("is_labeled"))) != (restored, closed):
                self._studio.client.set_overlap(task["id"], restored, closed=closed)
        except RefusedError as error:
            return f"taken back; what was around it could not be restored: {error}"
        return None if restored == before["overlap"] else "its overlap was changed meanwhile and stays"

    @staticmethod
    def _starred_before(before: Row, annotations: Iterable[Mapping[str, Any]]) -> int | None:
        """Return the annotation to be ground truth again: the last that was, where none is now."""
        numbers = {each["id"] for each in annotations}
        if any(each.get("ground_truth") for each in annotations):
            return None
        return max((number for number in before.get("starred") or () if number in numbers), default=None)

    def _undone_rows(self, task: int, control: str, undo_batch: str) -> list[Row]:
        return [
            {
                **{name: row[name] for name in ("project", "task", "control", "label", "annotation")},
                "verdict": "undone",
                "decided_by": self._by,
                "source": "undo",
                "at": self._now(),
                "batch": undo_batch,
                "undoes": row["id"],
            }
            for row in self._decisions.get(task, ())
            if row["control"] == control and row["id"] not in self._taken_back
        ]
