"""The routes of review: what a reviewer sees and decides, asking for more votes, and sending tasks to review."""

from dataclasses import asdict

from flask import Response, jsonify

from consensus.core.review.rulings import Ruling
from consensus.review.items import describe
from consensus.serving import acts, schemas
from consensus.serving.idempotency import key, once
from consensus.serving.reading import QUEUE_PLACE, REFUSED, page, projects
from consensus.serving.service import service, snapshot_of
from consensus.serving.writing import CHANGING, answered
from consensus.store.columns import Row


@projects.get("/queues/<queue>/items", responses={200: schemas.ReviewItems, **REFUSED})
def review_items(path: schemas.OfQueue, query: schemas.Page) -> Response:
    """List what waits in a queue as a reviewer sees it; random samples are judged blind."""
    with snapshot_of(service(), path.project) as snapshot, service().studio() as studio:
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
    rulings = [
        Ruling(each.task, each.control, each.name, tuple(each.labels), each.reason) for each in body.rulings
    ]
    decided = acts.decide_labels(service(), path.project, rulings, body.made_by, override=body.override)
    return jsonify(**decided)


@projects.post("/ask", responses={200: schemas.Performing, 202: schemas.Performing, **CHANGING})
@once
def ask_for_votes(path: schemas.OfProject, body: schemas.OnTasks) -> Response:
    """Let one more annotator be asked about each task; in the background."""
    asked = acts.ask_for_votes(
        service(),
        path.project,
        body.tasks,
        body.made_by,
        reason=body.reason,
        key=key(),
        dry_run=body.dry_run,
    )
    return answered(asked)


@projects.post("/review", responses={200: schemas.Performing, **CHANGING})
@once
def send_to_review(path: schemas.OfProject, body: schemas.OnTasks) -> Response:
    """Let tasks wait for a reviewer, before all others of the queue of suggestions."""
    sent = acts.send_to_review(
        service(), path.project, body.tasks, body.made_by, reason=body.reason, dry_run=body.dry_run
    )
    return answered(sent)
