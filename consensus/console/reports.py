"""The reports as tables: what is given, what the votes say, and what to do about it."""

from flask import Blueprint, render_template, request
from werkzeug.exceptions import NotFound

from common.contract import REPORT_NAMES
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.pages import page, share_in
from consensus.console.rows import PLACE, described, rows_behind
from consensus.serving.service import service, snapshot_of

report_pages = Blueprint("reports", __name__)

ROWS = 50
MEANINGS = {
    "AllConfirmed": "The label was given, and the votes confirm it.",
    "MisClassified": "The label was given, and the votes reject it.",
    "Discovered": "The label was not given, and the votes confirm it.",
    "Controversial": "Many votes and no decision.",
    "NoVotes": "Nobody has voted yet.",
    "Undecided": "Some votes, not enough to decide.",
}


@report_pages.get("/projects/<int:project>/reports")
@report_pages.get("/projects/<int:project>/reports/<name>")
@needs(Role.ADMIN)
def report(project: int, name: str = "MisClassified") -> str:
    """Show a page of a report."""
    if name not in REPORT_NAMES:
        raise NotFound(f"there is no report {name!r}; there are {', '.join(REPORT_NAMES)}")
    control, label = (request.args.get(key) or None for key in ("control", "label"))
    least = share_in(request.args.get("confidence"), "the least confidence", 0.8)
    with snapshot_of(service(), project) as snapshot:
        counts = snapshot.pages.report_totals(project)
        controls = snapshot.controls(project)
        behind = rows_behind(snapshot, project, name, control=control, label=label, min_confidence=least)
        shown = page(PLACE, behind, ROWS)
        rows = described(snapshot, project, shown.rows)
        label_studio = snapshot.label_studio(project)
        decided = set(snapshot.decisions.last_decisions(project, {row["task"] for row in rows}))
    console().pictures.expect_quietly(project, {row["task"] for row in rows})
    return render_template(
        "report.html",
        name=name,
        meaning=MEANINGS[name],
        counts=counts,
        controls=controls,
        labels=sorted({each for row in controls if control in (None, row["control"]) for each in row["labels"]}),
        rows=rows,
        shown=shown,
        decided=decided,
        label_studio=label_studio,
    )
