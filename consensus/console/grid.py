"""Many images at once, of a suggested label, a report or a cluster: chosen by looking, and answered together."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint, g, render_template, request
from werkzeug.exceptions import BadRequest, NotFound

from common.contract import REPORT_NAMES
from consensus.assist.suggestions import Suggested
from consensus.console.access import Role, needs
from consensus.console.assist import being_read
from consensus.console.clusters import (
    BY_PLACE,
    CLUSTERS,
    NEAR,
    SAMPLE,
    Cluster,
    Clustered,
    all_clusters,
    clustered,
    of_cluster,
)
from consensus.console.desk import console
from consensus.console.history import KINDS
from consensus.console.pages import page, utc, with_filters
from consensus.console.sources import BY_SCORE, SUGGESTED, SURE_FIRST, Source, of_report, of_suggestions
from consensus.serving import acts
from consensus.serving.service import service, snapshot_of
from consensus.store.columns import Row
from consensus.store.reader import Snapshot

grid_pages = Blueprint("grid", __name__)

TILES = 60
LISTED = 20
"""Clusters of a page."""
DIGITS = 20
RECENT = timedelta(hours=1)
"""So long the last action is offered to be taken back beside the images."""
LOOKED_AT = 20
"""Batches among which one's own last is looked for."""
ORIGINS = (SUGGESTED, *REPORT_NAMES, CLUSTERS)


@dataclass(frozen=True)
class Absent:
    """What is not there yet, or cannot be had.

    Parameters
    ----------
    again : str
        Address at which it may be there.
    waits_for : str
        What is being done meanwhile; empty: nothing is.
    failure : str or None
        Why it cannot be had.
    versions : bool
        Whether model versions have suggestions that the project does not show.
    """

    again: str
    waits_for: str = ""
    failure: str | None = None
    versions: bool = False


@grid_pages.get("/projects/<int:project>/grid")
@needs(Role.ADMIN)
def grid(project: int) -> str:
    """Show a page of images that are said to have the same label, or that look alike."""
    origin = request.args.get("of") or SUGGESTED
    if origin not in ORIGINS:
        raise BadRequest(f"a grid is of {', '.join(ORIGINS)}")
    orders = {SUGGESTED: BY_SCORE, CLUSTERS: BY_PLACE}.get(origin, {})
    order = request.args.get("order") or {SUGGESTED: SURE_FIRST, CLUSTERS: NEAR}.get(origin, "")
    if orders and order not in orders:
        raise BadRequest(f"its order is {' or '.join(orders)}, not {order!r}")
    suggested = _suggested(project) if origin == SUGGESTED else None
    with snapshot_of(service(), project) as snapshot:
        controls = snapshot.controls(project)
        control, labels = _asked(controls)
        label = _label(control, labels)
        source: Source | Absent
        made: dict[str, Any] = {}
        if isinstance(suggested, Absent):
            source = suggested
        elif suggested is not None:
            source = of_suggestions(suggested, control, label or labels[0], order)
        elif origin == CLUSTERS:
            read = _clustered(project, snapshot.needed_run(project), control)
            made = {"clustered": read, "sample": SAMPLE}
            if isinstance(read, Absent):
                source = read
            elif number := request.args.get("cluster"):
                made["cluster"] = cluster = _cluster(read, number)
                label = label or cluster.mixture.label
                source = of_cluster(snapshot, project, control, label or labels[0], order, read, cluster)
            else:
                source = all_clusters(read)
        else:
            source = of_report(snapshot, project, origin, control, label or labels[0])
        if isinstance(source, Source):
            shown = page(source.place, source.behind, TILES if source.expect else LISTED)
            tasks = {task for row in shown.rows for task in row.get("sample", [row.get("task")])}
            decided = snapshot.decisions.last_decisions(project, tasks)
            made |= {"shown": shown, "decided": decided, "outlook": source.expect and source.expect(shown.rows)}
        last = _last_act(snapshot, project, g.member.email)
    if isinstance(source, Source):
        console().pictures.expect_quietly(project, tasks)
    return render_template(
        "clusters.html" if isinstance(source, Source) and not source.expect else "grid.html",
        origin=origin,
        origins=ORIGINS,
        order=order,
        orders=orders,
        controls=controls,
        control=control,
        label=label or labels[0],
        labels=labels,
        source=source,
        absent=source if isinstance(source, Absent) else None,
        last=last,
        kinds=KINDS,
        **made,
    )


def _suggested(project: int) -> Suggested | Absent:
    suggested, job, state = being_read(project, None)
    if suggested is not None:
        return suggested
    if job is None or state in ("waiting", "running"):
        reading = job.id if job else None
        return Absent(with_filters(reading=reading), "The suggestions are being read from Label Studio.")
    versions = bool((job.result or {}).get("versions"))
    return Absent(with_filters(reading=None), failure=job.error, versions=versions)


def _clustered(project: int, run: Row, control: str) -> Clustered | Absent:
    read = clustered(project, run, control)
    if read.value is not None:
        return read.value
    waits_for = "" if read.error else "The ML backend is being asked which images are alike."
    return Absent(with_filters(), waits_for, read.error)


def _cluster(read: Clustered, number: str) -> Cluster:
    cluster = read.clusters.get(int(number)) if number.isdecimal() and len(number) < DIGITS else None
    if cluster is None:
        raise NotFound(f"version {read.version} has no cluster {number}; go back to all clusters")
    return cluster


def _asked(controls: list[Row]) -> tuple[str, list[str]]:
    """Return the control that the address asks for, or the first one, and its labels."""
    control = request.args.get("control") or str(controls[0]["control"])
    labels = next((row["labels"] for row in controls if row["control"] == control), None)
    if labels is None:
        raise BadRequest(
            f"the last run has no control {control!r}; it has {', '.join(row['control'] for row in controls)}"
        )
    return control, list(labels)


def _label(control: str, labels: list[str]) -> str | None:
    """Return the label that the address asks for."""
    label = request.args.get("label") or None
    if label is not None and label not in labels:
        raise BadRequest(f"{control} has no label {label!r}")
    return label


def _last_act(snapshot: Snapshot, project: int, by: str) -> Row | None:
    """Return somebody's last batch with `counts`, where it is not long ago and can be taken back."""
    since = acts.now() - RECENT
    own = (row for row in snapshot.decisions.batches(project, limit=LOOKED_AT) if row["made_by"] == by)
    last = next(own, None)
    if last is None or last["kind"] == "undo" or last["undone_by"] or utc(last["made_at"]) < since:
        return None
    return {**last, "counts": snapshot.decisions.item_counts(last["id"])}
