"""The routes of review: what a reviewer sees and decides, asking for more votes, and sending tasks to review."""

from dataclasses import asdict
from typing import Any
from uuid import uuid4

from flask import Response, jsonify
from werkzeug.exceptions import UnprocessableEntity

from consensus.assist.batches import performed, plan
from consensus.core.review.rulings import Ruling
from consensus.review.decisions import EVERYBODY, decide
from consensus.review.items import describe
from consensus.review.stream import perform_stream
from consensus.serving import schemas
from consensus.serving.accepting import performed_row
from consensus.serving.idempotency import HEADER, key, once
from consensus.serving.reading import QUEUE_PLACE, REFUSED, page, projects, snapshot_of
from consensus.serving.service import service
from consensus.serving.writing import CHANGING, accepted, now
from consensus.store.columns import Row
from consensus.store.tables import CLASSIFICATION

__all__ = ["projects"]  # with the routes of all modules


@projects.get("/queues/<queue>/items", responses={200: schemas.ReviewItems, **REFUSED})
def review_items(path: schemas.OfQueue, query: schemas.Page) -> Response:
    """List what waits in a queue as a reviewer sees it; random samples are judged blind."""
    with snapshot_of(path.project) as snapshot, service().studio() as studio:
        project = studio.project(path.project)

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.decisions.queue(path.project, path.queue, after=after, limit=limit)

        def described(rows: list[Row]) -> list[Row]:
            items = [asdict(item) for item in describe(snapshot, studio, project, rows)]
            return [item | {"annotators": sorted(item["annotators"])} for item in items]

        return page(query.after, query.limit, QUEUE_PLACE, behind, described)


@projects.post("/decisions", responses={200: schemas.DecidedLabels, **CHANGING})
@once
def decide_labels(path: schemas.OfProject, body: schemas.Deciding) -> Response:
    """Write what a reviewer decides, as ground truth of their account; what is not followed has its reason."""
    here = service()
    with snapshot_of(path.project):
        pass
    rulings = [
        Ruling(each.task, each.control, each.name, tuple(each.labels), each.reason) for each in body.rulings
    ]
    with here.studio() as studio:
        decided = decide(
            studio,
            here.store,
            here.config(path.project),
            path.project,
            rulings,
            reviewer=body.made_by,
            now=now,
            override=body.override,
        )
    here.suggested.forget(path.project)
    return jsonify(
        batches=[performed_row(each) for each in decided.batches],
        refused=[asdict(each) for each in decided.refused],
    )


@projects.post("/ask", responses={200: schemas.Performing, 202: schemas.Performing, **CHANGING})
@once
def ask_for_votes(path: schemas.OfProject, body: schemas.OnTasks) -> Response:
    """Let one more annotator be asked about each task; in the background."""
    here, tasks = service(), sorted(set(body.tasks))
    with snapshot_of(path.project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(path.project)]
        votes: dict[tuple[int, str], int] = {}
        for row in snapshot.of_tasks(CLASSIFICATION, path.project, tasks):
            place, n = (row["task"], row["control"]), row["yes"] + row["no"] + row["unsure"]
            votes[place] = max(votes.get(place, 0), n)
    detail = f"One more annotator is asked about {len(tasks)} {'task' if len(tasks) == 1 else 'tasks'}."
    if body.dry_run:
        return jsonify(count=len(tasks), detail=detail, batch=None, job=None)
    evidence = {"verdict": "asked", "reason": body.reason or None, "more": 1}
    items: list[Row] = [
        {
            "task": task,
            "control": control,
            "labels": [],
            "evidence": {**evidence, "votes": votes.get((task, control), 0)},
        }
        for task in tasks
        for control in controls
    ]
    batch = plan(here.store, path.project, "ask", items, made_by=body.made_by, now=now(), key=key() or uuid4().hex)
    planned = {item["task"] for item in here.store.decisions.items(str(batch["id"]))}
    if batch["kind"] != "ask" or planned != set(tasks):  # from before the service began
        raise UnprocessableEntity(f"{HEADER} {key()!r} was sent with another body; take a new one")

    def do() -> dict[str, Any]:
        # A reviewer who asks at the same moment has the lock: each batch is written by one of them.
        with here.studio() as studio, here.store.lock_batches(path.project, EVERYBODY):
            unfinished = [row for row in here.store.decisions.unfinished(path.project) if row["kind"] == "ask"]
            for cut_off in unfinished:
                perform_stream(studio, here.store, cut_off, now)
        return performed_row(performed(here.store, str(batch["id"])))

    job = here.background.submit(path.project, "ask", body.made_by, do)
    return accepted(count=len(tasks), detail=detail, batch=batch["id"], job=job.described())


@projects.post("/review", responses={200: schemas.Performing, **CHANGING})
@once
def send_to_review(path: schemas.OfProject, body: schemas.OnTasks) -> Response:
    """Let tasks wait for a reviewer, before all others of the queue of suggestions."""
    here, tasks = service(), sorted(set(body.tasks))
    with snapshot_of(path.project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(path.project)]
    detail = f"{len(tasks)} {'task waits' if len(tasks) == 1 else 'tasks wait'} for a reviewer."
    if not body.dry_run:
        sent = {"sent_by": body.made_by, "reason": body.reason}
        entries = [
            {"task": task, "control": control, "priority": FIRST, "detail": sent}
            for task in tasks
            for control in controls
        ]
        here.store.decisions.enter(path.project, "pending", entries, now())
    return jsonify(count=len(tasks), detail=detail, batch=None, job=None)


FIRST = -1.0
"""Before every priority that follows from a score."""
