"""The routes that show suggestions and accept them, or the labels that the votes propose."""

from flask import Response

from consensus.assist.accept import Request
from consensus.serving import acts, schemas
from consensus.serving.idempotency import once
from consensus.serving.reading import REFUSED, page, projects
from consensus.serving.service import check_run, service
from consensus.serving.writing import CHANGING, answered
from consensus.store.columns import Row

PLACE = ("falling", "task", "control")


@projects.get("/suggestions", responses={200: schemas.Suggestions, **REFUSED})
def suggestions(path: schemas.OfProject, query: schemas.SuggestionsOf) -> Response:
    """List what a model suggests, the surest first: for tasks that nobody has annotated, or for all."""
    check_run(service(), path.project)
    rows = [
        acts.suggestion_row(each)
        for each in acts.suggested(service(), path.project, query.version).suggestions
        if (query.annotated or each.is_open)
        and each.score >= query.min_score
        and query.label in (None, *each.labels)
        and query.control in (None, each.control)
    ]

    def behind(after: Row | None, limit: int) -> list[Row]:
        place = tuple(after[name] for name in PLACE) if after else None
        return [row for row in rows if place is None or tuple(row[name] for name in PLACE) > place][:limit]

    return page(query.after, query.limit, PLACE, behind)


@projects.post("/accept", responses={200: schemas.Offered, 202: schemas.Offered, **CHANGING})
@once
def accept_labels(path: schemas.OfProject, body: schemas.Accepting) -> Response:
    """Accept suggestions, or the labels that the votes prefer to given ones; or count, and say what to expect."""
    request = Request(
        tuple(body.tasks or ()),
        body.label,
        body.control,
        body.above,
        body.target_precision,
        body.limit,
        body.audit_share,
    )
    offered = acts.accept_labels(
        service(),
        path.project,
        request,
        body.source,
        body.made_by,
        version=body.version,
        dry_run=body.dry_run,
    )
    return answered(offered)
