"""Set-up: whether the parts fit together, and what the settings file says of the project."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from common.doctor import Diagnosis, run_checks
from common.errors import SuiteError
from consensus.console.access import Role, needs
from consensus.console.desk import Console, console
from consensus.diagnosis.connection_checks import connections
from consensus.serving.service import service, snapshot_of
from consensus.store.columns import Row
from consensus.transfer.journal import ImportStatus, statuses

setup_pages = Blueprint("setup", __name__)

CHECK = "check"
"""The kind of the jobs that look whether everything fits."""
SILENT_S = 60.0
"""An import without a sign of life for so long has stopped."""


@setup_pages.get("/projects/<int:project>/setup")
@needs(Role.ADMIN)
def setup(project: int) -> str:
    """Show what the last checks found, what the settings say, and the last import."""
    with snapshot_of(service(), project):
        pass
    jobs = [job for job in service().background.jobs(project) if job.kind == CHECK]
    last = next((job for job in jobs if job.finished_at), None)
    rows = (last.result or {}).get("findings", []) if last else []
    return render_template(
        "setup.html",
        title=console().titles.of(project),
        at_work=next((job for job in jobs if not job.finished_at), None),
        last=last,
        findings=_by_place(rows),
        levels=Counter(row["level"] for row in rows),
        imports=_imports(console(), project),
    )


@setup_pages.post("/projects/<int:project>/setup/check")
@needs(Role.ADMIN)
def check(project: int) -> ResponseReturnValue:
    """Look whether everything fits, behind the page."""
    here, desk = service(), console()
    with snapshot_of(here, project):
        pass

    def look() -> dict[str, Any]:
        return {"findings": [_shown(each) for each in _diagnoses(desk, project)]}

    here.background.submit(project, CHECK, g.member.email, look, joins=True)
    return redirect(url_for("setup.setup", project=project), 303)


def _diagnoses(desk: Console, project: int) -> Iterator[Diagnosis]:
    """Go through the checks of `consensus doctor`, then ask Label Studio for its connections."""
    yield from desk.examine(project)

    def backends() -> Any:  # noqa: ANN401 - findings
        with desk.service.studio() as studio:
            return list(connections(studio.client.connections(project), project))

    yield from run_checks("ML backend", project, {"connection": backends})


def _shown(diagnosis: Diagnosis) -> Row:
    return {"about": diagnosis.about, "check": diagnosis.check, **asdict(diagnosis.finding)}


def _by_place(rows: list[Row]) -> dict[str, list[Row]]:
    places: dict[str, list[Row]] = {}
    for row in rows:
        places.setdefault(row["about"], []).append(row)
    return places


def _imports(desk: Console, project: int) -> list[tuple[ImportStatus, str]]:
    """Return the last import into the project, where this account made it, and whether it is at work."""
    if desk.imports_in is None:
        return []
    try:
        into = [status for status in statuses(desk.imports_in()) if status.project_id == project]
    except SuiteError:
        return []
    now = time.time()
    return [
        (status, "ended" if status.ended else "stopped" if now - status.seen > SILENT_S else "at work")
        for status in into
    ]
