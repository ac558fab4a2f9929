"""Many images at once, of one suggested label or one report: chosen by looking, and answered together."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from flask import Blueprint, render_template, request
from werkzeug.exceptions import BadRequest

from common.contract import REPORT_NAMES
from consensus.assist.accept import Request, offer
from consensus.assist.suggestions import Suggested, Suggestion
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.pages import Behind, page
from consensus.console.rows import PLACE, rows_behind
from consensus.core.assist.expected import Expectation
from consensus.serving import acts
from consensus.serving.service import service, snapshot_of
from consensus.store.columns import Row

grid_pages = Blueprint("grid", __name__)

TILES = 60
SUGGESTED = "suggestions"
SURE_FIRST, UNSURE_FIRST = "sure", "unsure"
_PLACES = {SURE_FIRST: ("falling", "task", "control"), UNSURE_FIRST: ("score", "task", "control")}


@dataclass(frozen=True)
class Source:
    """Where the images of a grid come from.

    Parameters
    ----------
    total : int
        So many there are on all pages.
    place : tuple of str
        What names a row in their order.
    expect : callable
        Tells what share of some rows is expected to be wrong.
    """

    total: int
    place: tuple[str, ...]
    behind: Behind
    expect: Callable[[list[Row]], Expectation | None]


@grid_pages.get("/projects/<int:project>/grid")
@needs(Role.ADMIN)
def grid(project: int) -> str:
    """Show a page of images that are said to have the same label."""
    origin = request.args.get("of") or SUGGESTED
    order = request.args.get("order") or SURE_FIRST
    if origin not in (SUGGESTED, *REPORT_NAMES) or order not in _PLACES:
        raise BadRequest(
            f"a grid is of {', '.join((SUGGESTED, *REPORT_NAMES))}, and its order {' or '.join(_PLACES)}"
        )
    with snapshot_of(service(), project) as snapshot:
        controls = snapshot.controls(project)
        control, label = _asked(controls)
        if origin == SUGGESTED:
            source = _suggested(acts.suggested(service(), project, None), control, label, order)
        else:
            source = Source(
                snapshot.count(project, origin, control=control, label=label),
                PLACE,
                rows_behind(snapshot, project, origin, control=control, label=label, min_confidence=None),
                lambda _: None,
            )
        shown = page(source.place, source.behind, TILES)
        decided = snapshot.decisions.last_decisions(project, {row["task"] for row in shown.rows})
    console().pictures.expect_quietly(project, {row["task"] for row in shown.rows})
    return render_template(
        "grid.html",
        origin=origin,
        order=order,
        orders={SURE_FIRST: "surest first", UNSURE_FIRST: "least sure first"} if origin == SUGGESTED else {},
        origins=(SUGGESTED, *REPORT_NAMES),
        controls=controls,
        control=control,
        label=label,
        labels=next(row["labels"] for row in controls if row["control"] == control),
        source=source,
        shown=shown,
        decided=decided,
        expected=source.expect(shown.rows),
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


def _suggested(suggested: Suggested, control: str, label: str, order: str) -> Source:
    """Return the open suggestions of one label."""
    sign = -1.0 if order == SURE_FIRST else 1.0
    place = _PLACES[order]
    chosen: dict[tuple[float, int, str], Suggestion] = {
        (sign * each.score, each.task, each.control): each
        for each in suggested.suggestions
        if each.is_open and each.control == control and label in each.labels
    }

    def behind(after: Row | None, limit: int) -> list[Row]:
        last = None if after is None else (after[place[0]], after["task"], after["control"])
        keys = (key for key in sorted(chosen) if last is None or key > last)
        return [acts.suggestion_row(chosen[key]) for key in islice(keys, limit)]

    def expect(rows: list[Row]) -> Expectation:
        tasks = tuple(row["task"] for row in rows)
        return offer(suggested, Request(tasks=tasks, label=label, control=control)).expected

    return Source(len(chosen), place, behind, expect)
