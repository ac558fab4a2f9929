"""``ml-backend predict``."""

import enum
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import ProgressColumn, Task, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from common.console import console as new_console
from common.console import error_console
from common.contract import LEFT_OUT
from common.progress import bar_columns, shown_on
from ml_backend.commands.console import ForceOption, ProjectOption

if TYPE_CHECKING:
    from ml_backend.backend import Backend
    from ml_backend.predict.bulk import BulkReport, Embed

_NAMED = 10  # tasks in a line of the table


class Engine(enum.StrEnum):
    """Where images are embedded."""

    here = "here"
    ray = "ray"


def predict(
    project: ProjectOption,
    failed: Annotated[bool, typer.Option("--failed", help="Only the tasks that failed last time.")] = False,
    engine: Annotated[
        Engine,
        typer.Option(help="Embed in this program, or on a Ray cluster (extra \\[ray]; RAY_ADDRESS names it)."),
    ] = Engine.here,
    force: ForceOption = False,
) -> None:
    """Store suggestions for every task of a project that has none of the version that answers.

    Can be stopped at any moment and started again: nothing is embedded or stored twice. Exits with 3
    where tasks had to be left out; they are listed at the end with their reasons, and --failed tries them again.
    Nothing is stored in a project that is not connected to this backend, where another may answer.
    """
    from ml_backend.backend import Backend  # noqa: PLC0415 - --help needs none of it
    from ml_backend.label_studio.ownership import require_owned  # noqa: PLC0415
    from ml_backend.predict.bulk import Bulk  # noqa: PLC0415
    from ml_backend.settings import get_settings  # noqa: PLC0415

    backend = Backend(get_settings())
    columns = bar_columns(_Rate(), TimeRemainingColumn())
    try:
        with shown_on(error_console(), *columns, first="waiting for another prediction") as progress:
            settings, embed = backend.settings, _embed(backend, engine)
            if not force:
                require_owned(backend.client, settings, project)
            bulk = Bulk(
                backend.client, backend.registry, embed, settings.data_dir, settings.ticking, settings.renamed
            )
            report = bulk.predict(project, failed_only=failed, progress=progress)
    finally:
        backend.close()
    _show(report, project)
    if report.failures:
        raise typer.Exit(LEFT_OUT)


def _embed(backend: "Backend", engine: Engine) -> "Embed":
    if engine == Engine.ray:
        from ml_backend.predict.ray_embedding import embed_on_ray  # noqa: PLC0415 - an extra

        return embed_on_ray(backend.settings, backend.backbones)
    from ml_backend.predict.bulk import embed_here  # noqa: PLC0415

    return embed_here(backend.gatherer, backend.backbones, backend.settings.model_wait_s)


class _Rate(ProgressColumn):
    """Tasks a second."""

    def render(self, task: Task) -> Text:
        """Show the speed, once there is one."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def _show(report: "BulkReport", project: int) -> None:
    console = new_console()
    console.print(
        f"{report.model_version}: {report.tasks} tasks, {report.stored} suggestions stored, "
        f"{report.already} there before, {report.silent} with nothing to suggest, {len(report.failures)} failed"
    )
    if not report.failures:
        return
    by_reason: dict[str, list[int]] = defaultdict(list)
    for task, reason in report.failures.items():
        by_reason[reason].append(task)
    table = Table("reason", "failed", "tasks")
    for reason, tasks in sorted(by_reason.items(), key=lambda reason_and_tasks: -len(reason_and_tasks[1])):
        named = ", ".join(map(str, sorted(tasks)[:_NAMED])) + (", ..." if len(tasks) > _NAMED else "")
        table.add_row(reason, str(len(tasks)), named)
    console.print_table(table)
    console.print(f"Try them again: ml-backend predict --project {project} --failed")
