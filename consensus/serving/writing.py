"""The routes that change something, by the engine of a command; what takes long goes on after the answer."""

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify
from werkzeug.exceptions import NotFound

from common.serving.refusals import Problem
from consensus.serving import acts, schemas
from consensus.serving.idempotency import once
from consensus.serving.reading import REFUSED, projects
from consensus.serving.service import service

CHANGING: dict[str | int, Any] = {**REFUSED, **dict.fromkeys((409, 413, 415, 422, 502), Problem)}


@projects.post("/runs", responses={202: schemas.Job, **CHANGING})
@once
def update_reports(path: schemas.OfProject, body: schemas.Asking) -> Response:
    """Compute the reports of a project anew, in the background; where a run waits already, it is that one."""
    here = service()
    job = here.background.submit(path.project, "run", body.made_by, lambda: here.run(path.project), joins=True)
    return accepted(job.described())


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
    return answered(acts.undo_batch(service(), path.project, path.batch, body.made_by, dry_run=body.dry_run))


def answered(result: Mapping[str, Any]) -> Response:
    """Answer with what was done at once, or what is being done and how to see how far it is."""
    return accepted(result) if result["job"] else jsonify(**result)


def accepted(result: Mapping[str, Any]) -> Response:
    """Answer that something is being done."""
    response = jsonify(**result)
    response.status_code = 202
    return response
