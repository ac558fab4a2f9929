"""`consensus score` of a folder: larger than memory, or on a cluster."""

from pathlib import Path
from typing import Literal

from consensus.commands import output
from consensus.errors import ConfigError
from consensus.files.votes_folder import Engine, Outcome, score_folder


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
) -> Outcome:
    """Score a folder, and show how far it is."""
    with output.watching() as watcher:
        return score_folder(
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
