"""Set-up: whether the parts fit together, and what the settings file says of the project."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import structlog
from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from common.contract import REPORT_NAMES
from common.doctor import Diagnosis, run_checks
from common.errors import SuiteError
from consensus.console.access import Role, needs
from consensus.console.desk import Console, console
from consensus.console.settings_form import Field, changes_in, fields_of
from consensus.diagnosis.connection_checks import connections
from consensus.diagnosis.ml_backend_checks import ABOUT, examined
from consensus.errors import ConfigError
from consensus.files.settings_file import Key, Value, edited, is_writable, replace_settings, section_of
from consensus.serving.service import check_run, service, snapshot_of
from consensus.settings import config_of
from consensus.store.columns import Row
from consensus.transfer.journal import ImportStatus, statuses

LOG = structlog.get_logger()

setup_pages = Blueprint("setup", __name__)

CHECK = "check"
"""The kind of the jobs that look whether everything fits."""
SILENT_S = 60.0
"""An import without a sign of life for so long has stopped."""


@setup_pages.get("/projects/<int:project>/setup")
@needs(Role.ADMIN)
def setup(project: int) -> str:
    """Show what the last checks found, what the settings say, and the last import."""
    with snapshot_of(service(), project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(project)]
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
        importing=console().imports.at_work(project),
        controls=controls,
        **_settings_of(project, controls),
    )


def _settings_of(project: int, controls: list[str]) -> dict[str, Any]:
    """Return what the form of the settings shows, or why it cannot be shown."""
    path = console().settings_file
    try:
        _, text = _settings_file()
        groups = fields_of(service().config(project), controls)
    except SuiteError as error:
        return {"settings_problem": str(error)}
    return {
        "settings_file": path,
        "writable": is_writable(path),
        "groups": groups,
        "digest": _digest(text),
        "settings_problem": None,
    }


@setup_pages.post("/projects/<int:project>/setup/check")
@needs(Role.ADMIN)
def check(project: int) -> ResponseReturnValue:
    """Look whether everything fits, behind the page."""
    here, desk = service(), console()
    check_run(here, project)

    def look() -> dict[str, Any]:
        return {"findings": [each.row for each in _diagnoses(desk, project)]}

    here.background.submit(project, CHECK, g.member.email, look, joins=True)
    return redirect(url_for("setup.setup", project=project), 303)


@setup_pages.post("/projects/<int:project>/setup/settings")
@needs(Role.ADMIN)
def preview(project: int) -> str:
    """Show what a change of the settings would change, before it is made."""
    path, text = _settings_file()
    fields = _fields(project)
    changes = changes_in(request.form, fields, section_of(text, project))
    return _shown_change(project, path, text, changes, request.form.get("digest", ""))


@setup_pages.post("/projects/<int:project>/setup/settings/write")
@needs(Role.ADMIN)
def write(project: int) -> ResponseReturnValue:
    """Write what was shown into the settings file."""
    path, text = _settings_file()
    made = _made(project, path, text)
    if path is None or not is_writable(path):
        raise BadRequest("the settings file cannot be written from here")
    replace_settings(path, made)
    LOG.info(
        "settings_changed", project=project, by=g.member.email, keys=list(map(".".join, _sent_changes(project)))
    )
    flash("The settings are written. The next run applies them.")
    return redirect(url_for("setup.setup", project=project), 303)


@setup_pages.post("/projects/<int:project>/setup/settings/count")
@needs(Role.ADMIN)
def count(project: int) -> ResponseReturnValue:
    """Let a run count what the changed settings would report; it stores and writes nothing."""
    path, text = _settings_file()
    made, here, count_with = _made(project, path, text), service(), console().count_with
    if count_with is None:
        raise NotFound("this service cannot count what a run would report")

    def look() -> dict[str, Any]:
        now_there = dict.fromkeys(REPORT_NAMES, 0)
        with snapshot_of(here, project) as snapshot:
            for row in snapshot.pages.report_counts(project):
                if row["report"] in now_there:
                    now_there[row["report"]] += row["classifications"]
        return {"counted": {"now": now_there, "then": count_with(project, made)}}

    job = here.background.submit(project, "count", g.member.email, look)
    back = url_for("setup.setup", project=project)
    return redirect(url_for("acting.job", project=project, name=job.id, back=back), 303)


def _settings_file() -> tuple[Path | None, str]:
    """Return the settings file and what it says; "" where there is none."""
    path = console().settings_file
    if path is None:
        return None, ""
    try:
        return path, path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} cannot be read: {error}") from None


def _fields(project: int) -> list[Field]:
    with snapshot_of(service(), project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(project)]
    return [each for group in fields_of(service().config(project), controls).values() for each in group]


def _sent_changes(project: int) -> dict[Key, Value]:
    """Read the changes that a preview has shown; of no other keys than those of the form."""
    changeable = {field.key for field in _fields(project)}
    try:
        sent = {tuple(key): value for key, value in json.loads(request.form.get("changes", ""))}
    except (ValueError, TypeError):
        sent = {}
    if not sent or not sent.keys() <= changeable:
        raise BadRequest("the form names no change, or one that cannot be made here")
    return sent


def _made(project: int, path: Path | None, text: str) -> str:
    """Return the text of the settings file with the changes that the form names.

    Raises
    ------
    BadRequest
        Where the file is not what the preview has shown.
    """
    if request.form.get("digest") != _digest(text):
        raise BadRequest("The settings file has changed meanwhile: go back to Set-up, and look again.")
    made = edited(text, project, _sent_changes(project))
    config_of(made, path or Path("consensus.toml"), project)
    return made


def _shown_change(project: int, path: Path | None, text: str, changes: dict[Key, Value], digest: str) -> str:
    if digest != _digest(text):
        raise BadRequest("The settings file has changed meanwhile: go back to Set-up, and look again.")
    made = edited(text, project, changes) if changes else text
    name = path or Path("consensus.toml")
    after = config_of(made, name, project)
    with snapshot_of(service(), project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(project)]
    now_there = {field.key: field for field in _fields(project)}
    then = {each.key: each for group in fields_of(after, controls).values() for each in group}
    rows = [(now_there[key], then[key].value if key in then else value) for key, value in changes.items()]
    section = section_of(made, project)
    return render_template(
        "settings_preview.html",
        rows=rows,
        changes=json.dumps([[list(key), value] for key, value in changes.items()], ensure_ascii=False),
        digest=digest,
        difference="".join(
            unified_diff(text.splitlines(keepends=True), made.splitlines(keepends=True), name.name, name.name, n=2)
        ),
        lines=edited("", project, section) if section else "",
        path=path,
        writable=is_writable(path),
        countable=console().count_with is not None,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _diagnoses(desk: Console, project: int) -> Iterator[Diagnosis]:
    """Go through the checks of both doctors; between them ask Label Studio for its connections."""
    yield from desk.examine(project)

    def backends() -> Any:  # noqa: ANN401 - findings
        with desk.service.studio() as studio:
            return list(connections(studio.client.connections(project), project))

    yield from run_checks(ABOUT, project, {"connection": backends})
    backend = desk.service.ml_backend
    yield from examined(backend.examined, project, named=bool(backend.url))


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
