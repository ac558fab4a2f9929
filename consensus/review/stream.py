"""Batches that decide on the work on tasks alone: to how many more annotators Label Studio shows them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx

from common.errors import RefusedError
from common.label_studio.annotations import account_of
from common.progress import Progress, of_step, silent
from consensus.assist.annotations import annotations_of, tasks_now
from consensus.assist.batches import GONE, Performed, because_of, by_task, in_chunks, performed
from consensus.label_studio import SKIPS_COUNT, Studio
from consensus.store.columns import Row
from consensus.store.store import Store


def perform_stream(
    studio: Studio,
    store: Store,
    batch: Row,
    now: Callable[[], datetime],
    progress: Progress = silent,
) -> Performed:
    """Set the overlap of a batch's tasks, and open or close them; a second call goes on where one was cut off.

    An item's evidence says how many more annotators are asked (`more`); none closes the task. What is to be set
    follows from how a task was when it was first looked at, which is stored before anything is sent.
    """
    project, number = int(batch["project"]), str(batch["id"])
    skips_count = studio.client.project(project).skip_queue in SKIPS_COUNT
    planned = by_task(store.decisions.items(number, ["planned"]))
    tell = of_step(progress, "setting overlap", len(planned))
    for done, tasks in in_chunks(planned):
        there = tasks_now(studio, project, tasks)
        fresh = [
            item for items in tasks.values() for item in items if item["before"] is None and item["task"] in there
        ]
        for item in fresh:
            more = int((item["evidence"] or {}).get("more", 0))
            item["before"] = _planned(there[item["task"]], more, skips_count=skips_count)
        store.decisions.settle_items(
            number, [{key: item[key] for key in ("task", "control", "before")} for item in fresh]
        )
        for task, items in tasks.items():
            note = _set(studio, task, items[0]["before"]) if task in there else GONE
            _note(store, batch, items, note, now())
        tell(done)
    if batch["finished_at"] is None:
        written = store.decisions.items(number, ["written"])
        places = [(item["task"], item["control"]) for item in written if "verdict" in (item["evidence"] or {})]
        store.decisions.close_many(project, places, now(), because_of(number))
        store.decisions.finish_batch(number, now())
    return performed(store, number)


def _planned(task: Mapping[str, Any], more: int, *, skips_count: bool) -> Row:
    """Return how a task is, and how it is to be: shown to so many more than have or will have had it."""
    counted = [each for each in annotations_of(task) if skips_count or not each.get("was_cancelled")]
    submitted = len({account_of(each) or f"annotation {each['id']}" for each in counted})
    overlap, closed = int(task.get("overlap") or 1), bool(task.get("is_labeled"))
    lowest = submitted if closed or not more else max(submitted, overlap)
    return {
        "overlap": overlap,
        "is_labeled": closed,
        "starred": [],
        "overlap_set": max(lowest + more, 1),
        "closed_set": not more,
    }


def _set(studio: Studio, task: int, before: Row) -> str | None:
    """Set a task's overlap and mark; return a note where it is refused."""
    try:
        studio.client.set_overlap(task, before["overlap_set"], closed=before["closed_set"])
    except RefusedError as error:
        if error.http_status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise
        return GONE if error.http_status == httpx.codes.NOT_FOUND else str(error)
    return None


def _note(store: Store, batch: Row, items: list[Row], note: str | None, at: datetime) -> None:
    """Store what became of the items of a task, and what was decided."""
    state = "written" if note is None else "left"
    changed = [{"task": item["task"], "control": item["control"], "state": state, "note": note} for item in items]
    decisions = [
        _decision(batch, item, at) for item in items if note is None and (item["evidence"] or {}).get("verdict")
    ]
    store.decisions.settle_items(str(batch["id"]), changed, decisions)


def _decision(batch: Row, item: Row, at: datetime) -> Row:
    evidence = dict(item["evidence"])
    verdict, reason = evidence.pop("verdict"), evidence.pop("reason", None)
    return {
        "project": batch["project"],
        "task": item["task"],
        "control": item["control"],
        "label": "",
        "verdict": verdict,
        "decided_by": batch["made_by"],
        "source": "review",
        "at": at,
        "batch": batch["id"],
        "evidence": evidence,
        "reason": reason,
    }
