"""The routes that change something, by the engine of a command; what takes long goes on after the answer."""

from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify
from werkzeug.exceptions import NotFound

from common.serving.refusals import Problem
from consensus.assist.undo import undo
from consensus.serving import schemas
from consensus.serving.idempotency import once
from consensus.serving.reading import REFUSED, batch_of, projects, snapshot_of
from consensus.serving.service import service

CHANGING: dict[str | int, Any] = {**REFUSED, **dict.fromkeys((409, 413, 415, 422, 502), Problem)}


@projects.post("/runs", responses={202: schemas.Job, **CHANGING})
@once
def update_reports(path: schemas.OfProject, body: schemas.Asking) -> Response:
    """Compute the reports of a project anew, in the background; where a run waits already, it is that one."""
    here = service()
    job = here.background.submit(path.project, "run", body.made_by, lambda: here.run(path.project), joins=True)
    return accepted(**job.described())


@projects.get("/jobs", responses={200: schemas.Jobs, **REFUSED})
def jobs(path: schemas.OfProject) -> Response:
    """List the latest work in the background of a project, the latest first."""
    return jsonify(items=[job.described() for job in service().background.jobs(path.project)])


@projects.get("/jobs/<job>", responses={200: schemas.Job, **REFUSED})
def job_of_project(path: schemas.OfJob) -> Response:
    """Show how far work in the background is."""
    job = service().background.job(path.project, path.job)
    if job is None:
        raise NotFound(f"project {path.project} has no job {path.job}, or it was before the service began")
    return jsonify(job.described())


@projects.post("/batches/<batch>/undo", responses={200: schemas.Performing, 202: schemas.Performing, **CHANGING})
@once
def undo_batch(path: schemas.OfBatch, body: schemas.Undoing) -> Response:
    """Take back what a batch wrote and nobody has touched since, or count what that would be."""
    here = service()
    with snapshot_of(path.project) as snapshot:
        batch_of(snapshot, path)

    def take_back(*, dry_run: bool) -> dict[str, Any]:
        with here.studio() as studio:
            undone = undo(studio, here.store, path.batch, body.made_by, now, dry_run=dry_run)
        here.suggested.forget(path.project)
        return {
            "undone": undone.undone,
            "kept": [{name: item[name] for name in ("task", "control", "note")} for item in undone.kept],
            "undo": undone.undo["id"] if undone.undo else None,
        }

    if body.dry_run:
        counted = take_back(dry_run=True)
        detail = f"{counted['undone']} would be taken back, {len(counted['kept'])} stay."
        return jsonify(count=counted["undone"], detail=detail, batch=path.batch, job=None)
    job = here.background.submit(path.project, "undo", body.made_by, lambda: take_back(dry_run=False))
    items = here.store.decisions.item_counts(path.batch)
    detail = f"batch {path.batch} is being taken back"
    return accepted(count=sum(items.values()), detail=detail, batch=path.batch, job=job.described())


def accepted(**members: object) -> Response:
    """Answer that something is being done, and how to see how far it is."""
    response = jsonify(**members)
    response.status_code = 202
    return response


def now() -> datetime:
    """Return the moment of a write."""
    return datetime.now(UTC)
