"""``ml-backend connect``."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from common.console import console as new_console
from common.errors import SettingsError
from ml_backend.commands.console import ProjectOption

if TYPE_CHECKING:
    from ml_backend.label_studio.connecting import ConnectionSetting
    from ml_backend.settings import Settings


class Sampling(StrEnum):
    """The orders in which Label Studio serves tasks."""

    UNCERTAINTY = "uncertainty"
    SEQUENTIAL = "sequential"
    UNIFORM = "uniform"

    @property
    def of_label_studio(self) -> str:
        """Label Studio's name of it."""
        return f"{self.value.capitalize()} sampling"


def connect(
    project: ProjectOption,
    url: Annotated[
        str, typer.Option(help="This backend's address as seen from Label Studio. [ML_BACKEND_PUBLIC_URL]")
    ] = "",
    sampling: Annotated[
        Sampling | None,
        typer.Option(
            help="Which task an annotator gets next; left as it is if not given. With several annotations per "
            "task Label Studio serves tasks that others have begun first, whatever this is."
        ),
    ] = None,
    title: Annotated[
        str, typer.Option(help="Title of the connection until a first version is trained, which then names it.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be changed; change nothing.")
    ] = False,
) -> None:
    """Connect a project to this backend, or set its connection right: login, webhook, title, version shown."""
    settings = _settings(url)
    outcome = _connect(project, settings, sampling.of_label_studio if sampling else None, title, dry_run=dry_run)
    _show(outcome, dry_run=dry_run)
    if any(setting.problem for setting in outcome):
        raise typer.Exit(1)


def _settings(url: str) -> "Settings":
    from ml_backend.settings import get_settings, read_settings  # noqa: PLC0415 - --help needs none of it

    settings = read_settings(public_url=url) if url else get_settings()
    if not settings.public_url:
        raise SettingsError(
            "ML_BACKEND_PUBLIC_URL not set: give the address at which Label Studio reaches this backend, or --url"
        )
    return settings


def _connect(
    project: int, settings: "Settings", sampling: str | None, title: str, *, dry_run: bool
) -> "list[ConnectionSetting]":
    from common.label_studio.rows import Login  # noqa: PLC0415
    from ml_backend.diagnosis.address_check import check_address  # noqa: PLC0415
    from ml_backend.diagnosis.replies import client  # noqa: PLC0415
    from ml_backend.label_studio.client import LabelStudioClient  # noqa: PLC0415
    from ml_backend.label_studio.connecting import Connecting, DesiredConnection  # noqa: PLC0415
    from ml_backend.label_studio.ownership import known_instance  # noqa: PLC0415
    from ml_backend.model_registry import ModelRegistry  # noqa: PLC0415 - --help needs none of it
    from ml_backend.serving.auth import webhook_headers  # noqa: PLC0415

    admin = LabelStudioClient(settings)
    password = settings.basic_password.get_secret_value()
    desired = DesiredConnection(
        project,
        settings.public_url,
        login=Login(settings.basic_user, password) if settings.basic_user else None,
        headers=webhook_headers(settings),
        title=title,
        sampling=sampling,
        own_versions=frozenset(ModelRegistry(settings.data_dir).versions(project)),
        instance=known_instance(settings.data_dir),
    )

    def verify() -> None:
        with client() as connections:
            check_address(connections, desired.url, desired.headers, desired.instance, settings.label_studio_url)

    with admin:
        return Connecting(admin, desired, dry_run=dry_run, verify=verify).run()


def _show(outcome: "list[ConnectionSetting]", *, dry_run: bool) -> None:
    table = Table("part", "found", "would become" if dry_run else "now")
    for setting in outcome:
        mark = "to do" if setting.problem else setting.after
        table.add_row(
            setting.name, Text(setting.before), Text(mark, style="yellow" if setting.problem else "green")
        )
    console = new_console()
    console.print_table(table)
    problems = [setting for setting in outcome if setting.problem]
    for open_setting in problems:
        console.print(Text(f"To do ({open_setting.name}): {open_setting.problem}.", style="yellow"))
    for setting in outcome:
        if setting.note:
            console.print(Text(f"Note ({setting.name}): {setting.note}.", style="yellow"))
    changed = sum(bool(setting.after) for setting in outcome)
    if dry_run and changed:
        console.print(f"{changed} to change; nothing was written (--dry-run).")
    elif changed:
        console.print(f"{changed} changed.")
    else:
        console.print("Nothing was changed." if problems else "Nothing to change.")
