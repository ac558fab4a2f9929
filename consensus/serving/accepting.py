"""The routes that show suggestions and accept them, or the labels that the votes propose."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from flask import Response, jsonify

from consensus.assist.accept import Offer, Request, accept, offer
from consensus.assist.batches import Performed, resume
from consensus.assist.proposals import ProposalOffer, accept_proposals, offer_proposals
from consensus.assist.suggestions import Suggested, Suggestion, read_suggestions
from consensus.core.assist.expected import Expectation
from consensus.label_studio import Studio
from consensus.serving import schemas
from consensus.serving.idempotency import once
from consensus.serving.reading import REFUSED, page, projects, snapshot_of
from consensus.serving.service import Service, service
from consensus.serving.writing import CHANGING, accepted, now
from consensus.store.columns import Row

PLACE = ("falling", "task", "control")
SAMPLE = 5


@projects.get("/suggestions", responses={200: schemas.Suggestions, **REFUSED})
def suggestions(path: schemas.OfProject, query: schemas.SuggestionsOf) -> Response:
    """List what a model suggests, the surest first: for tasks that nobody has annotated, or for all."""
    with snapshot_of(path.project):
        pass
    rows = [
        _row(each)
        for each in _suggested(service(), path.project, query.version).suggestions
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
    here, project = service(), path.project
    with snapshot_of(project):
        pass
    request = Request(
        tuple(body.tasks or ()),
        body.label,
        body.control,
        body.above,
        body.target_precision,
        body.limit,
        body.audit_share,
    )
    request.check()
    offered = _UNCOUNTED
    if body.source == "proposals":
        offered = _proposed(offer_proposals(here.store, project, request), request)
    elif body.dry_run:
        offered = _offered(offer(_suggested(here, project, body.version), request))
    elif fresh := here.suggested.fresh(project, body.version):
        offered = _offered(offer(fresh, request))
    if body.dry_run or offered["count"] == 0:
        return jsonify(**offered, job=None)

    def do() -> dict[str, Any]:
        with here.studio() as studio:
            performed = resume(studio, here.store, project, now)
            if body.source == "suggestions":
                chosen = offer(_read(here, studio, project, body.version), request)
                made = accept(studio, here.store, chosen, body.made_by, now)
            else:
                proposals = offer_proposals(here.store, project, request)
                config = here.config(project)
                made = accept_proposals(studio, here.store, project, proposals, config, now, by=body.made_by)
        here.suggested.forget(project)
        return {"batches": [performed_row(each) for each in (*performed, *([made] if made else []))]}

    return accepted(**offered, job=here.background.submit(project, "accept", body.made_by, do).described())


_UNCOUNTED: Row = {
    "count": None,
    "detail": "The suggestions are being read and accepted.",
    "expected": None,
    "labels": [],
    "sample": [],
}
Shown = TypeVar("Shown")


def _suggested(here: Service, project: int, version: str | None) -> Suggested:
    """Return a project's suggestions as they were a moment ago, or read them."""
    suggested = here.suggested.fresh(project, version)
    if suggested is None:
        with here.alone("another reading of suggestions"):
            suggested = here.suggested.fresh(project, version)
            if suggested is None:
                with here.studio() as studio:
                    suggested = _read(here, studio, project, version)
    return suggested


def _read(here: Service, studio: Studio, project: int, version: str | None) -> Suggested:
    suggested = read_suggestions(studio, here.store, here.config(project), project, now(), version=version)
    here.suggested.keep(project, version, suggested)
    return suggested


def _row(suggestion: Suggestion) -> Row:
    return {
        "task": suggestion.task,
        "control": suggestion.control,
        "labels": list(suggestion.labels),
        "score": suggestion.score,
        "version": suggestion.version,
        "annotated": suggestion.annotated,
        "decided": suggestion.decided,
        "falling": -suggestion.score,
    }


def _offered(offered: Offer) -> Row:
    """Lay out what would be accepted of the suggestions."""
    n, expected = len(offered.chosen), offered.expected
    tasks = offered.request.tasks
    among = f" of {len(set(tasks))} tasks" if tasks else " tasks"
    above = "" if offered.request.above is None else f" above {offered.request.above:g}"
    return {
        "count": n,
        "detail": f"{n}{among} have a suggestion{above} that nobody has answered{_words(expected) if n else ''}.",
        "expected": _expected(expected),
        "labels": [
            {
                "control": group.control,
                "labels": list(group.labels),
                "suggestions": group.suggestions,
                "accepted": group.accepted,
                "above": group.above,
                "expected": _expected(group.expected),
                "reason": group.reason,
            }
            for group in offered.groups
        ],
        "sample": [_shown_suggestion(each) for each in _sample(offered.chosen)],
    }


def _proposed(offered: ProposalOffer, request: Request) -> Row:
    """Lay out what would be accepted of the proposals."""
    n = len(offered.proposals)
    among = f" of {len(set(request.tasks))} tasks" if request.tasks else " tasks"
    share = offered.wrong / n if n else 0.0
    wrong = f"; by the votes {share:.1%} of them are wrong ({offered.lower:.1%} to {offered.upper:.1%})"
    return {
        "count": n,
        "detail": f"{n}{among} have a wrong given label and a better one{wrong if n else ''}.",
        "expected": {"n": n, "share": offered.wrong / n, "lower": offered.lower, "upper": offered.upper}
        if n
        else None,
        "labels": [],
        "sample": [asdict(each) for each in _sample(offered.proposals)],
    }


def _words(expected: Expectation) -> str:
    if not expected.n:
        return "; how many of them are wrong is not known: none like them has been judged"
    return (
        f"; of {expected.n} like them that were judged, {expected.share:.1%} are wrong "
        f"({expected.lower:.1%} to {expected.upper:.1%})"
    )


def _expected(expected: Expectation) -> Row | None:
    if not expected.n:
        return None
    return {"n": expected.n, "share": expected.share, "lower": expected.lower, "upper": expected.upper}


def _shown_suggestion(suggestion: Suggestion) -> Row:
    row = _row(suggestion)
    del row["falling"]
    return row


def _sample(chosen: Sequence[Shown]) -> list[Shown]:
    """Return some, from the surest to the least sure."""
    step = max((len(chosen) - 1) / (SAMPLE - 1), 1)
    return [chosen[round(place * step)] for place in range(min(SAMPLE, len(chosen)))]


def performed_row(performed: Performed) -> Row:
    """Lay out what became of a batch."""
    return {
        "batch": performed.batch["id"],
        "counts": dict(performed.counts),
        "left": [{name: item[name] for name in ("task", "control", "note")} for item in performed.left],
    }
