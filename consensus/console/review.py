"""Review: one item a page, the keyboard first; what is decided is written before the next item is shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import get_args

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.core.review.names import Queue, RulingName
from consensus.core.review.rulings import Ruling
from consensus.label_studio import Project, Studio
from consensus.review.decisions import VERDICTS, WORDS
from consensus.review.items import ReviewItem, describe
from consensus.serving import acts
from consensus.serving.reading import QUEUE_PLACE
from consensus.serving.service import batch_of, service, snapshot_of
from consensus.store.reader import Snapshot

review_pages = Blueprint("review", __name__)

AT_ONCE = 20
DIGITS = 9
"""Labels that a single key chooses."""
MEANINGS: dict[Queue, str] = {
    "misclassified": "The votes reject the given label.",
    "controversial": "The votes do not decide.",
    "pending": "Suggestions that are not sure enough, and what was sent here.",
    "unvoted": "Nobody has voted, and the model finds the given label wrong.",
    "audit": "A sample of what was accepted, judged blind.",
    "spot": "A random sample, judged blind.",
}


@dataclass(frozen=True)
class Card:
    """An item, and the address of what comes behind it.

    Parameters
    ----------
    behind : str
        The cursor of its place in the queue.
    several : bool
        Whether more than one label, or none, can be right.
    """

    item: ReviewItem
    behind: str
    several: bool


@review_pages.get("/projects/<int:project>/review")
@needs(Role.REVIEWER)
def queues(project: int) -> str:
    """List the queues with what waits in each."""
    with snapshot_of(service(), project) as snapshot:
        waiting = snapshot.decisions.queue_counts(project)
    return render_template("queues.html", title=console().titles.of(project), waiting=waiting, meanings=MEANINGS)


@review_pages.get("/projects/<int:project>/review/<queue>")
@needs(Role.REVIEWER)
def card(project: int, queue: str) -> str:
    """Show the first item that waits and is not somebody else's; the next one's picture comes along."""
    name = _named(queue)
    with snapshot_of(service(), project) as snapshot, service().studio() as studio:
        target = studio.project(project)
        cards = list(islice(_cards(snapshot, studio, target, name), 2))
        waiting = snapshot.decisions.queue_counts(project).get(name, 0)
    return render_template(
        "card.html",
        queue=name,
        meaning=MEANINGS[name],
        waiting=waiting,
        card=cards[0] if cards else None,
        following=cards[1] if len(cards) > 1 else None,
        digits=DIGITS,
        last=request.args.get("last", ""),
    )


@review_pages.post("/projects/<int:project>/review/<queue>")
@needs(Role.REVIEWER)
def rule(project: int, queue: str) -> ResponseReturnValue:
    """Write what is decided of an item, and lead to the next one; what is refused is said there."""
    name, form = _named(queue), request.form
    ruling = next((each for each in get_args(RulingName) if each == form.get("ruling")), None)
    if ruling is None or not form.get("task", "").isdecimal() or not form.get("control"):
        raise BadRequest("the form names no item, or nothing that can be decided")
    labels = tuple(dict.fromkeys(label for label in form.getlist("label") if label))
    task, control = int(form["task"]), form["control"]
    asked = [Ruling(task, control, ruling, labels, form.get("reason", "")[:2_000])]
    result = acts.decide_labels(service(), project, asked, g.member.email, override=form.get("override") == "yes")
    for refusal in result["refused"]:
        flash(f"Task {task} was not decided: {refusal['why']}")
    written = [batch for batch in result["batches"] if batch["counts"].get("written")]
    for batch in result["batches"]:
        for left in batch["left"]:
            flash(f"Task {task} was not decided: {left['note']}")
    if written:
        decided = f" ({', '.join(labels)})" if labels else ""
        flash(f"Task {task}: {WORDS[VERDICTS[ruling]]}{decided}.")
    last = written[0]["batch"] if written else None
    return redirect(
        url_for("review.card", project=project, queue=name, after=form.get("behind") or None, last=last), 303
    )


@review_pages.post("/projects/<int:project>/review/<queue>/undo")
@needs(Role.REVIEWER)
def take_back(project: int, queue: str) -> ResponseReturnValue:
    """Take one's last decision back, and show the item again."""
    name, batch = _named(queue), request.form.get("batch", "")
    here = service()
    with snapshot_of(here, project) as snapshot:
        row = batch_of(snapshot, project, batch)
    if g.member.role < Role.ADMIN and row["made_by"] != g.member.email:
        raise BadRequest("that is another reviewer's decision: an admin can take it back")
    undone = acts.take_back(here, project, batch, g.member.email)
    flash("Taken back." if undone["undone"] else "It stays: somebody has changed it since.")
    return redirect(url_for("review.card", project=project, queue=name), 303)


def _named(queue: str) -> Queue:
    for name in get_args(Queue):
        if name == queue:
            return name  # type: ignore[no-any-return]
    raise NotFound(f"there is no queue {queue!r}; there are {', '.join(get_args(Queue))}")


def _cards(snapshot: Snapshot, studio: Studio, target: Project, queue: Queue) -> Iterator[Card]:
    """Yield what waits for the member, from the place in the address on."""
    cursors, asked, me = service().cursors, f"review {target.id} {queue}", g.member.email
    multiple = {row["control"] for row in snapshot.controls(target.id) if row["choice"] == "multiple"}
    after = cursors.read(asked, request.args.get("after"))
    while rows := snapshot.decisions.queue(target.id, queue, after=after, limit=AT_ONCE):
        after = rows[-1]
        mine = {(row["task"], row["control"]): row for row in rows if row["assigned_to"] in (None, me)}
        for item in describe(snapshot, studio, target, list(mine.values())):
            if me not in item.annotators:
                row = mine[item.task, item.control]
                behind = cursors.make(asked, {name: row[name] for name in QUEUE_PLACE})
                yield Card(item, behind, item.control in multiple)
