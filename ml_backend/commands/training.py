"""``ml-backend train``."""

from collections import Counter
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ml_backend.commands.console import ProjectOption, number, say, to_person
from ml_backend.errors import NothingToLearnError
from ml_backend.settings import Settings, get_settings


def train(project: ProjectOption) -> None:
    """Learn from all annotations of a project and publish the result as a new model version."""
    settings = get_settings()
    try:
        _train(project, settings)
    except NothingToLearnError as error:
        say(f"Nothing to learn: {error}. No new version was made.")


def _train(project: int, settings: Settings) -> None:
    from ml_backend.backend import Backend  # noqa: PLC0415 - --help needs none of it
    from ml_backend.locks import held  # noqa: PLC0415

    backend = Backend(settings.model_copy(update={"torch_threads": settings.training_torch_threads}))
    errors = to_person()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=errors, disable=not errors.is_terminal) as shown,
        held(settings.data_dir / "training.lock", wait=True),
    ):
        step = shown.add_task("starting", total=None)
        trained = backend.trainer.train(
            project,
            datetime.now(UTC),
            lambda name, done, total: shown.update(step, description=name, completed=done, total=total),
        )
    backend.close()
    console = Console()
    console.print(
        f"[bold]{trained.artifact.model_version}[/bold]: {trained.artifact.n_images} images, "
        f"{trained.predictions} predictions stored"
    )
    table = Table("control", "annotated and checked", "accuracy", "mean score", "calibration error")
    for scores in trained.artifact.model.controls:
        check = scores.check
        table.add_row(
            scores.control.name,
            str(check.tasks),
            *map(number, (check.accuracy, check.mean_score, check.calibration_error)),
        )
    console.print(table)
    for reason, count in Counter(trained.failures.values()).items():
        console.print(f"{count} images left out: {reason}")
