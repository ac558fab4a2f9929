"""`consensus review`: what waits for people."""

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.console import emit
from consensus.commands import output
from consensus.commands.connections import store, studio
from consensus.commands.options import ProjectOption
from consensus.core.review.queue_names import Queue

if TYPE_CHECKING:
    from consensus.review.items import ReviewItem
    from consensus.store.columns import Row

ABOUT: dict[Queue, str] = {
    "misclassified": "the votes say that the given label is wrong, the strongest accusation first",
    "controversial": "votes, and no decision; the nearest to one half first",
    "pending": "suggestions that are neither sure enough to be accepted nor refused",
    "unvoted": "no vote, and the model says that the given label is wrong",
    "audit": "a random sample of what was accepted without a look, judged blind",
    "spot": "spot checks: a random sample judged blind, or what annotators agree least on",
}
"""Queue to what is in it, in the order in which they are best worked off."""
COLUMNS = ("queue", "task", "control", "given", "candidates", "votes", "suggestion", "assigned_to", "address")
QueueOption = Annotated[Queue | None, typer.Option("--queue", help="List this queue.")]


def review(
    project: ProjectOption,
    queue: QueueOption = None,
    page: Annotated[int, typer.Option("--page", min=1, help="Which page of the queue.")] = 1,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="Items a page.")] = 20,
    form: Annotated[output.Format, typer.Option("--format", help="How to print them.")] = "table",
) -> None:
    """Show what waits for people, queue by queue, or list one queue.

    Every `consensus run` fills the queues and takes off them what no longer needs a look. In Label Studio each has
    a tab with its first 200 tasks. Of random samples neither votes nor the given label are shown: what is decided
    there measures annotators and models, so it is judged without them.
    """
    opened = store()
    if queue is None:
        opened.needed_run(project)
        _show_counts(opened.decisions.queue_counts(project), form)
        return
    from consensus.review.items import describe  # noqa: PLC0415  # brings the SDK

    with closing(studio()) as label_studio, opened.snapshot() as snapshot:
        snapshot.needed_run(project)
        rows = snapshot.decisions.queue(project, queue, limit=page * limit)[(page - 1) * limit :]
        items = describe(snapshot, label_studio, label_studio.project(project), rows)
    if form == "json":
        emit(json.dumps([item_json(item) for item in items], ensure_ascii=False) + "\n")
    else:
        output.print_rows([_row(item) for item in items], COLUMNS, form)


def item_json(item: "ReviewItem") -> dict[str, Any]:
    """Return an item as JSON holds it."""
    return {**asdict(item), "annotators": sorted(item.annotators)}


def _show_counts(counts: dict[str, int], form: output.Format) -> None:
    rows = [{"queue": name, "waiting": counts.get(name, 0), "what": about} for name, about in ABOUT.items()]
    output.print_rows(rows, ("queue", "waiting", "what"), form)
    if form == "table":
        first = next((row["queue"] for row in rows if row["waiting"]), None)
        output.OUT.print(f"Next: --queue {first}" if first else "Nothing waits for people.")


def _row(item: "ReviewItem") -> "Row":
    scored = [f"{each['label']} {each['posterior']:.2f}" for each in item.candidates if _is_asked(each)]
    votes = [f"{_short(each)} ({_trust(each['trust'])})" for each in item.votes]
    suggested = item.suggestion
    hidden = "(judged blind)"
    return {
        "queue": item.queue,
        "task": item.task,
        "control": item.control,
        "given": hidden if item.blind else ", ".join(item.given),
        "candidates": hidden if item.blind else ", ".join(scored),
        "votes": hidden if item.blind else "; ".join(votes),
        "suggestion": f"model {suggested['model_version']}: {', '.join(suggested['labels'])}" if suggested else "",
        "assigned_to": item.assigned_to or "",
        "address": item.address,
    }


def _is_asked(candidate: "Row") -> bool:
    return bool(candidate["given"] or candidate["yes"])


def _short(vote: "Row") -> str:
    answer = vote["label"] if vote["vote"] == "yes" else f"{vote['vote']} {vote['label']}".strip()
    return f"{vote['annotator']}: {answer}"


def _trust(trust: float | None) -> str:
    return "unknown" if trust is None else f"trust {trust:.2f}"
