"""The reports as tables: what is given, what the votes say, and what to do about it."""

from collections.abc import Iterator, Mapping

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import BadRequest, NotFound

from common.console import csv_pages
from common.contract import REPORT_NAMES
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.pages import page, share_in, text_in
from consensus.console.rows import PLACE, described, proposed
from consensus.serving.matching import Matching
from consensus.serving.service import check_run, service, snapshot_of
from consensus.store.columns import Row
from consensus.store.reader import FIRST_ORDERS, SURE
from consensus.store.tables import CLASSIFICATION

report_pages = Blueprint("reports", __name__)

ROWS, CSV_ROWS = 50, 500
NAMES = 500
"""So many annotators are offered while one types."""
MEANINGS = {
    "AllConfirmed": "The label was given, and the votes confirm it.",
    "MisClassified": "The label was given, and the votes reject it.",
    "Discovered": "The label was not given, and the votes confirm it.",
    "Controversial": "Many votes and no decision.",
    "NoVotes": "Nobody has voted yet.",
    "Undecided": "Some votes, not enough to decide.",
}
SORTS = {
    "improbable": "least probable first",
    "probable": "most probable first",
    "sure": "highest confidence first",
    "unsure": "lowest confidence first",
    "doubtful": "nearest to even first",
    "task": "by task",
}
COLUMNS = [column.name for column in CLASSIFICATION.c if column.name not in ("project", "since")]


@report_pages.get("/projects/<int:project>/reports")
@report_pages.get("/projects/<int:project>/reports/<name>")
@needs(Role.ADMIN)
def report(project: int, name: str = "MisClassified") -> str:
    """Show a page of a report."""
    asked, sort = _asked(name)
    with snapshot_of(service(), project) as snapshot:
        run = int(snapshot.needed_run(project)["id"])
        counts = snapshot.pages.report_totals(project)
        controls = snapshot.controls(project)
        is_unknown = asked.annotator is not None and not snapshot.pages.annotator(run, asked.annotator)

        def behind(after: Row | None, limit: int) -> list[Row]:
            return asked.page(snapshot, project, order=sort, after=after, limit=limit)

        def ahead(before: Row | None, limit: int) -> list[Row]:
            return asked.page(snapshot, project, order=sort, after=before, limit=limit, back=True)

        shown = page(PLACE, behind, ROWS, ahead)
        rows = described(snapshot, project, shown.rows)
        is_counted = asked.annotator is None and asked.confidence is None
        matching = snapshot.count(project, name, control=asked.control, label=asked.label) if is_counted else None
        annotators = snapshot.pages.annotator_names(run, NAMES)
        label_studio = snapshot.label_studio(project)
        decided = set(snapshot.decisions.last_decisions(project, {row["task"] for row in rows}))
    console().pictures.expect_quietly(project, {row["task"] for row in rows})
    return render_template(
        "report.html",
        name=name,
        meaning=MEANINGS[name],
        counts=counts,
        controls=controls,
        labels=sorted(
            {each for row in controls if asked.control in (None, row["control"]) for each in row["labels"]}
        ),
        annotators=annotators,
        is_unknown=is_unknown,
        matching=matching,
        sorts=_sorts(name),
        sort=sort,
        rows=rows,
        shown=shown,
        decided=decided,
        label_studio=label_studio,
        filters={each: value for each, value in request.args.items() if value and each not in ("after", "before")},
    )


@report_pages.get("/projects/<int:project>/reports/<name>.csv")
@needs(Role.ADMIN)
def table(project: int, name: str) -> Response:
    """Send a report, a page at a time: of one run, whatever ends meanwhile."""
    here, (asked, sort) = service(), _asked(name)
    check_run(here, project)

    def pages() -> Iterator[list[Row]]:
        with snapshot_of(here, project) as snapshot:
            after: Row | None = None
            while rows := asked.page(snapshot, project, order=sort, after=after, limit=CSV_ROWS):
                yield proposed(snapshot, project, rows)
                after = rows[-1]

    text = csv_pages(pages(), [*COLUMNS, "proposed", "proposed_posterior"])
    headers = {"Content-Disposition": f'attachment; filename="{name}-{project}.csv"'}
    return Response(text, mimetype="text/csv", headers=headers)


def _asked(name: str) -> tuple[Matching, str]:
    """Read which rows of a report the address asks for, and in which order."""
    if name not in REPORT_NAMES:
        raise NotFound(f"there is no report {name!r}; there are {', '.join(REPORT_NAMES)}")
    sort = request.args.get("sort") or FIRST_ORDERS.get(name, SURE)
    if sort not in _sorts(name):
        raise BadRequest(f"the sort of {name} is {sort!r}; there are {', '.join(_sorts(name))}")
    control, label, annotator = (text_in(request.args, each) for each in ("control", "label", "annotator"))
    least = share_in(request.args.get("confidence"), "the least confidence", 0.8)
    return Matching(name, control, label, annotator, least), sort


def _sorts(name: str) -> Mapping[str, str]:
    """Return the orders of a report: how near to even something is has an index where it is what matters."""
    return {sort: text for sort, text in SORTS.items() if sort != "doubtful" or FIRST_ORDERS.get(name) == sort}
