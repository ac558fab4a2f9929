"""`consensus batches`, `consensus undo` and `consensus audit`: what was decided, and how it is taken back."""

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.console import emit
from common.contract import BELOW_TARGET, LEFT_OUT
from consensus.commands import output
from consensus.commands.connections import show_tabs_after, store, studio
from consensus.commands.options import ConfigOption, ProjectOption

if TYPE_CHECKING:
    from consensus.assist.audits import Audited
    from consensus.assist.undo import Undone
    from consensus.store.columns import Row

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def batches(
    project: ProjectOption,
    form: Annotated[output.Format, typer.Option("--format", help="How to print them.")] = "table",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many, the latest first.")] = 20,
) -> None:
    """List what was decided in bulk: batches with their id, what they did, and what became of it."""
    opened = store()
    rows = [
        _batch_row(row, opened.decisions.item_counts(row["id"]))
        for row in opened.decisions.batches(project, limit=limit)
    ]
    output.print_rows(rows, BATCH_COLUMNS, form)


BATCH_COLUMNS = (
    "batch", "kind", "made_by", "made_at", "state", "planned", "written", "left", "undone", "kept",
)  # fmt: skip


def _batch_row(row: "Row", counts: dict[str, int]) -> dict[str, Any]:
    state = "taken back" if row["undone_by"] else "done" if row["finished_at"] else "cut off"
    return {
        "batch": row["id"],
        "kind": row["kind"],
        "made_by": row["made_by"],
        "made_at": row["made_at"].isoformat(timespec="seconds"),
        "state": state,
        **{name: counts.get(name, 0) for name in ("planned", "written", "left", "undone", "kept")},
    }


def undo(
    batch: Annotated[str, typer.Argument(help="Id of the batch, or the beginning of it.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be taken back; change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take back exactly what a batch wrote into Label Studio and nobody has touched since, and say what stays.

    Its annotations are deleted; overlap, ground truth and queues become what they were. What a person has changed,
    and what somebody has decided later, stays. Exits with 3 where something stays, with 1 where nothing could be
    done; where it is cut off, the same command goes on.
    """
    from consensus.assist.undo import undo as take_back  # noqa: PLC0415  # --help needs none of it

    opened = store()
    with closing(studio()) as label_studio, output.progress_shown(quiet=as_json) as progress:
        _, by = label_studio.client.own_account()
        undone = take_back(
            label_studio, opened, batch, by, lambda: datetime.now(UTC), dry_run=dry_run, progress=progress
        )
        if not dry_run:
            show_tabs_after(label_studio, opened, undone.batch["project"])
    if as_json:
        emit(json.dumps(undone_json(undone, dry_run=dry_run), ensure_ascii=False) + "\n")
    else:
        _show_undone(undone, dry_run=dry_run)
    if undone.kept:
        raise typer.Exit(LEFT_OUT)


def undone_json(undone: "Undone", *, dry_run: bool) -> dict[str, Any]:
    """Return what was taken back as JSON holds it."""
    return {
        "batch": undone.batch["id"],
        "dry_run": dry_run,
        "undone": undone.undone,
        "kept": [{name: item[name] for name in ("task", "control", "note")} for item in undone.kept],
        "undo": undone.undo["id"] if undone.undo else None,
    }


def _show_undone(undone: "Undone", *, dry_run: bool) -> None:
    done = "would be taken back" if dry_run else "taken back"
    line = f"batch {undone.batch['id']}: {undone.undone} {done}, {len(undone.kept)} stay"
    output.OUT.print(line)
    for item in undone.kept[: output.PROBLEMS_SHOWN]:
        output.ERR.print(f"stays: task {item['task']}: {item['note']}", style="yellow")
    if len(undone.kept) > output.PROBLEMS_SHOWN:
        more = f"... and {len(undone.kept) - output.PROBLEMS_SHOWN} more stay"
        output.ERR.print(more, style="yellow")


def audits(
    project: ProjectOption,
    config: ConfigOption = None,
    form: Annotated[output.Format, typer.Option("--format", help="How to print them.")] = "table",
) -> None:
    """Measure how right what was accepted is, by the random share that people judge blind.

    Batch by batch and label by label, with a 95 % interval, beside the precision that was asked for. What
    reviewers decided counts, else what the last run believes of the votes. Exits with 4 where a batch is below its
    target, which is logged as well.
    """
    from consensus.assist.audits import audits as measure  # noqa: PLC0415  # --help needs none of it
    from consensus.assist.audits import report_below  # noqa: PLC0415
    from consensus.settings import project_config, settings  # noqa: PLC0415

    chosen = project_config(config or settings().consensus_config, project)
    with closing(studio()) as label_studio, output.progress_shown(quiet=form != "table") as progress:
        audited = measure(label_studio, store(), chosen, project, datetime.now(UTC), progress=progress)
    output.print_rows([audited_row(each) for each in audited], AUDIT_COLUMNS, form)
    if report_below(project, audited):
        raise typer.Exit(BELOW_TARGET)


AUDIT_COLUMNS = (
    "batch", "kind", "control", "label", "sample", "judged", "wrong", "precision", "low", "high", "target",
    "below",
)  # fmt: skip


def audited_row(audited: "Audited") -> dict[str, Any]:
    """Return what was measured as a row."""
    measured = audited.measured
    return {
        "batch": audited.batch,
        "kind": audited.kind,
        "control": audited.control,
        "label": audited.label,
        "sample": audited.sample,
        "judged": measured.n,
        "wrong": round(measured.wrong, 3),
        "precision": audited.precision,
        "low": 1 - measured.upper,
        "high": 1 - measured.lower,
        "target": audited.target,
        "below": audited.is_below,
    }


def audit(
    project: ProjectOption,
    task: Annotated[int, typer.Option("--task", min=1, help="Id of the task.")],
    as_json: JsonOption = False,
) -> None:
    """Tell the whole story of a task: votes, what each run made of them, decisions, queues, what was taken back.

    From the store alone.
    """
    from consensus.assist.story import story_of  # noqa: PLC0415  # --help needs none of it

    events = story_of(store(), project, task)
    if as_json:
        emit(json.dumps({"project": project, "task": task, "events": events}, ensure_ascii=False) + "\n")
        return
    if not events:
        output.OUT.print(f"nothing is stored of task {task} of project {project}")
    for event in events:
        line = f"{event['at']}  {event['control']}: {event['words']}"
        output.OUT.print(line)
