"""What people do from the pages: chosen rows become a batch, which is shown, then done, and can be undone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from common.contract import REPORT_NAMES
from consensus.assist.accept import Request
from consensus.console.access import Role, needs
from consensus.console.lines import line_in, line_text
from consensus.console.pages import share_in, text_in
from consensus.console.sources import if_set
from consensus.core.review.rulings import Ruling
from consensus.serving import acts
from consensus.serving.background import Job
from consensus.serving.matching import Matching, OutdatedError, keeping
from consensus.serving.service import check_run, service, snapshot_of
from consensus.store.columns import Row

acting_pages = Blueprint("acting", __name__)

Action = Literal["accept", "suggested", "keep", "label", "review", "ask"]
ACTIONS: dict[Action, str] = {
    "accept": "Accept what is proposed",
    "suggested": "Accept what is suggested",
    "keep": "Keep the given label",
    "label": "Set a label",
    "review": "Send to review",
    "ask": "Ask for one more vote",
}
MOST = 2_000
"""Rows of one selection; more are chosen by a threshold, as a filter and not as a list."""
ALL = "all"
"""The field of a form that says that all are chosen that match a filter."""
_FIELDS = {"label": "of_given"}
"""Fields of a filter with another name than in a report: what it calls a label is the one that is accepted."""
LONGEST_NUMBER = 15
_ORIGINS: dict[Action, acts.Origin] = {"accept": "proposals", "suggested": "suggestions"}
_TEXTS = ("control", "label", "given", "annotator")
_NUMBERS = ("above", "target_precision", "confidence", "audit_share")


@dataclass(frozen=True)
class Chosen:
    """What somebody wants to do with which rows.

    Parameters
    ----------
    items : tuple of (int, str)
        Task and control; none where all are chosen that match a filter.
    label : str
        That is set; "" for other actions.
    back : str
        Where the page is from which it was chosen.
    filtered : Request or None
        What all that are chosen match.
    version : str or None
        Model version of the suggestions that are chosen by a filter.
    matching : Matching or None
        Which rows of a report are chosen by a filter.
    limit : int or None
        So many were shown.
    """

    action: Action
    items: tuple[tuple[int, str], ...]
    label: str
    back: str
    key: str
    filtered: Request | None = None
    version: str | None = None
    matching: Matching | None = None
    limit: int | None = None

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The fields of a form that chooses the same rows, one after another."""
        if self.matching is not None:
            values = {_FIELDS.get(name, f"of_{name}"): value for name, value in vars(self.matching).items()}
        elif self.filtered is not None:
            values = {f"of_{name}": getattr(self.filtered, name) for name in (*_TEXTS, *_NUMBERS)}
            values |= {"of_version": self.version}
        else:
            return [("item", f"{task}:{control}") for task, control in self.items]
        lines = [("of_line", line_text(line)) for line in (self.filtered and self.filtered.lines) or ()]
        return [(ALL, "yes"), *((name, str(value)) for name, value in values.items() if value is not None), *lines]

    @property
    def tasks(self) -> list[int]:
        """The tasks, each once."""
        return sorted({task for task, _ in self.items})


@acting_pages.post("/projects/<int:project>/act")
@needs(Role.ADMIN)
def preview(project: int) -> str:
    """Show what would be done, and what to expect of it, before it is."""
    return _preview(project, _chosen(project))


@acting_pages.post("/projects/<int:project>/do")
@needs(Role.ADMIN)
def do(project: int) -> ResponseReturnValue:
    """Do what was shown, and lead to the page that says how far it is."""
    chosen = _chosen(project)
    try:
        done = _act(project, chosen, dry_run=False)
    except OutdatedError as error:
        return _preview(project, chosen, str(error)), 409
    if done["job"] is None:
        return render_template("done.html", chosen=chosen, done=done, words=ACTIONS[chosen.action])
    return redirect(url_for("acting.job", project=project, name=done["job"]["id"], back=chosen.back), 303)


@acting_pages.post("/projects/<int:project>/batches/<batch>/undo")
@needs(Role.ADMIN)
def undo(project: int, batch: str) -> ResponseReturnValue:
    """Show what would be taken back, or take it back."""
    back = _own(request.form.get("back", ""), project)
    if request.form.get("sure") != "yes":
        counted = acts.undo_batch(service(), project, batch, g.member.email, dry_run=True)
        return render_template("undo.html", counted=counted, batch=batch, back=back)
    done = acts.undo_batch(service(), project, batch, g.member.email, dry_run=False)
    return redirect(url_for("acting.job", project=project, name=done["job"]["id"], back=back), 303)


@acting_pages.post("/projects/<int:project>/run")
@needs(Role.ADMIN)
def run(project: int) -> ResponseReturnValue:
    """Compute the reports anew."""
    here = service()
    check_run(here, project)
    job = here.background.submit(project, "run", g.member.email, lambda: here.run(project), joins=True)
    return redirect(url_for("acting.job", project=project, name=job.id), 303)


@acting_pages.get("/projects/<int:project>/jobs/<name>")
@needs(Role.ADMIN)
def job(project: int, name: str) -> str:
    """Show how far something is; the page asks again until it is done."""
    running = service().background.job(project, name)
    if running is None:
        raise NotFound(
            "this was before the service was started again: what it wrote is among the batches, and what was cut "
            "off is finished by the next one"
        )
    back = _own(request.args.get("back", ""), project)
    return render_template("job.html", job=running, batches=_batches_of(running), back=back)


def _preview(project: int, chosen: Chosen, problem: str = "") -> str:
    """Show what would be done now, whatever was shown before."""
    if chosen.matching is not None:
        chosen = replace(chosen, matching=replace(chosen.matching, run=None), limit=None)
    counted = _act(project, chosen, dry_run=True)
    if chosen.matching is not None:
        chosen = replace(chosen, matching=replace(chosen.matching, run=counted["run"]))
    words = ACTIONS[chosen.action]
    return render_template("preview.html", chosen=chosen, counted=counted, words=words, problem=problem)


def _act(project: int, chosen: Chosen, *, dry_run: bool) -> dict[str, Any]:
    """Count what an action would do, or do it."""
    here, by = service(), str(g.member.email)
    if chosen.matching is not None:
        return acts.act_on_all(
            here,
            project,
            chosen.action,  # type: ignore[arg-type]
            chosen.matching,
            by,
            key=chosen.key,
            limit=chosen.limit,
            dry_run=dry_run,
        )
    match chosen.action:
        case "accept" | "suggested":
            controls = {control for _, control in chosen.items}
            only = controls.pop() if len(controls) == 1 else None
            requested = chosen.filtered or Request(tasks=tuple(chosen.tasks), control=only)
            origin = _ORIGINS[chosen.action]
            return acts.accept_labels(
                here, project, requested, origin, by, version=chosen.version, dry_run=dry_run
            )
        case "ask":
            return acts.ask_for_votes(here, project, chosen.tasks, by, reason="", key=chosen.key, dry_run=dry_run)
        case "review":
            return acts.send_to_review(here, project, chosen.tasks, by, reason="", dry_run=dry_run)
        case "keep":
            with snapshot_of(here, project) as snapshot:
                labels = keeping(snapshot, project, chosen.items)
            return _rule(project, labels.rulings, by, acts.keeping_row(labels), dry_run=dry_run)
        case "label":
            rulings = [Ruling(task, control, "correct", (chosen.label,)) for task, control in chosen.items]
            subject = "task is" if len(rulings) == 1 else "tasks are"
            with snapshot_of(here, project) as snapshot:
                outlook = if_set(snapshot, project, set(chosen.items), chosen.label)
            counted = {
                "count": len(rulings),
                "detail": f"{len(rulings)} {subject} decided in your name.",
                "expected": outlook if outlook.n else None,
            }
            return _rule(project, rulings, by, counted, dry_run=dry_run)


def _rule(project: int, rulings: Sequence[Ruling], by: str, counted: Row, *, dry_run: bool) -> Row:
    here = service()
    counted = {"expected": None, "sample": [], "job": None, **counted}
    if dry_run or not rulings:
        return counted
    job = here.background.submit(
        project, "decide", by, lambda: acts.decide_labels(here, project, rulings, by, override=False)
    )
    return counted | {"job": job.described()}


def _chosen(project: int) -> Chosen:
    """Read the form.

    Raises
    ------
    BadRequest
        Where nothing is chosen, too much is, or the form is none of ours.
    """
    form = request.form
    action = next((action for action in ACTIONS if action == form.get("action")), None)
    if action is None:
        raise BadRequest(f"the action is {form.get('action')!r}; there are {', '.join(ACTIONS)}")
    back = _own(form.get("back", ""), project)
    if form.get(ALL):
        filtered, key = _filter(), form.get("key") or uuid4().hex
        if action in _ORIGINS:
            return Chosen(action, (), "", back, key, filtered, form.get("of_version") or None)
        if action == "label":
            raise BadRequest("a label is set on chosen rows, not on all that match: tick rows")
        return Chosen(action, (), "", back, key, matching=_matching(filtered), limit=filtered.limit)
    items = []
    for item in form.getlist("item"):
        task, _, control = item.partition(":")
        if not task.isdecimal() or not control:
            raise BadRequest(f"{item!r} names no task and control")
        items.append((int(task), control))
    if not items:
        raise BadRequest("No row is chosen: tick some, then choose what to do with them.")
    if len(items) > MOST:
        raise BadRequest(f"{len(items)} rows are chosen; {MOST} at a time")
    label = form.get("label", "")
    if action == "label" and not label:
        raise BadRequest("No label is chosen: which one is right?")
    key = form.get("key") or uuid4().hex
    return Chosen(action, tuple(dict.fromkeys(items)), label if action == "label" else "", back, key)


def _filter() -> Request:
    """Read what all match that are chosen; never more than were shown."""
    texts = {name: text_in(request.form, f"of_{name}") for name in _TEXTS}
    shares = {name: share_in(request.form.get(f"of_{name}"), name.replace("_", " ")) for name in _NUMBERS}
    numbers = {name: share for name, share in shares.items() if share is not None}
    lines = tuple(line_in(text) for text in request.form.getlist("of_line")) or None
    limit = request.form.get("of_limit") or None
    return Request(**texts, **numbers, limit=None if limit is None else _whole("limit", limit), lines=lines)  # type: ignore[arg-type]


def _matching(filtered: Request) -> Matching:
    """Read which rows of a report match."""
    report, run = request.form.get("of_report"), request.form.get("of_run") or None
    if report not in REPORT_NAMES:
        raise BadRequest(f"the report is {report!r}; there are {', '.join(REPORT_NAMES)}")
    return Matching(
        report,
        filtered.control,
        filtered.given,
        filtered.annotator,
        filtered.confidence,
        None if run is None else _whole("run", run),
    )


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise BadRequest(f"{name} is {text!r}; use a whole number, as in 100")
    return int(text)


def _own(address: str, project: int) -> str:
    """Return an address of this project's pages, or that of its first page: never another site's."""
    home = url_for("overview.project", project=project)
    return address if address.startswith(home) and "\\" not in address else home


def _batches_of(job: Job) -> list[Row]:
    """Return what a job wrote, as `{"batch", "counts", "left"}` each."""
    result = job.result or {}
    if "batches" in result:
        return list(result["batches"])
    return [result] if result.get("batch") else []
