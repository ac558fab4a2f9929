"""The first pages: which projects there are, and how one of them stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from common.contract import REPORT_NAMES
from common.doctor import Level, fine
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.health import Parts, run_part
from consensus.serving.service import service, snapshot_of

overview_pages = Blueprint("overview", __name__)

RUNS = 60
"""So many runs back the course goes."""
LEADS_TO = {Role.ADMIN: "overview.project", Role.REVIEWER: "review.queues", Role.ANNOTATOR: "me.me"}
JOBS, DAYS = 5, 35
PACE, SHORTEST_PACE = timedelta(days=7), timedelta(hours=6)
"""Over so long a time, and over no less, the pace is taken."""


@overview_pages.get("/")
@needs(Role.ANNOTATOR)
def projects() -> ResponseReturnValue:
    """List the projects that consensus has run on; where there is one alone, show it, or its queues.

    An annotator sees those with votes of theirs, and is led to their own page.
    """
    leads_to = LEADS_TO[g.member.role]
    waiting: dict[int, int] = {}
    with service().store.snapshot() as snapshot:
        if g.member.role is Role.ANNOTATOR:
            latest = snapshot.pages.projects_of(g.member.email)
        else:
            latest = snapshot.pages.latest_runs()
            for row in snapshot.pages.queue_counts():
                waiting[row["project"]] = waiting.get(row["project"], 0) + row["waiting"]
    if len(latest) == 1:
        return redirect(url_for(leads_to, project=latest[0]["project"]), 303)
    return render_template(
        "projects.html", latest=latest, waiting=waiting, titles=console().titles.all(), leads_to=leads_to
    )


@overview_pages.get("/projects/<int:project>/")
@needs(Role.ADMIN)
def project(project: int) -> str:
    """Sum up a project: its last run, the reports and their course, what is left, what waits, what is at work."""
    here = service()
    with snapshot_of(here, project) as snapshot:
        run = snapshot.needed_run(project)
        runs = snapshot.pages.runs(project, limit=RUNS)[::-1]
        label_studio = snapshot.label_studio(project)
        queues = snapshot.decisions.queue_counts(project)
        labels: dict[tuple[str, str], dict[str, int]] = {}
        for row in snapshot.pages.report_counts(project):
            counts = labels.setdefault((row["control"], row["label"]), {})
            if row["report"]:
                counts[row["report"]] = row["classifications"]
    reports = {name: sum(counts.get(name, 0) for counts in labels.values()) for name in REPORT_NAMES}
    measures = [row["measures"] or {} for row in runs]
    tasks_open = [(row["started_at"], each.get("tasks_open")) for row, each in zip(runs, measures, strict=True)]
    return render_template(
        "project.html",
        title=console().titles.of(project),
        run=run,
        runs=runs,
        label_studio=label_studio,
        queues=queues,
        reports=reports,
        courses={name: [each.get("reports", {}).get(name) for each in measures] for name in REPORT_NAMES},
        agreement={
            control: [each.get("agreement", {}).get(control) for each in measures]
            for control in measures[-1].get("agreement", {})
        },
        days=_each_day(measures[-1].get("days", {})),
        left=remaining(tasks_open),
        labels=labels,
        jobs=here.background.jobs(project)[:JOBS],
    )


@overview_pages.get("/projects/<int:project>/health")
@needs(Role.ADMIN)
def health(project: int) -> str:
    """Show how every part is; the overview takes its list from here."""
    with snapshot_of(service(), project) as snapshot:
        run = snapshot.needed_run(project)
    answers: Parts = {
        "Store": [fine("answers")],
        **console().health.of(project),
        "Runs": [run_part(project, run, console().schedule, datetime.now(UTC))],
    }
    return render_template("health.html", findings_of=answers, Level=Level)


@dataclass(frozen=True)
class Remaining:
    """What is left to do.

    Parameters
    ----------
    tasks : int
        Of which something is not decided.
    per_day : float or None
        So many fewer each day of late; None where that cannot be said yet.
    days : float or None
        Until none is left at this pace; None where they do not become fewer.
    """

    tasks: int
    per_day: float | None = None
    days: float | None = None


def remaining(runs: Sequence[tuple[datetime, int | None]]) -> Remaining | None:
    """Tell from the open tasks at each run what is left, and how long it takes at the pace of the last week.

    Parameters
    ----------
    runs : sequence of (datetime, int or None)
        When each began and what was open then, the oldest first; None: unknown.

    Examples
    --------
    >>> day = datetime(2026, 1, 1)
    >>> remaining([(day, 90), (day + timedelta(days=2), 60)])
    Remaining(tasks=60, per_day=15.0, days=4.0)
    """
    counts = [(at, tasks_open) for at, tasks_open in runs if tasks_open is not None]
    if not counts:
        return None
    now, tasks = counts[-1]
    began, before = next(each for each in counts if now - each[0] <= PACE)
    days = (now - began) / timedelta(days=1)
    if days < SHORTEST_PACE / timedelta(days=1):
        return Remaining(tasks)
    per_day = (before - tasks) / days
    return Remaining(tasks, per_day, tasks / per_day if per_day > 0 else None)


def _each_day(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return a count for each day from the first to the last, also where nothing was done."""
    if not counts:
        return []
    first, last = date.fromisoformat(min(counts)), date.fromisoformat(max(counts))
    first = max(first, last - timedelta(days=DAYS - 1))
    days = [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]
    return [(day, counts.get(day, 0)) for day in days]
