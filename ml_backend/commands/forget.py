"""``ml-backend forget``."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from common.console import agreed
from common.console import console as new_console
from common.errors import SettingsError
from ml_backend.commands.console import DryRunOption, YesOption

if TYPE_CHECKING:
    from ml_backend.settings import Settings


def forget(
    project: Annotated[
        int | None, typer.Option(min=1, help="Id of the project; it may be gone from Label Studio.")
    ] = None,
    gone: Annotated[
        bool, typer.Option("--gone", help="All projects that Label Studio does not have any more.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Delete what the data folder holds of a project: model versions, tasks as they were read, weights.

    Nothing changes in Label Studio. A project that is connected to this backend is refused, as it would be
    learned anew: `ml-backend disconnect` comes first. For --gone, a project is also gone that the account of
    LABEL_STUDIO_API_KEY may not see: look at the list before you agree.
    """
    from ml_backend.settings import get_settings  # noqa: PLC0415 - --help needs none of it
    from ml_backend.training.forgetting import forget as delete  # noqa: PLC0415
    from ml_backend.training.forgetting import kept  # noqa: PLC0415

    if (project is None) != gone:
        raise SettingsError("say what to forget: either --project ID, or --gone for all that are gone")
    settings, console = get_settings(), new_console()
    chosen = _chosen(settings, project)
    if not chosen:
        console.print(
            "Nothing is kept of projects that are gone." if gone else f"Nothing is kept of project {project}."
        )
        return
    table = Table("project", "versions", "MB")
    for data in (kept(settings.data_dir, project_id) for project_id in chosen):
        table.add_row(str(data.project_id), str(data.versions), f"{data.n_bytes / 1e6:.1f}")
    console.print_table(table)
    if dry_run:
        console.print("Nothing was changed (--dry-run).")
    elif yes or agreed("Delete what is kept of them?"):
        for project_id in chosen:
            delete(settings, project_id)
        console.print(f"{len(chosen)} forgotten.")


def _chosen(settings: "Settings", project: int | None) -> list[int]:
    from ml_backend.label_studio.client import LabelStudioClient  # noqa: PLC0415
    from ml_backend.training.forgetting import check_forgettable, gone, kept_projects  # noqa: PLC0415

    there = kept_projects(settings.data_dir)
    with LabelStudioClient(settings) as client:
        if project is None:
            return gone(client, there)
        if project in there:
            check_forgettable(client, settings, project)
            return [project]
    return []
