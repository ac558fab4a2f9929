"""`consensus score` of a folder: larger than memory, or on a cluster."""

from pathlib import Path
from typing import Literal

import typer

from consensus import output
from consensus.core.reports import NAMES
from consensus.errors import ConfigError
from consensus.votes_folder import Engine, Outcome, score_folder


def score_in_parts(
    votes: Path,
    out: Path,
    *,
    given: Path | None,
    trust: Path | None,
    policy: str,
    annotators: Path | None,
    choice: Literal["single", "multiple"],
    engine: Engine,
) -> None:
    """Score a folder, show how far it is, and say what was done."""
    with output.watching() as watcher:
        outcome = score_folder(
            votes,
            out,
            given=given,
            trust=trust,
            policy=policy,
            annotators=annotators,
            choice=choice,
            engine=engine,
            watcher=watcher,
        )
    _say(outcome, out, trust)


def refuse_for_parts(given: dict[str, object]) -> None:
    """Refuse options that need all votes in memory.

    Raises
    ------
    ConfigError
        Naming the first option that is set.
    """
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{option} is not there for a folder or with --engine ray; score a file that fits into memory"
            )


def _say(outcome: Outcome, out: Path, trust: Path | None) -> None:
    for note in outcome.notes:
        output.ERR.print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    typer.echo(
        f"{outcome.votes} votes of {outcome.annotators} annotators on {outcome.tasks} tasks "
        f"({outcome.replaced} replaced by a later vote of the same annotator)"
    )
    if outcome.unused_trust:
        typer.echo(f"{outcome.unused_trust} annotators of {trust} have no vote; their trust has no effect")
    typer.echo(", ".join(f"{name} {outcome.reports.get(name, 0)}" for name in NAMES))
    typer.echo(f"{sum(outcome.reports.values())} classifications written to {out}")
