"""History: runs, batches and decisions, and the story of one task."""

from flask import Blueprint, render_template, request
from werkzeug.exceptions import BadRequest, NotFound

from consensus.assist.story import VERDICTS, story_of
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.pages import page
from consensus.console.rows import described
from consensus.serving.service import batch_of, service, snapshot_of
from consensus.store.columns import Row
from consensus.store.pages import ITEM_PLACE
from consensus.store.tables import CLASSIFICATION

history_pages = Blueprint("history", __name__)

ROWS = 50
BATCHES = 25
LABELS = 20
"""So many labels of a task are shown though nobody has named them."""
KINDS = {
    "accept": "accepted",
    "auto": "auto-annotated by rules",
    "review": "decided by a reviewer",
    "gold": "known answers put before annotators",
    "ask": "asked for one more vote",
    "close": "closed: no more votes asked for",
    "send": "sent to review",
    "undo": "taken back",
}
"""What each kind of batch has done."""
STATES = {
    "planned": "not done yet",
    "written": "written",
    "left": "left out",
    "undone": "taken back",
    "kept": "kept at an undo",
}


@history_pages.get("/projects/<int:project>/history")
@needs(Role.ADMIN)
def runs(project: int) -> str:
    """List the runs, the latest first."""
    with snapshot_of(service(), project) as snapshot:

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.pages.runs(project, before=after["id"] if after else None, limit=limit)

        return render_template("history_runs.html", shown=page(("id",), behind, ROWS))


@history_pages.get("/projects/<int:project>/history/batches")
@needs(Role.ADMIN)
def batches(project: int) -> str:
    """List the batches of writes, the latest first."""
    with snapshot_of(service(), project) as snapshot:

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.decisions.batches(project, after=after, limit=limit)

        shown = page(("made_at", "id"), behind, BATCHES)
        counts = {row["id"]: snapshot.decisions.item_counts(row["id"]) for row in shown.rows}
    return render_template("history_batches.html", shown=shown, counts=counts, kinds=KINDS, states=STATES)


@history_pages.get("/projects/<int:project>/history/batches/<batch>")
@needs(Role.ADMIN)
def batch(project: int, batch: str) -> str:
    """Show a batch, and what became of each of its items."""
    state = request.args.get("state") or None
    if state is not None and state not in STATES:
        raise BadRequest(f"an item is {', '.join(STATES)}, not {state!r}")
    with snapshot_of(service(), project) as snapshot:
        row = batch_of(snapshot, project, batch)

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.pages.items(row["id"], state=state, after=after, limit=limit)

        shown = page(ITEM_PLACE, behind, ROWS)
        counts = snapshot.decisions.item_counts(row["id"])
    return render_template("history_batch.html", batch=row, shown=shown, counts=counts, kinds=KINDS, states=STATES)


@history_pages.get("/projects/<int:project>/history/decisions")
@needs(Role.ADMIN)
def decisions(project: int) -> str:
    """List what was decided, the latest first."""
    with snapshot_of(service(), project) as snapshot:

        def behind(after: Row | None, limit: int) -> list[Row]:
            return snapshot.pages.decisions(project, before=after["id"] if after else None, limit=limit)

        return render_template("history_decisions.html", shown=page(("id",), behind, ROWS), verdicts=VERDICTS)


@history_pages.get("/projects/<int:project>/tasks/<int:task>")
@needs(Role.ADMIN)
def task(project: int, task: int) -> str:
    """Tell the story of a task: what it is now, and how it came to be that."""
    with snapshot_of(service(), project) as snapshot:
        rows = described(snapshot, project, snapshot.of_tasks(CLASSIFICATION, project, {task}))
        label_studio = snapshot.label_studio(project)
        waits = [row for row in snapshot.decisions.entries(project, task) if row["closed_at"] is None]
        names = [str(row["control"]) for row in snapshot.controls(project)]
    events = story_of(service().store, project, task)
    unseen = None if rows or events else _in_label_studio(project, task)
    console().pictures.expect_quietly(project, {task})
    controls: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["control"], -row["posterior"], row["label"])):
        controls.setdefault(row["control"], []).append(row)
    for name, of_control in controls.items():
        named = [row for row in of_control if row["given"] or row["report"] or row["yes"]]
        controls[name] = of_control if len(of_control) <= LABELS else named
    return render_template(
        "task.html",
        task=task,
        controls=controls,
        hidden=len(rows) - sum(map(len, controls.values())),
        waits=waits,
        events=events[::-1],
        label_studio=label_studio,
        unseen=unseen,
        names=names,
    )


def _in_label_studio(project: int, task: int) -> Row:
    """Return a task that no run has seen as Label Studio has it.

    Raises
    ------
    NotFound
        Where it is none of the project.
    """
    with service().studio() as studio:
        row = next(studio.client.tasks_by_id(project, "id,data", [task]), None)
    if row is None:
        raise NotFound(f"project {project} has no task {task}")
    return row
