"""The annotators of a project: whom to trust, whom to look at, and why."""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from consensus.console.access import Role, needs
from consensus.console.apart import on_store
from consensus.console.computed import Outcome
from consensus.console.desk import console
from consensus.console.pages import page, with_filters
from consensus.people.crowd import Crowd, measured_crowd
from consensus.people.csv_tables import annotators_csv
from consensus.people.gold import gold_of
from consensus.serving.reading import question
from consensus.serving.service import service, snapshot_of
from consensus.store.columns import Row
from consensus.store.reader import Snapshot

people_pages = Blueprint("people", __name__)

ROWS, VOTES, PARTNERS = 50, 100, 50
RUNS = 30
"""So many runs back the course of a trust goes."""
PLACE = ("rank", "annotator")
SORTS = {"name": "name", "trust": "lowest trust", "votes": "most votes", "gold": "fewest right on gold"}
PATIENCE_S = 0.1
"""So long somebody's votes are looked for among those of all."""
UNKNOWN = 2.0
"""Behind every share."""


@people_pages.get("/projects/<int:project>/people")
@needs(Role.ADMIN)
def people(project: int) -> str:
    """List the annotators of a control."""
    sort = request.args.get("sort") or "name"
    if sort not in SORTS:
        raise BadRequest(f"the order is {sort!r}; there are {', '.join(SORTS)}")
    with snapshot_of(service(), project) as snapshot:
        run = int(snapshot.needed_run(project)["id"])
        controls = [row["control"] for row in snapshot.controls(project)]
        control = request.args.get("control") or (controls[0] if controls else "")
        if controls and control not in controls:
            raise NotFound(f"there is no control {control!r}; there are {', '.join(controls)}")
        everybody = [described(row) for row in snapshot.annotators(run) if row["control"] == control]
        suspected = [row for row in everybody if row["suspicions"]]
        rows = suspected if request.args.get("only") == "suspected" else everybody
        ordered = sorted(({**row, "rank": _rank(row, sort)} for row in rows), key=_place)

        def behind(after: Row | None, limit: int) -> list[Row]:
            return [row for row in ordered if after is None or _place(row) > _place(after)][:limit]

        shown = page(PLACE, behind, ROWS)
        courses = courses_of(snapshot, project, {row["annotator"] for row in shown.rows})
    crowd = crowd_now(project, run)
    figures = (
        {row["annotator"]: row for row in crowd.value.figures if row["control"] == control} if crowd.value else {}
    )
    return render_template(
        "people.html",
        control=control,
        controls=controls,
        shown=shown,
        sort=sort,
        sorts=SORTS,
        counts=(len(everybody), len(suspected)),
        courses={name: course for (name, of), course in courses.items() if of == control},
        crowd=crowd,
        figures=figures,
        gold_line=service().config(project).review.gold_line,
    )


@people_pages.get("/projects/<int:project>/people.csv")
@needs(Role.ADMIN)
def table(project: int) -> ResponseReturnValue:
    """Send what `consensus annotators --format csv` prints."""
    with snapshot_of(service(), project) as snapshot:
        run = int(snapshot.needed_run(project)["id"])
    crowd = crowd_now(project, run)
    if crowd.value is None:
        flash(crowd.error or "The table is being computed: ask for it again in a moment.")
        return redirect(url_for("people.people", project=project), 303)
    return csv_file(annotators_csv(crowd.value.figures), f"annotators-{project}.csv")


@people_pages.get("/projects/<int:project>/people/person")
@needs(Role.ADMIN)
def person(project: int) -> str:
    """Show what is known of an annotator."""
    name = request.args.get("annotator", "")
    with snapshot_of(service(), project) as snapshot:
        run = int(snapshot.needed_run(project)["id"])
        rows = [described(row) for row in snapshot.pages.annotator(run, name)]
        if not rows:
            raise NotFound(f"the last run of project {project} has seen no vote of {name!r}")
        courses = courses_of(snapshot, project, {name})
        label_studio = snapshot.label_studio(project)
    crowd = crowd_now(project, run)
    return render_template(
        "person.html",
        name=name,
        rows=rows,
        courses={control: course for (_, control), course in courses.items()},
        crowd=crowd,
        figures=crowd.value.of(name) if crowd.value else {},
        partners=_partners(crowd.value, name) if crowd.value else {},
        matrices=_matrices(crowd.value, name) if crowd.value else {},
        label_studio=label_studio,
        gold_line=service().config(project).review.gold_line,
    )


@people_pages.get("/projects/<int:project>/people/votes")
@needs(Role.ADMIN)
def votes(project: int) -> str:
    """List the votes of an annotator."""
    name = request.args.get("annotator", "")
    back = url_for("people.person", project=project, annotator=name)
    return render_template("votes.html", back=back, **votes_of(project, name))


def votes_of(project: int, name: str) -> dict[str, Any]:
    """Read a page of an annotator's votes on the control that the address names."""
    with snapshot_of(service(), project) as snapshot:
        own = snapshot.pages.annotator(int(snapshot.needed_run(project)["id"]), name)
        controls = [row["control"] for row in own]
        control = request.args.get("control") or (controls[0] if controls else "")
        if control not in controls:
            raise NotFound(f"the last run of project {project} has seen no vote of {name!r} there")
        asked, cursors = question(), service().cursors
        rows, last = list[Row](), cursors.read(asked, request.args.get("after"))
        ends_at = time.monotonic() + PATIENCE_S
        while not rows:
            rows, last = snapshot.pages.votes_among(project, control, name, after=last, limit=VOTES)
            if last is None or time.monotonic() > ends_at:
                break
        label_studio = snapshot.label_studio(project)
    return {
        "name": name,
        "control": control,
        "controls": controls,
        "rows": rows,
        "last": last,
        "following": with_filters(after=cursors.make(asked, last)) if last else None,
        "first": with_filters(after=None) if request.args.get("after") else None,
        "label_studio": label_studio,
    }


def described(row: Mapping[str, Any]) -> Row:
    """Add the interval of gold to an annotator's row."""
    return {**row, **gold_of(row)}


def courses_of(snapshot: Snapshot, project: int, annotators: Collection[str]) -> dict[tuple[str, str], list[Row]]:
    """Return the trust over the last runs by annotator and control, the oldest first.

    Each entry has `at`, `votes`, `trust`, `trust_low` and `trust_high`: None where a run saw no vote.
    """
    runs = {row["id"]: row["started_at"] for row in snapshot.pages.runs(project, limit=RUNS)[::-1]}
    rows = {
        (row["annotator"], row["control"], row["run"]): row
        for row in snapshot.pages.trust_course(runs.keys(), annotators)
    }
    places = dict.fromkeys((annotator, control) for annotator, control, _ in rows)
    names = "votes", "trust", "trust_low", "trust_high"
    return {
        place: [
            {"at": at, **{name: rows.get((*place, run), {}).get(name) for name in names}}
            for run, at in runs.items()
        ]
        for place in places
    }


def crowd_now(project: int, run: int) -> Outcome[Crowd]:
    """Return what all votes of a project say of its annotators, or that it is being worked out."""
    store = service().store
    work = on_store(store, n_votes(project), measured_crowd, project)
    return console().computed.of(("crowd", project, run), work)


def n_votes(project: int) -> int:
    """Return how many votes the last run of a project has seen."""
    run = service().store.last_run(project)
    return int(run["votes"]) if run else 0


def csv_file(text: str, name: str) -> Response:
    """Answer with a file to keep."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, mimetype="text/csv", headers=headers)


def _rank(row: Row, sort: str) -> float:
    match sort:
        case "trust":
            return float(row["trust"])
        case "votes":
            return -float(row["votes"])
        case "gold":
            return row["gold_right"] / row["gold_answered"] if row["gold_answered"] else UNKNOWN
    return 0.0


def _place(row: Mapping[str, Any]) -> tuple[float, str]:
    return row["rank"], row["annotator"]


def _partners(crowd: Crowd, name: str) -> dict[str, Sequence[tuple[str, int, float | None]]]:
    return {control: list(crowd.partners(name, control))[:PARTNERS] for control in crowd.of(name)}


def _matrices(crowd: Crowd, name: str) -> dict[str, tuple[list[str], list[list[float]]]]:
    matrices = {control: crowd.matrix(name, control) for control in crowd.of(name)}
    return {control: matrix for control, matrix in matrices.items() if matrix}
