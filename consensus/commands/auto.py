"""`consensus auto`: what is sure enough is annotated, the rest waits for people."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.console import emit
from common.contract import LEFT_OUT
from consensus.commands import output
from consensus.commands.connections import show_tabs_after, store, studio
from consensus.commands.deciding import performed_json, show_performed
from consensus.commands.options import ProjectOption

if TYPE_CHECKING:
    from consensus.assist.auto import AutoOutcome
    from consensus.assist.auto_rules import AutoFile


def auto(
    project: ProjectOption,
    rules: Annotated[
        Path | None,
        typer.Option("--config", help="Rules file (TOML); that which the settings file names, by default."),
    ] = None,
    task: Annotated[
        list[int] | None, typer.Option("--task", min=1, help="This task only; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Annotate what is sure enough by the rules of a file, and let the rest wait for people.

    A score above `accept_above` becomes an annotation of the account consensus@machine.invalid; what is not waits
    in the queue "pending". Tasks that somebody has annotated are not looked at, so that a second call does
    nothing. `consensus undo` takes it back for good. Exits with 3 where something was left.
    """
    from consensus.assist.auto import auto as annotate  # noqa: PLC0415  # --help needs none of it
    from consensus.assist.auto_rules import read_auto  # noqa: PLC0415
    from consensus.assist.batches import resume  # noqa: PLC0415
    from consensus.errors import ConfigError  # noqa: PLC0415
    from consensus.settings import project_config, settings  # noqa: PLC0415

    chosen = project_config(settings().consensus_config, project)
    path = rules or chosen.auto
    if path is None:
        raise ConfigError("no rules file is named; name one with --config, or as `auto` in the settings file")
    lines, opened = read_auto(path), store()
    with closing(studio()) as label_studio, output.progress_shown(quiet=as_json) as progress:
        performed = [] if dry_run else resume(label_studio, opened, project, _now, progress)
        outcome = annotate(
            label_studio,
            opened,
            chosen,
            lines,
            project,
            _now,
            tasks=task or None,
            dry_run=dry_run,
            progress=progress,
        )
        if not dry_run:
            show_tabs_after(label_studio, opened, project, chosen)
    performed += [outcome.performed] if outcome.performed else []
    if as_json:
        batches = [performed_json(each) for each in performed]
        emit(
            json.dumps({**auto_json(outcome, lines, dry_run=dry_run), "batches": batches}, ensure_ascii=False)
            + "\n"
        )
    else:
        _show(outcome, lines, dry_run=dry_run)
        for each in performed:
            show_performed(each)
    if any(each.left for each in performed):
        raise typer.Exit(LEFT_OUT)


def auto_json(outcome: "AutoOutcome", rules: "AutoFile", *, dry_run: bool) -> dict[str, Any]:
    """Return what was found as JSON holds it."""
    from consensus.assist.auto import gaps  # noqa: PLC0415  # brings the SDK

    return {
        "project": outcome.project.id,
        "dry_run": dry_run,
        "version": outcome.version,
        "accepted": len(outcome.accepted),
        "pending": len(outcome.pending),
        "labels": _rows(outcome),
        "gaps": list(gaps(outcome, rules)),
    }


def _show(outcome: "AutoOutcome", rules: "AutoFile", *, dry_run: bool) -> None:
    from consensus.assist.auto import gaps  # noqa: PLC0415  # brings the SDK

    output.show_rows(_rows(outcome), f"{outcome.project.title} (project {outcome.project.id})")
    for line in gaps(outcome, rules):
        output.OUT.print(line)
    done = "Dry run, nothing sent; would be" if dry_run else "Done:"
    output.OUT.print(f"{done} {len(outcome.accepted)} accepted, {len(outcome.pending)} waiting for people.")


def _rows(outcome: "AutoOutcome") -> list[dict[str, Any]]:
    return [
        {
            "control": control,
            "label": label,
            "accept": counts["accept"],
            "between": counts["between"],
            "below": counts["below"],
        }
        for (control, label), counts in sorted(outcome.bands.items())
    ]


def _now() -> datetime:
    return datetime.now(UTC)
