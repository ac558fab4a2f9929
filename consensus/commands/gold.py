"""`consensus gold`: known answers put before annotators, and who falls short on them."""

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from common.console import emit
from consensus.commands import output
from consensus.commands.connections import store, studio
from consensus.commands.options import ConfigOption, ProjectOption

if TYPE_CHECKING:
    from consensus.review.gold import GoldServed
    from consensus.store.columns import Row


def gold(
    project: ProjectOption,
    share: Annotated[
        float | None,
        typer.Option(
            "--share",
            min=0,
            max=0.9,
            help="Share of what each annotator does next; 0 shows no more. The settings' gold_share by default.",
        ),
    ] = None,
    line: Annotated[
        float | None,
        typer.Option(
            "--line", min=0, max=1, help="Who is surely right less often is named; gold_line by default."
        ),
    ] = None,
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be opened; send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
) -> None:
    """Put tasks whose answer is known before annotators, who cannot tell them from others.

    Known is ground truth that teaches. So many are shown to so many more annotators that about a share of what
    each does next is such a task; call it now and then, or let runs do it (gold_share). What they answer counts
    for trust at the next run and shows in `consensus annotators`. `consensus undo BATCH` takes it back.
    """
    from consensus.people.gold import below_line  # noqa: PLC0415  # --help needs none of it
    from consensus.review.gold import serve_gold  # noqa: PLC0415
    from consensus.settings import project_config, settings  # noqa: PLC0415

    chosen, opened = project_config(config or settings().consensus_config, project), store()
    served = None
    with closing(studio()) as label_studio, output.progress_shown(quiet=as_json) as progress:
        if share is not None or chosen.review.gold_share:
            served = serve_gold(
                label_studio,
                opened,
                chosen,
                project,
                chosen.review.gold_share if share is None else share,
                lambda: datetime.now(UTC),
                dry_run=dry_run,
                progress=progress,
            )
    below_at = chosen.review.gold_line if line is None else line
    below = below_line(opened, project, below_at)
    if as_json:
        emit(
            json.dumps({"served": _served_json(served), "line": below_at, "below": below}, ensure_ascii=False)
            + "\n"
        )
        return
    if served is None:
        output.OUT.print("nothing is opened without a share: --share, or gold_share in the settings")
    else:
        _show_served(served, dry_run=dry_run)
    show_below(below, below_at)


def show_below(below: "list[Row]", line: float | None) -> None:
    """Name who falls short on known answers, and what can be done."""
    for row in below:
        words = (
            f"{row['annotator']} is right on {row['gold_right']} of {row['gold_answered']} known answers of "
            f"{row['control']} ({row['gold_low']:.0%} to {row['gold_high']:.0%}), below the line of {line:.0%}"
        )
        output.ERR.print(words, style="yellow")
    if below:
        remedy = (
            "`consensus route` asks them for no vote. With a trust of 0 in the settings file their votes weigh "
            f'nothing: "{below[0]["annotator"]}" = 0 under [trust]. Label Studio shows tasks to every member: '
            "who is to vote no more has to be removed from its organization (docs/review.md)"
        )
        output.ERR.print(remedy, style="yellow")


def _served_json(served: "GoldServed | None") -> "Row | None":
    if served is None:
        return None
    return {
        "gold": served.gold,
        "waiting": served.waiting,
        "opened": [{"task": task, "more": more} for task, more in sorted(served.opened.items())],
        "closed": served.closed,
        "batch": served.batch.batch["id"] if served.batch else None,
    }


def _show_served(served: "GoldServed", *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    output.OUT.print(f"{served.gold} tasks have a known answer; {served.waiting} of them were shown to somebody")
    output.OUT.print(
        f"{len(served.opened)} {would}opened, to {sum(served.opened.values())} annotators in all; "
        f"{len(served.closed)} {would}closed"
    )
    if served.batch:
        output.OUT.print(f"`consensus undo {served.batch.batch['id']}` takes it back")
    if not served.gold:
        output.ERR.print(
            "no task has ground truth that teaches: mark annotations in Label Studio with the star, or decide on "
            "spot checks and audits with `consensus review`",
            style="yellow",
        )
