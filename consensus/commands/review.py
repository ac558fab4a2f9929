"""`consensus review` and `consensus decide`: what waits for people, and what they decide."""

import json
import sys
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.console import emit
from common.contract import LEFT_OUT
from consensus.commands import output
from consensus.commands.connections import show_tabs_after, store, studio
from consensus.commands.options import ConfigOption, ProjectOption
from consensus.core.review.names import Queue, RulingName
from consensus.errors import ConfigError

if TYPE_CHECKING:
    from consensus.review.decisions import Decided
    from consensus.review.items import ReviewItem
    from consensus.settings import ProjectConfig
    from consensus.store.columns import Row
    from consensus.store.store import Store

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
AsOption = Annotated[
    str | None,
    typer.Option("--as", help="Who decides: an account of Label Studio; that of the key by default."),
]


def review(
    project: ProjectOption,
    queue: Annotated[Queue | None, typer.Option("--queue", help="This queue alone.")] = None,
    page: Annotated[int, typer.Option("--page", min=1, help="Which page of the queue.")] = 1,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="Items a page.")] = 20,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Decide item by item with single keys, on a terminal.")
    ] = False,
    reviewer: AsOption = None,
    config: ConfigOption = None,
    form: Annotated[output.Format, typer.Option("--format", help="How to print them.")] = "table",
) -> None:
    """Show what waits for people, queue by queue, list one queue, or work them off with --interactive.

    Every `consensus run` fills the queues and takes off them what no longer needs a look. In Label Studio each has
    a tab with its first 200 tasks. Of random samples neither votes nor the given label are shown: what is decided
    there measures annotators and models, so it is judged without them.

    Keys: Q the given label is right, W the proposed one is, 1 to 9 choose, L type a label, E no label can be told,
    U ask one more annotator, R no more work on it, S skip, Z take the last decision back, X end, ? help.
    """
    opened = store()
    opened.needed_run(project)
    if interactive:
        _work_off(opened, project, queue, reviewer, _config(config, project))
        return
    if queue is None:
        _show_counts(opened.decisions.queue_counts(project), form)
        return
    from consensus.review.items import describe  # noqa: PLC0415  # brings the SDK

    with closing(studio()) as label_studio, opened.snapshot() as snapshot:
        rows = snapshot.decisions.queue(project, queue, limit=page * limit)[(page - 1) * limit :]
        items = describe(snapshot, label_studio, label_studio.project(project), rows)
    if form == "json":
        emit(json.dumps([item_json(item) for item in items], ensure_ascii=False) + "\n")
    else:
        output.print_rows([_row(item) for item in items], COLUMNS, form)


def decide(
    project: ProjectOption,
    task: Annotated[list[int], typer.Option("--task", min=1, help="Id of a task; several with several options.")],
    verdict: Annotated[
        RulingName,
        typer.Option(
            "--verdict",
            help="The given label is right (keep), the proposed one is (accept), another is (correct); no label "
            "can be told (unusable), no more work on it (reject), ask one more annotator (ask).",
        ),
    ],
    control: Annotated[
        str | None, typer.Option("--control", help="Which question; needed where there are several.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="With correct: what is right; several of a multiple choice."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the log.")] = "",
    reviewer: AsOption = None,
    override: Annotated[
        bool, typer.Option("--override", help="Decide again what somebody has decided; that is recorded.")
    ] = False,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
) -> None:
    """Decide on tasks as a reviewer: labels become ground truth of that account in Label Studio.

    The next run reports them as decided. `consensus undo BATCH` takes them back. Nobody decides on a task that
    they annotated; where somebody else has decided, it says who, what and when. Exits with 3 where something was
    refused, with 1 where nothing could be done.
    """
    from consensus.core.review.rulings import Ruling  # noqa: PLC0415  # --help needs none of it
    from consensus.review.decisions import decide as decide_on  # noqa: PLC0415

    chosen, opened = _config(config, project), store()
    with closing(studio()) as label_studio, output.progress_shown(quiet=as_json) as progress:
        name = control or _only_control(opened, project)
        decided = decide_on(
            label_studio,
            opened,
            chosen,
            project,
            [Ruling(number, name, verdict, tuple(label or ()), reason) for number in task],
            reviewer=reviewer or label_studio.client.own_account()[1],
            now=_now,
            override=override,
            progress=progress,
        )
        show_tabs_after(label_studio, opened, project, chosen)
    if as_json:
        emit(json.dumps(decided_json(decided), ensure_ascii=False) + "\n")
    else:
        _show_decided(decided)
    if decided.refused or any(batch.left for batch in decided.batches):
        raise typer.Exit(LEFT_OUT)


def assign(
    project: ProjectOption,
    to: Annotated[str, typer.Option("--to", help="Reviewers with commas: accounts of Label Studio.")],
    queue: Annotated[Queue | None, typer.Option("--queue", help="What waits in this queue alone.")] = None,
    without: Annotated[
        str,
        typer.Option("--from", help="Who gives up what they have, with commas; who has no account does anyway."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
) -> None:
    """Spread what waits over reviewers, evenly, and never to somebody who annotated the task.

    What somebody has stays theirs. `consensus review --interactive` shows a reviewer what is theirs or nobody's.
    """
    from consensus.review.assignment import assign as assign_to  # noqa: PLC0415  # --help needs none of it

    with closing(studio()) as label_studio:
        assigned = assign_to(
            label_studio, store(), project, _names(to), _now(), queue=queue, without=_names(without)
        )
    if as_json:
        emit(json.dumps(asdict(assigned), ensure_ascii=False) + "\n")
        return
    rows = [{"reviewer": name, "waiting": number} for name, number in assigned.items.items()]
    output.show_rows(rows)
    output.OUT.print(f"{assigned.new} newly assigned")
    if assigned.nobody:
        line = f"{assigned.nobody} for nobody: all of these reviewers have annotated their tasks"
        output.ERR.print(line, style="yellow")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def item_json(item: "ReviewItem") -> dict[str, Any]:
    """Return an item as JSON holds it."""
    return {**asdict(item), "annotators": sorted(item.annotators)}


def decided_json(decided: "Decided") -> dict[str, Any]:
    """Return what became of rulings as JSON holds it."""
    return {
        "batches": [{"id": batch.batch["id"], **batch.counts} for batch in decided.batches],
        "refused": [
            *(asdict(refusal) for refusal in decided.refused),
            *(
                {"task": row["task"], "control": row["control"], "why": row["note"]}
                for batch in decided.batches
                for row in batch.left
            ),
        ],
    }


def _work_off(
    opened: "Store", project: int, queue: Queue | None, reviewer: str | None, config: "ProjectConfig"
) -> None:
    from consensus.commands.review_keys import KeyboardReview  # noqa: PLC0415  # --help needs none of it

    if not sys.stdin.isatty():
        raise ConfigError(
            "--interactive reads keys, and standard input is no terminal; list items with --queue, and decide "
            "with `consensus decide`"
        )
    with closing(studio()) as label_studio:
        name = reviewer or label_studio.client.own_account()[1]
        KeyboardReview(label_studio, opened, config, project, name, _now).work([queue] if queue else [*ABOUT])
        show_tabs_after(label_studio, opened, project, config)


def _config(path: Any, project: int) -> "ProjectConfig":  # noqa: ANN401  # a Path or None
    from consensus.settings import project_config, settings  # noqa: PLC0415  # --help needs none of it

    return project_config(path or settings().consensus_config, project)


def _only_control(opened: "Store", project: int) -> str:
    _, controls = opened.needed_controls(project)
    names = [row["control"] for row in controls]
    if len(names) != 1:
        raise ConfigError(f"project {project} asks several questions; name one with --control: {', '.join(names)}")
    return str(names[0])


def _show_decided(decided: "Decided") -> None:
    for batch in decided.batches:
        if written := batch.counts.get("written", 0):
            them = "them" if written > 1 else "it"
            line = f"{written} decided; `consensus undo {batch.batch['id']}` takes {them} back"
            output.OUT.print(line)
    for row in decided_json(decided)["refused"]:
        output.ERR.print(f"not decided: task {row['task']}: {row['why']}", style="yellow")


def _show_counts(counts: dict[str, int], form: output.Format) -> None:
    rows = [{"queue": name, "waiting": counts.get(name, 0), "what": about} for name, about in ABOUT.items()]
    output.print_rows(rows, ("queue", "waiting", "what"), form)
    if form == "table":
        first = next((row["queue"] for row in rows if row["waiting"]), None)
        output.OUT.print(f"Next: --queue {first}" if first else "Nothing waits for people.")


def _row(item: "ReviewItem") -> "Row":
    scored = [f"{each['label']} {each['posterior']:.2f}" for each in item.candidates if _is_asked(each)]
    hidden = "(judged blind)"
    return {
        "queue": item.queue,
        "task": item.task,
        "control": item.control,
        "given": hidden if item.blind else ", ".join(item.given),
        "candidates": hidden if item.blind else ", ".join(scored),
        "votes": hidden if item.blind else "; ".join(vote_words(item)),
        "suggestion": suggestion_words(item),
        "assigned_to": item.assigned_to or "",
        "address": item.address,
    }


def vote_words(item: "ReviewItem") -> list[str]:
    """Spell out who voted what with which trust."""
    return [f"{each['annotator']}: {_answer(each)} ({_trust(each['trust'])})" for each in item.votes]


def suggestion_words(item: "ReviewItem") -> str:
    """Spell out what a model suggests, marked as such."""
    suggested = item.suggestion
    return f"model {suggested['model_version']}: {', '.join(suggested['labels'])}" if suggested else ""


def _is_asked(candidate: "Row") -> bool:
    return bool(candidate["given"] or candidate["yes"])


def _answer(vote: "Row") -> str:
    return str(vote["label"]) if vote["vote"] == "yes" else f"{vote['vote']} {vote['label']}".strip()


def _trust(trust: float | None) -> str:
    return "trust unknown" if trust is None else f"trust {trust:.2f}"


def _now() -> datetime:
    return datetime.now(UTC)
