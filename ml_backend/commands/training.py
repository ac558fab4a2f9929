"""``ml-backend train``."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import TimeElapsedColumn
from rich.table import Table

from common.console import console as new_console
from common.console import error_console, say
from common.progress import Progress, bar_columns, shown_on
from ml_backend.commands.console import ProjectOption, number
from ml_backend.errors import NothingToLearnError, UnusableProjectError

if TYPE_CHECKING:
    from ml_backend.backend import Backend
    from ml_backend.settings import Settings


def train(
    project: ProjectOption,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Store and show the predictions though the project is not connected to this backend."
        ),
    ] = False,
) -> None:
    """Learn from all annotations of a project and publish the result as a new model version.

    In a project that is not connected to this backend nothing is stored or shown: another one may answer there.
    A version that does worse on held-out annotations than the one that answers is kept, but does not answer:
    `ml-backend versions` shows why, `ml-backend promote` lets it answer all the same.
    Where nothing was annotated yet, it ends well; where no image can be read, or no annotation fits the label
    config, it exits with 1.
    """
    from ml_backend.settings import get_settings  # noqa: PLC0415 - --help needs none of it

    settings = get_settings()
    try:
        _train(project, settings, force=force)
    except UnusableProjectError:
        raise
    except NothingToLearnError as error:
        say(f"Nothing to learn: {error}. No new version was made.")


@contextmanager
def at_work(settings: "Settings") -> Iterator[tuple["Backend", Progress]]:
    """Show the progress of a backend that does nothing else, while no other training runs on this machine."""
    from common.files import held  # noqa: PLC0415
    from ml_backend.backend import Backend  # noqa: PLC0415 - --help needs none of it

    backend = Backend(settings.model_copy(update={"torch_threads": settings.training_torch_threads}))
    columns, waiting = bar_columns(TimeElapsedColumn()), "waiting for another training"
    try:
        with (
            shown_on(error_console(), *columns, first=waiting) as progress,
            held(settings.data_dir / "training.lock", wait=True),
        ):
            progress("starting", 0, 0)
            yield backend, progress
    finally:
        backend.close()


def show_failures(console: Console, reasons: Iterable[str]) -> None:
    """Count the images that were left out, by reason."""
    for reason, count in Counter(reasons).items():
        console.print(f"{count} images left out: {reason}")


def _train(project: int, settings: "Settings", *, force: bool) -> None:
    from ml_backend.label_studio.ownership import owns  # noqa: PLC0415 - --help needs none of it

    with at_work(settings) as (backend, progress):
        shown = force or owns(backend.client, settings, project)
        trained = backend.trainer.train(project, datetime.now(UTC), progress, shown=shown)
        backend.prune_engines(time.time())
    console, artifact = new_console(), trained.artifact
    console.print(
        f"{artifact.model_version}: {artifact.n_images} images, {artifact.n_annotated} annotated "
        f"({artifact.n_settled} by consensus), {trained.predictions} predictions stored"
    )
    table = Table("control", "checked", "accuracy", "macro F1", "mean score", "calibration error")
    for scores in artifact.model.controls:
        check = scores.check
        figures = (check.accuracy, check.macro_f1, check.mean_score, check.calibration_error)
        table.add_row(scores.control.name, str(check.tasks), *map(number, figures))
    console.print_table(table)
    if artifact.model.is_from_names:
        console.print(
            "It is from the names of the labels and measured on nothing yet: it ticks nothing in advance."
        )
    if trained.unused:
        console.print(
            f"{trained.unused} answers could not be used: they chose what their control does not offer. If that "
            "has a new name, set ML_BACKEND_RENAMED."
        )
    if not trained.new:
        console.print(f"{trained.why} No new version was made.")
    if artifact.held_back and trained.serving != artifact.model_version:
        console.print(f"It does not answer; {trained.serving or 'no other version'} does. {artifact.held_back}")
        console.print(f"To let it answer: ml-backend promote {artifact.model_version} --project {project}")
    if not shown:
        console.print(
            f"Project {project} is not connected to this backend: no predictions were stored or shown. "
            f"ml-backend connect --project {project} connects it; --force stores and shows them all the same.",
        )
    show_failures(console, trained.failures.values())
