"""``ml-backend disconnect``."""

from typing import Annotated

import typer
from rich.table import Table

from common.console import agreed
from common.console import console as new_console
from ml_backend.commands.console import DryRunOption, ProjectOption, YesOption


def disconnect(
    project: ProjectOption,
    url: Annotated[
        str, typer.Option(help="This backend's address as seen from Label Studio. [ML_BACKEND_PUBLIC_URL]")
    ] = "",
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Delete the predictions of its versions, too.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Take a project away from this backend: remove its connection and its webhook in Label Studio.

    Other backends' connections stay, and so do the predictions unless --predictions is given: annotators go on
    seeing those of the version that is shown. What was learned stays in the data folder until
    `ml-backend forget --project ID`.
    """
    from ml_backend.label_studio.client import LabelStudioClient  # noqa: PLC0415 - --help needs none of it
    from ml_backend.label_studio.disconnecting import Disconnecting  # noqa: PLC0415
    from ml_backend.label_studio.ownership import known_instance  # noqa: PLC0415
    from ml_backend.model_registry import ModelRegistry  # noqa: PLC0415
    from ml_backend.settings import get_settings, read_settings  # noqa: PLC0415
    from ml_backend.training.training_requests import TrainingRequests  # noqa: PLC0415

    settings = read_settings(public_url=url) if url else get_settings()
    console = new_console()
    with LabelStudioClient(settings) as client:
        own_versions = ModelRegistry(settings.data_dir).versions(project)
        instance = known_instance(settings.data_dir)
        disconnecting = Disconnecting(client, project, settings.public_url, own_versions, instance)
        title = client.project(project).title
        removals = disconnecting.removals(predictions=predictions)
        if not removals:
            console.print(f"Project {project}, {title}, has nothing of this backend.")
            return
        table = Table("part", "of this backend", title=f"Project {project}, {title}", title_justify="left")
        for removal in removals:
            table.add_row(removal.kind, removal.name)
        console.print_table(table)
        if dry_run:
            console.print(f"{len(removals)} to remove; nothing was changed (--dry-run).")
        elif yes or agreed("Remove them?"):
            for removal in removals:
                removal.remove()
            TrainingRequests(settings.data_dir, settings.quiet_s, settings.max_wait_s).forget(project)
            console.print(f"{len(removals)} removed.")
