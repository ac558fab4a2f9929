"""The routes that change something, by the engine of a command; what takes long goes on after the answer."""

from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify
from werkzeug.exceptions import NotFound

from common.serving.refusals import Problem
from consensus.assist.undo import undo
from consensus.serving import schemas
from consensus.serving.background import Job
from consensus.serving.idempotency import once
from consensus.serving.reading import REFUSED, batch_of, projects, snapshot_of
from consensus.serving.service import service

__all__ = ["projects"]

_REFUSED: dict[str | int, Any] = {**REFUSED, **dict.fromkeys((409, 413, 415, 422, 502), Problem)}


@projects.post("/runs", responses={202: schemas.Job, **_REFUSED})
@once
def update_reports(path: schemas.OfProject, body: schemas.Asking) -> Response:
    """Compute the reports of a project anew, in the background; where a run waits already, it is that one."""
    here = service()
    return _accepted(
        here.background.submit(path.project, "run", body.made_by, lambda: here.run(path.project), joins=True)
    )


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


@projects.post("/batches/<batch>/undo", responses={200: schemas.Performing, 202: schemas.Performing, **_REFUSED})
@once
def undo_batch(path: schemas.OfBatch, body: schemas.Undoing) -> Response:
    """Take back what a batch wrote and nobody has touched since, or count what that would be."""
    here = service()
    with snapshot_of(path.project) as snapshot:
        batch_of(snapshot, path)

    def take_back(*, dry_run: bool) -> dict[str, Any]:
        with here.studio() as studio:
            undone = undo(studio, here.store, path.batch, body.made_by, _now, dry_run=dry_run)
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
    return _performing(sum(items.values()), f"batch {path.batch} is being taken back", path.batch, job)


def _accepted(job: Job) -> Response:
    response = jsonify(job.described())
    response.status_code = 202
    return response


def _performing(count: int, detail: str, batch: str | None, job: Job) -> Response:
    response = jsonify(count=count, detail=detail, batch=batch, job=job.described())
    response.status_code = 202
    return response


def _now() -> datetime:
    return datetime.now(UTC)
