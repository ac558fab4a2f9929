"""`consensus route` and `consensus prompt`: votes well spent."""

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.console import emit
from common.contract import LEFT_OUT
from consensus.commands import output
from consensus.commands.connections import store, studio
from consensus.commands.options import ConfigOption, ProjectOption

if TYPE_CHECKING:
    from consensus.projects.route import Advice, Routed

SHOWN = 20
WORDS = {
    "vote": "need one more vote",
    "none": "are finished",
    "limit": "are undecided and at the limit of {} votes",
    "gold": "are ground truth and stay as they are",
    "decided": "were decided by a machine and stay as they are",
    "run": "have annotations that the last run did not see; `consensus run` first",
}


def route(
    project: ProjectOption,
    config: ConfigOption = None,
    max_votes: Annotated[
        int | None,
        typer.Option(
            "--max-votes", min=1, help="Votes after which a task is left undecided, skips included; 10 by default."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be set; send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Ask for votes where they are needed: set how many annotators Label Studio shows each task to.

    A task of which everything is confirmed or rejected is shown to nobody more. One with something undecided is
    shown to one more annotator who has not had it yet (without votes: to as many as decide anything); at
    --max-votes it stays undecided. What is decided is what the last `consensus run` found. The list has the most
    informative first; the order in which annotators get the tasks is Label Studio's (the project's task sampling).
    Sends only what changed. Exits with 3 where tasks could not be set, with 1 where nothing could be done.
    """
    from consensus.core.routing.overlap import MAX_VOTES  # noqa: PLC0415 - --help needs none of it
    from consensus.projects.route import route as route_project  # noqa: PLC0415
    from consensus.settings import project_config, settings  # noqa: PLC0415

    with closing(studio()) as label_studio, output.progress_shown(quiet=as_json) as progress:
        routed = route_project(
            label_studio,
            store(),
            project,
            config=project_config(config or settings().consensus_config, project),
            max_votes=max_votes or MAX_VOTES,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        emit(json.dumps(routed_json(routed), ensure_ascii=False) + "\n")
    else:
        _show(routed)
    if routed.failures:
        raise typer.Exit(LEFT_OUT)


def prompt(
    project: ProjectOption,
    annotator: Annotated[str, typer.Option("--annotator", help="Who will vote, as the reports name them.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many classifications at most.")] = 10,
    label: Annotated[str | None, typer.Option("--label", help="Of this label only.")] = None,
    control: Annotated[str | None, typer.Option("--control", help="Of this control only.")] = None,
    form: Annotated[output.Format, typer.Option("--format", help="How to print them.")] = "table",
) -> None:
    """Name open classifications that an annotator has not voted on, the most informative for them first.

    From the last run in the store. The gain is what their vote is expected to tell of the open question, in bits;
    somebody without a vote is taken for the average annotator.
    """
    from consensus.projects.prompt import COLUMNS, prompts  # noqa: PLC0415  # brings the database

    open_rows = prompts(store(), project, annotator, label=label, control=control)
    if not open_rows.known:
        line = f"{annotator!r} has no vote in the last run and is taken for the average annotator"
        output.ERR.print(line, style="yellow")
    output.print_rows(open_rows.rows[:n], COLUMNS, form)


def routed_json(routed: "Routed") -> dict[str, Any]:
    """Return a routing as JSON holds it; finished tasks that stay as they are are only counted."""
    from consensus.projects.route import counts  # noqa: PLC0415  # brings the SDK

    return {
        "project": routed.project.id,
        "dry_run": routed.dry_run,
        "max_votes": routed.limits.most,
        "tasks": dict(counts(routed)),
        "changes": len(routed.changes),
        "sent": routed.sent,
        "failures": [{"task": failure.task, "what": failure.what} for failure in routed.failures],
        "advice": [_advice_json(advice) for advice in routed.advice if advice.need != "none" or advice.change],
    }


def _advice_json(advice: "Advice") -> dict[str, Any]:
    change = advice.change
    return {
        "task": advice.task,
        "need": advice.need,
        "reports": advice.reports,
        "votes": advice.votes,
        "gain": round(advice.gain, 6),
        "annotators": [{"annotator": name, "gain": round(gain, 6)} for name, gain in advice.annotators],
        "overlap": advice.overlap,
        "change": {"overlap": change.overlap, "closed": change.closed} if change else None,
    }


def _show(routed: "Routed") -> None:
    from consensus.projects.route import counts  # noqa: PLC0415  # brings the SDK

    output.OUT.print(f"{routed.project.title} (project {routed.project.id})")
    for need, number in counts(routed):
        if number:
            line = f"  {number} tasks {WORDS[need].format(routed.limits.most)}"
            output.OUT.print(line)
    wanting = [advice for advice in routed.advice if advice.need == "vote"]
    if wanting:
        output.show_rows([_row(advice) for advice in wanting[:SHOWN]], "One more vote, by what it may tell")
    if len(wanting) > SHOWN:
        output.OUT.print(f"... and {len(wanting) - SHOWN} more; --json prints all")
    for problem in routed.failures[: output.PROBLEMS_SHOWN]:
        line = f"not set: task {problem.task}: {problem.what}"
        output.ERR.print(line, style="yellow")
    if len(routed.failures) > output.PROBLEMS_SHOWN:
        output.ERR.print(
            f"... and {len(routed.failures) - output.PROBLEMS_SHOWN} more tasks not set", style="yellow"
        )
    output.OUT.print(_sent(routed))


def _row(advice: "Advice") -> dict[str, Any]:
    return {
        "task": advice.task,
        "open because": ", ".join(advice.reports) or "undecided",
        "votes": advice.votes,
        "gain (bits)": advice.gain,
        "best asked of": ", ".join(name for name, _ in advice.annotators[:3]) or "somebody new",
        "overlap": f"{advice.overlap} -> {advice.change.overlap}" if advice.change else str(advice.overlap),
    }


def _sent(routed: "Routed") -> str:
    if not routed.changes:
        return "Label Studio is up to date: nothing to send."
    closed = sum(change.closed for change in routed.changes)
    summary = f"{len(routed.changes) - closed} tasks opened or shown to more, {closed} shown to nobody more"
    if routed.dry_run:
        return f"Dry run, nothing sent; would be {summary}."
    failed = f" ({len(routed.failures)} of them failed)" if routed.failures else ""
    return f"Sent: {summary}{failed}."
