"""The routes that read: a page from one state of the store."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from werkzeug.exceptions import BadRequest, NotFound

from common.contract import REPORT_NAMES
from common.serving.refusals import Problem
from consensus.assist.story import story_of
from consensus.projects.prompt import prompts
from consensus.serving import schemas
from consensus.serving.service import batch_of, check_run, service, snapshot_of
from consensus.store.columns import Row
from consensus.store.pages import ANNOTATOR_PLACE, ITEM_PLACE, VOTE_PLACE
from consensus.store.reader import Snapshot

CLASSIFICATION_PLACE = ("report", "confidence", "posterior", "task", "control", "label")
QUEUE_PLACE = ("priority", "queue", "task", "control")
CONFIRMED = ("AllConfirmed", "Discovered")
"""The reports of what is right, whether the task came with it or not."""

_UNSHOWN = ("project", "closed_at", "closed_because", "falling")
REFUSED: dict[str | int, Any] = dict.fromkeys((400, 404, 503), Problem)
projects = APIBlueprint(
    "projects",
    __name__,
    url_prefix="/api/projects/<int:project>",
    operation_id_callback=lambda *, name, **_: name,
)


@projects.get("", responses={200: schemas.Overview, **REFUSED})
def overview(path: schemas.OfProject) -> Response:
    """Sum up the last run of a project and what waits for review."""
    with snapshot_of(service(), path.project) as snapshot:
        run = snapshot.needed_run(path.project)
        label_studio = snapshot.label_studio(path.project)
        reports = snapshot.pages.report_totals(path.project)
        queues = snapshot.decisions.queue_counts(path.project)
    return jsonify(project=path.project, label_studio=label_studio, run=run, reports=reports, queues=queues)


@projects.get("/labels", responses={200: schemas.Labels, **REFUSED})
def labels(path: schemas.OfProject, query: schemas.Page) -> Response:
    """List the labels of a project's controls, with the number of classifications in each report."""
    with snapshot_of(service(), path.project) as snapshot:
        counts = {
            key: {row["report"]: row["classifications"] for row in rows if row["report"]}
            for key, rows in groupby(
                snapshot.pages.report_counts(path.project), lambda row: (row["control"], row["label"])
            )
        }
        rows = [
            {
                "control": control["control"],
                "label": label,
                "kind": control["kind"],
                "choice": control["choice"],
                "reports": counts.get((control["control"], label), {}),
            }
            for control in snapshot.controls(path.project)
            for label in control["labels"]
        ]
    rows.sort(key=lambda row: (row["control"], row["label"]))

    def behind(after: Row | None, limit: int) -> list[Row]:
        place = (after["control"], after["label"]) if after else ("", "")
        return [row for row in rows if (row["control"], row["label"]) > place][:limit]

    return page(query.after, query.limit, ("control", "label"), behind)


@projects.get("/classifications", responses={200: schemas.Classifications, **REFUSED})
def classifications(path: schemas.OfProject, query: schemas.Classified) -> Response:
    """List classifications: report after report, and of each what is best looked at first."""
    reports = (*REPORT_NAMES, "") if query.report is None else (query.report,)
    return _classifications(path.project, reports, query, query.limit, query.min_confidence)


@projects.get("/reports/<report>", responses={200: schemas.Classifications, **REFUSED})
def report(path: schemas.OfReport, query: schemas.InReport) -> Response:
    """List a report: of MisClassified the strongest accusations come first, of most others the most confident."""
    return _classifications(path.project, (path.report,), query, query.limit, query.min_confidence)


@projects.get("/images/confirmed", responses={200: schemas.Classifications, **REFUSED})
def confirmed_images(path: schemas.OfProject, query: schemas.ImagesWith) -> Response:
    """List images that have a label: confirmed where they came with it, discovered where they did not."""
    return _classifications(path.project, CONFIRMED, query, query.count)


@projects.get("/images/mislabelled", responses={200: schemas.Classifications, **REFUSED})
def mislabelled_images(path: schemas.OfProject, query: schemas.ImagesOf) -> Response:
    """List images whose given label is wrong, the strongest accusations first."""
    return _classifications(path.project, ("MisClassified",), query, query.count)


@projects.get("/images/prompt", responses={200: schemas.PromptsFound, **REFUSED})
def prompted_images(path: schemas.OfProject, query: schemas.PromptFor) -> Response:
    """List open classifications that an annotator has not voted on, the most informative first."""
    check_run(service(), path.project)
    with service().alone("another prompt"):
        open_to = prompts(service().store, path.project, query.annotator, label=query.label, control=query.control)
    return jsonify(known=open_to.known, items=[shown(row) for row in open_to.rows[: query.count]])


@projects.get("/annotators", responses={200: schemas.Annotators, **REFUSED})
def annotators(path: schemas.OfProject, query: schemas.Page) -> Response:
    """List the annotators of the last run by control and name, with their trust and what is suspicious."""
    with snapshot_of(service(), path.project) as snapshot:
        run = int(snapshot.needed_run(path.project)["id"])

        def behind(after: Row | None, limit: int) -> list[Row]:
            rows = snapshot.pages.annotators(run, after=after, limit=limit)
            return [{name: value for name, value in row.items() if name != "run"} for row in rows]

        return page(query.after, query.limit, ANNOTATOR_PLACE, behind, run=run)


@projects.get("/submissions", responses={200: schemas.Votes, **REFUSED})
def submissions(path: schemas.OfProject, query: schemas.Submitted) -> Response:
    """List votes by control, task, annotator and label."""
    with snapshot_of(service(), path.project) as snapshot:
        controls = _controls(snapshot, path.project, query.control)

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.pages.votes(
                path.project,
                controls,
                task=query.task,
                annotator=query.annotator,
                label=query.label,
                after=after,
                limit=limit,
            )

        return page(query.after, query.limit, VOTE_PLACE, behind)


@projects.get("/runs", responses={200: schemas.Runs, **REFUSED})
def runs(path: schemas.OfProject, query: schemas.Page) -> Response:
    """List the runs of a project, the latest first."""
    with snapshot_of(service(), path.project) as snapshot:

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.pages.runs(path.project, before=after["id"] if after else None, limit=limit)

        return page(query.after, query.limit, ("id",), behind)


@projects.get("/queues", responses={200: schemas.Queues, **REFUSED})
def queues(path: schemas.OfProject) -> Response:
    """Count what waits in each queue of review."""
    with snapshot_of(service(), path.project) as snapshot:
        return jsonify(queues=snapshot.decisions.queue_counts(path.project))


@projects.get("/queues/<queue>", responses={200: schemas.WaitingPage, **REFUSED})
def queue(path: schemas.OfQueue, query: schemas.Page) -> Response:
    """List what waits in a queue of review, in the order in which it is to be looked at."""
    with snapshot_of(service(), path.project) as snapshot:

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.decisions.queue(path.project, path.queue, after=after, limit=limit)

        return page(query.after, query.limit, QUEUE_PLACE, behind)


@projects.get("/decisions", responses={200: schemas.Decisions, **REFUSED})
def decisions(path: schemas.OfProject, query: schemas.Decided) -> Response:
    """List what was decided in a project, of a task or in a batch, the earliest first."""
    with snapshot_of(service(), path.project) as snapshot:

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.decisions.decisions(
                path.project, task=query.task, batch=query.batch, after=after["id"] if after else 0, limit=limit
            )

        return page(query.after, query.limit, ("id",), behind)


@projects.get("/batches", responses={200: schemas.Batches, **REFUSED})
def batches(path: schemas.OfProject, query: schemas.Page) -> Response:
    """List the batches of writes into a project, the latest first."""
    with snapshot_of(service(), path.project) as snapshot:

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.decisions.batches(path.project, after=after, limit=limit)

        def counted(rows: list[Row]) -> list[Row]:
            return [row | {"items": snapshot.decisions.item_counts(row["id"])} for row in rows]

        return page(query.after, query.limit, ("made_at", "id"), behind, counted)


@projects.get("/batches/<batch>", responses={200: schemas.Batch, **REFUSED})
def batch_of_writes(path: schemas.OfBatch) -> Response:
    """Show a batch, with the number of its items in each state."""
    with snapshot_of(service(), path.project) as snapshot:
        row = batch_of(snapshot, path.project, path.batch)
        return jsonify(shown(row | {"items": snapshot.decisions.item_counts(path.batch)}))


@projects.get("/batches/<batch>/items", responses={200: schemas.BatchItems, **REFUSED})
def batch_items(path: schemas.OfBatch, query: schemas.Page) -> Response:
    """List what a batch writes, by task and control."""
    with snapshot_of(service(), path.project) as snapshot:
        batch_of(snapshot, path.project, path.batch)

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.pages.items(path.batch, after=after, limit=limit)

        return page(query.after, query.limit, ITEM_PLACE, behind)


@projects.get("/tasks/<int:task>/audit", responses={200: schemas.Audit, **REFUSED})
def audit(path: schemas.OfTask) -> Response:
    """Tell the whole story of a task: votes, what each run made of them, decisions, and where it waited."""
    with snapshot_of(service(), path.project):
        return jsonify(task=path.task, events=story_of(service().store, path.project, path.task))


def _classifications(
    project: int,
    reports: Sequence[str],
    query: schemas.InReport | schemas.ImagesOf,
    limit: int,
    min_confidence: float | None = None,
) -> Response:
    """Answer with a page that may reach over several reports, each read by its own index."""
    with snapshot_of(service(), project) as snapshot:
        control = _control_of(snapshot, project, query.control, query.label)

        def behind(after: Row | None, limit: int) -> list[Row]:
            begun = reports.index(after["report"]) if after else 0
            rows: list[Row] = []
            for name in reports[begun:]:
                if len(rows) < limit:
                    rows += snapshot.page(
                        project,
                        name,
                        control=control,
                        label=query.label,
                        min_confidence=min_confidence,
                        after=after if after and name == after["report"] else None,
                        limit=limit - len(rows),
                    )
            return rows

        return page(query.after, limit, CLASSIFICATION_PLACE, behind)


def page(
    cursor: str | None,
    limit: int,
    place: Sequence[str],
    behind: Callable[[Row | None, int], list[Row]],
    complete: Callable[[list[Row]], list[Row]] = lambda rows: rows,
    **more: object,
) -> Response:
    """Answer with a page and the cursor of the next one.

    Parameters
    ----------
    place : sequence of str
        The columns that order the rows and name one.
    behind : callable
        Reads so many rows behind a place.
    complete : callable
        Adds to the rows of the page what is not read with them.
    """
    asked, cursors = question(), service().cursors
    rows = behind(cursors.read(asked, cursor), limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = cursors.make(asked, {name: last[name] for name in place}) if last else None
    return jsonify(**more, items=[shown(row) for row in complete(rows[:limit])], next=following)


def question(*, by_form: bool = False) -> str:
    """Return what the request asks, whichever page of the answer.

    Parameters
    ----------
    by_form : bool
        Whether a form may have asked, whose empty fields ask for nothing.
    """
    names = (name for name in sorted(request.args) if name not in ("after", "before", "limit", "count"))
    filters = {name: request.args[name] for name in names if request.args[name] or not by_form}
    return f"{request.path} {json.dumps(filters)}"


def shown(row: Mapping[str, Any]) -> Row:
    """Return a row as it is answered: without the project, which the address names, and no report as null."""
    answered = {name: value for name, value in row.items() if name not in _UNSHOWN}
    return answered | {"report": answered["report"] or None} if "report" in answered else answered


def _controls(snapshot: Snapshot, project: int, control: str | None) -> list[str]:
    """Return the names of a project's controls, or of the chosen one alone."""
    names = [str(row["control"]) for row in snapshot.controls(project)]
    if control is None:
        return names
    if control not in names:
        raise NotFound(f"the last run has no control {control!r}; it has {', '.join(names)}")
    return [control]


def _control_of(snapshot: Snapshot, project: int, control: str | None, label: str | None) -> str | None:
    """Return the control of a label, which need not be named where no other has that label."""
    if control is not None or label is None:
        return None if control is None else _controls(snapshot, project, control)[0]
    owners = [str(row["control"]) for row in snapshot.controls(project) if label in row["labels"]]
    if not owners:
        raise NotFound(f"the last run has no label {label!r}; /api/projects/{project}/labels lists them")
    if len(owners) > 1:
        raise BadRequest(f"{label!r} is a label of {' and of '.join(owners)}: name one of them, as control=")
    return owners[0]
