"""The first pages: which projects there are, and how one of them stands."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from common.contract import REPORT_NAMES
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.serving.service import service, snapshot_of

overview_pages = Blueprint("overview", __name__)

RUNS = 60
"""So many runs back the course goes."""


@overview_pages.get("/")
@needs(Role.ADMIN)
def projects() -> ResponseReturnValue:
    """List the projects that consensus has run on; where there is one alone, show it."""
    with service().store.snapshot() as snapshot:
        latest = snapshot.pages.latest_runs()
        waiting: dict[int, int] = {}
        for row in snapshot.pages.queue_counts():
            waiting[row["project"]] = waiting.get(row["project"], 0) + row["waiting"]
    if len(latest) == 1:
        return redirect(url_for("overview.project", project=latest[0]["project"]), 303)
    return render_template("projects.html", latest=latest, waiting=waiting, titles=console().titles.all())


@overview_pages.get("/projects/<int:project>/")
@needs(Role.ADMIN)
def project(project: int) -> str:
    """Sum up a project: its last run, the reports, what waits, and what is at work."""
    here = service()
    with snapshot_of(here, project) as snapshot:
        run = snapshot.needed_run(project)
        runs = snapshot.pages.runs(project, limit=RUNS)[::-1]
        origin = snapshot.origin(project) or {"url": None}
        queues = snapshot.decisions.queue_counts(project)
        reports = dict.fromkeys(REPORT_NAMES, 0)
        labels: dict[tuple[str, str], dict[str, int]] = {}
        for row in snapshot.pages.report_counts(project):
            counts = labels.setdefault((row["control"], row["label"]), {})
            if row["report"]:
                reports[row["report"]] = reports.get(row["report"], 0) + row["classifications"]
                counts[row["report"]] = row["classifications"]
    return render_template(
        "project.html",
        title=console().titles.of(project),
        run=run,
        runs=runs,
        label_studio=origin["url"],
        queues=queues,
        reports=reports,
        labels=labels,
        jobs=here.background.jobs(project)[:5],
    )
