"""Many images at once, of one suggested label or one report: chosen by looking, and answered together."""

from datetime import timedelta

from flask import Blueprint, g, render_template, request
from werkzeug.exceptions import BadRequest

from common.contract import REPORT_NAMES
from consensus.console.access import Role, needs
from consensus.console.assist import being_read
from consensus.console.desk import console
from consensus.console.history import KINDS
from consensus.console.pages import page, utc
from consensus.console.sources import BY_SCORE, SUGGESTED, SURE_FIRST, of_report, of_suggestions
from consensus.serving import acts
from consensus.serving.service import service, snapshot_of
from consensus.store.columns import Row
from consensus.store.reader import Snapshot

grid_pages = Blueprint("grid", __name__)

TILES = 60
RECENT = timedelta(hours=1)
"""So long the last action is offered to be taken back beside the images."""
LOOKED_AT = 20
"""Batches among which one's own last is looked for."""
ORIGINS = (SUGGESTED, *REPORT_NAMES)


@grid_pages.get("/projects/<int:project>/grid")
@needs(Role.ADMIN)
def grid(project: int) -> str:
    """Show a page of images that are said to have the same label."""
    here = service()
    origin = request.args.get("of") or SUGGESTED
    order = request.args.get("order") or SURE_FIRST
    if origin not in ORIGINS or order not in BY_SCORE:
        raise BadRequest(f"a grid is of {', '.join(ORIGINS)}, and its order {' or '.join(BY_SCORE)}")
    suggested, job, state = being_read(project, None) if origin == SUGGESTED else (None, None, "done")
    with snapshot_of(here, project) as snapshot:
        controls = snapshot.controls(project)
        control, label = _asked(controls)
        source = shown = outlook = None
        decided = dict[int, int]()
        if suggested is not None:
            source = of_suggestions(suggested, control, label, order)
        elif origin != SUGGESTED:
            source = of_report(snapshot, project, origin, control, label)
        if source is not None:
            shown = page(source.place, source.behind, TILES)
            tasks = {row["task"] for row in shown.rows}
            decided = snapshot.decisions.last_decisions(project, tasks)
            outlook = source.expect(shown.rows)
        last = _last_act(snapshot, project, g.member.email)
    if shown is not None:
        console().pictures.expect_quietly(project, {row["task"] for row in shown.rows})
    return render_template(
        "grid.html",
        origin=origin,
        origins=ORIGINS,
        order=order,
        orders=BY_SCORE if origin == SUGGESTED else {},
        controls=controls,
        control=control,
        label=label,
        labels=next(row["labels"] for row in controls if row["control"] == control),
        job=job,
        state=state,
        source=source,
        shown=shown,
        outlook=outlook,
        decided=decided,
        last=last,
        kinds=KINDS,
    )


def _asked(controls: list[Row]) -> tuple[str, str]:
    """Return the control and the label that the address asks for, or the first ones."""
    control = request.args.get("control") or str(controls[0]["control"])
    labels = next((row["labels"] for row in controls if row["control"] == control), None)
    if labels is None:
        raise BadRequest(
            f"the last run has no control {control!r}; it has {', '.join(row['control'] for row in controls)}"
        )
    label = request.args.get("label") or str(labels[0])
    if label not in labels:
        raise BadRequest(f"{control} has no label {label!r}")
    return control, label


def _last_act(snapshot: Snapshot, project: int, by: str) -> Row | None:
    """Return somebody's last batch with `counts`, where it is not long ago and can be taken back."""
    since = acts.now() - RECENT
    own = (row for row in snapshot.decisions.batches(project, limit=LOOKED_AT) if row["made_by"] == by)
    last = next(own, None)
    if last is None or last["kind"] == "undo" or last["undone_by"] or utc(last["made_at"]) < since:
        return None
    return {**last, "counts": snapshot.decisions.item_counts(last["id"])}
