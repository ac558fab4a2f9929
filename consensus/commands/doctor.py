"""``consensus doctor``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from consensus.commands.connections import store_file, studio
from consensus.commands.options import ConfigOption

ANSWERS_IN_S = 15.0


def doctor(
    project: Annotated[
        list[int] | None,
        typer.Option(help="Id of a project; those of CONSENSUS_PROJECTS, or all with a <Choices>, if not given."),
    ] = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what goes wrong between Label Studio, the settings and the store, and what helps. Changes nothing.

    Ends with status 1 where something is to be done; warnings do not count.
    """
    from common.doctor import report  # noqa: PLC0415 - --help needs none of it
    from consensus.diagnosis.examination import examine  # noqa: PLC0415
    from consensus.settings import scheduled_projects, settings  # noqa: PLC0415

    read = settings()
    projects = project or scheduled_projects()
    report(
        lambda step: examine(
            read.label_studio_url,
            lambda: studio(ANSWERS_IN_S),
            store_url,
            config or read.consensus_config,
            projects,
            now=datetime.now(UTC),
            progress=step,
        ),
        as_json=as_json,
    )


def store_url() -> str:
    """Return the address of the store; refuse one that would be another in each folder."""
    from consensus.settings import settings  # noqa: PLC0415

    store_file()
    return settings().consensus_database_url.get_secret_value()
