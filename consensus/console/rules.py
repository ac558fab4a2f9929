"""AI-assist's other pages: rules of auto-annotation, what they would do, and what audits have measured."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError
from werkzeug.exceptions import BadRequest, Conflict

from common.files import write_whole
from consensus.assist.audits import stored_audits
from consensus.assist.auto import check_labels
from consensus.assist.auto_rules import AutoFile, changed_text, read_auto
from consensus.console.access import Role, needs
from consensus.console.assist import DRAWN, PATIENCE_S, assist_pages, histogram
from consensus.errors import ConfigError
from consensus.serving.background import Job
from consensus.serving.service import check_run, service, snapshot_of
from consensus.serving.suggested import FRESH_S
from consensus.serving.trying import try_rules

__all__ = ["assist_pages"]  # to which this adds

SOURCES = {
    "suggestions": "suggestions that annotators see",
    "prediction": "predictions of a version",
    "consensus": "what the votes confirm, as ground truth",
}


@assist_pages.get("/projects/<int:project>/assist/audits")
@needs(Role.ADMIN)
def audits(project: int) -> str:
    """Show what people say, blind, of a random share of what was accepted."""
    with snapshot_of(service(), project) as snapshot:
        rows = stored_audits(snapshot, project)
        batches = {row.batch: snapshot.decisions.batch(row.batch) for row in rows if not row.label}
    wholes = [row for row in rows if not row.label][::-1]
    return render_template(
        "assist_audits.html",
        batches=batches,
        wholes=wholes,
        labels={whole.batch: [row for row in rows if row.label and row.batch == whole.batch] for whole in wholes},
        missed=[row for row in wholes if row.is_below],
    )


@assist_pages.get("/projects/<int:project>/assist/rules")
@needs(Role.ADMIN)
def rules(project: int) -> str:
    """Show the rules of auto-annotation, or those that are tried, with what they would do now."""
    here = service()
    with snapshot_of(here, project) as snapshot:
        controls = snapshot.controls(project)
    path, problem = here.config(project).auto, ""
    try:
        named = AutoFile() if path is None else read_auto(path)
    except ConfigError as error:
        named, problem = AutoFile(), str(error)
    name = request.args.get("reading")
    job = (here.readings.job(project, name) if name else None) or _tried(here.readings.jobs(project), named)
    if job is None and path is not None and not problem:
        job = try_rules(here, project, named, g.member.email)
        job.ended.wait(PATIENCE_S)
    state = job.state if job is not None else None  # once: it may end meanwhile
    tried = job.result if job is not None and state == "done" else None
    shown = AutoFile.model_validate(tried["rules"]) if tried else named
    offered = {label for row in controls for label in row["labels"]}
    text = _text(path)
    return render_template(
        "assist_rules.html",
        path=path,
        problem=problem,
        job=job,
        state=state,
        tried=tried,
        rules=shown,
        is_changed=shown != named,
        sources=SOURCES,
        labels=sorted(offered | {*shown.labels} | {row["label"] for row in (tried or {}).get("labels", [])}),
        histograms=[
            histogram(row["scores"], shown.lines(row["label"]).accept_above)
            for row in (tried or {}).get("labels", [])[:DRAWN]
        ],
        is_writable=not problem and _is_writable(path),
        lines=changed_text("" if problem else text, shown),
        digest=_digest(text),
    )


@assist_pages.post("/projects/<int:project>/assist/rules")
@needs(Role.ADMIN)
def change_rules(project: int) -> ResponseReturnValue:
    """Try rules, or write them into their file."""
    here, changed = service(), _rules_of_form()
    check_run(here, project)
    if request.form.get("action") != "save":
        job = try_rules(here, project, changed, g.member.email)
        job.ended.wait(PATIENCE_S)
        return redirect(url_for("assist.rules", project=project, reading=job.id), 303)
    path = here.config(project).auto
    if path is None or not _is_writable(path):
        raise Conflict("The rules file cannot be written from here: paste the lines that the page shows into it.")
    text = _text(path)
    if _digest(text) != request.form.get("digest"):
        raise Conflict(f"{path} was changed since the page was shown: reload it, and change it again.")
    with here.studio() as studio:
        check_labels(studio.project(project), changed)
    write_whole(path, changed_text(text, changed))
    flash(f"{path.name} is written; auto-annotation follows it from its next look on.")
    return redirect(url_for("assist.rules", project=project), 303)


def _tried(jobs: Sequence[Job], named: AutoFile) -> Job | None:
    """Return the last look at the same rules that was a moment ago."""
    now = datetime.now(UTC)
    for job in jobs:
        if job.result and job.finished_at and job.kind == "try rules":
            is_fresh = (now - job.finished_at).total_seconds() < FRESH_S
            if is_fresh and AutoFile.model_validate(job.result["rules"]) == named:
                return job
    return None


def _rules_of_form() -> AutoFile:
    """Read the form.

    Raises
    ------
    BadRequest
        Where it says something impossible.
    """
    form = request.form
    source = form.get("source", "")
    content: dict[str, Any] = {
        name: form[name] for name in ("accept_above", "review_below", "audit_share") if form.get(name)
    }
    content |= {"source": source, "ground_truth": source == "consensus"}
    if source == "prediction":
        content["version"] = form.get("version") or None
    rows = zip(form.getlist("label"), form.getlist("accept"), form.getlist("review"), strict=False)
    lines = {
        label: {"accept_above": accept or None, "review_below": review or None} for label, accept, review in rows
    }
    content["labels"] = {label: own for label, own in lines.items() if any(own.values())}
    try:
        return AutoFile.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(each) for each in fault["loc"])
        raise BadRequest(f"{place}{': ' if place else ''}{fault['msg']}") from None


def _text(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path is not None else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _is_writable(path: Path | None) -> bool:
    return path is not None and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
