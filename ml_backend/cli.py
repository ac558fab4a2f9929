"""The command ``ml-backend``."""

import os
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ml_backend.errors import MLBackendError, NothingToLearnError
from ml_backend.logs import configure_logs
from ml_backend.settings import Settings, get_settings, read_settings

cli = typer.Typer(
    help="Pre-annotations for Label Studio from ResNet embeddings and k-means.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [ML_BACKEND_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [ML_BACKEND_PORT]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer. [ML_BACKEND_WORKERS]")] = None,
) -> None:
    """Serve the routes that Label Studio calls, and train when it reports annotations."""
    from ml_backend.serve import serve as run  # noqa: PLC0415 - the other command needs no server

    given = {"host": host, "port": port, "workers": workers}
    run(read_settings(**{key: value for key, value in given.items() if value is not None}))


@cli.command()
def train(
    project: Annotated[int, typer.Option(help="Id of the project in Label Studio.")],
) -> None:
    """Learn from all annotations of a project and publish the result as a new model version."""
    settings = get_settings()
    try:
        _train(project, settings)
    except NothingToLearnError as error:
        _say(f"Nothing to learn: {error}. No new version was made.")


def main() -> None:
    """Run the command; what a person can fix is one line, without a traceback."""
    configure_logs()
    # Threads that wait by spinning take the processor from Label Studio on the same machine; read as torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        cli()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "ml_backend":
            raise
        _fail(f'{error.name} is not installed: pip install "label-studio-consensus[ml]"')
    except MLBackendError as error:
        _fail(str(error))
    except (OSError, sqlite3.Error) as error:
        _fail(f"{error} (ML_BACKEND_DATA_DIR must be a folder with free space that this account may write)")


def _fail(why: str) -> NoReturn:
    _say(f"Error: {why}")
    raise SystemExit(1) from None


def _train(project: int, settings: Settings) -> None:
    from ml_backend.backend import Backend  # noqa: PLC0415 - --help needs none of it
    from ml_backend.locks import held  # noqa: PLC0415

    backend = Backend(settings.model_copy(update={"torch_threads": settings.training_torch_threads}))
    errors = _to_person()
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
            *map(_number, (check.accuracy, check.mean_score, check.calibration_error)),
        )
    console.print(table)
    for reason, count in Counter(trained.failures.values()).items():
        console.print(f"{count} images left out: {reason}")


def _to_person() -> Console:
    return Console(stderr=True)


def _say(sentence: str) -> None:
    """Print as it is: a bracket in a message is no markup."""
    _to_person().print(sentence, markup=False, highlight=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
