"""The command ``ml-backend``."""

import os
import sqlite3

import typer

from common.console import add_version, let_help_flow, run_program, shows_help
from common.errors import FilesError
from ml_backend.commands.connect import connect
from ml_backend.commands.disconnect import disconnect
from ml_backend.commands.doctor import doctor
from ml_backend.commands.exporting import export
from ml_backend.commands.forget import forget
from ml_backend.commands.predicting import predict
from ml_backend.commands.serving import serve
from ml_backend.commands.training import train
from ml_backend.commands.tuning import finetune, pretrain
from ml_backend.commands.versions import promote, versions

cli = typer.Typer(
    help="Pre-annotations for Label Studio from ResNet embeddings, k-means and what annotators said.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
    serve,
    connect,
    disconnect,
    doctor,
    train,
    versions,
    promote,
    predict,
    finetune,
    pretrain,
    export,
    forget,
):
    cli.command()(_command)

add_version(cli)
let_help_flow(cli)


def main() -> None:
    """Run the command; what a person can fix is one line, without a traceback."""
    if not shows_help():
        from common.logs import configure_logs  # noqa: PLC0415

        configure_logs()
    # Threads that wait by spinning take the processor from Label Studio on the same machine; read as torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    run_program(
        _run,
        extra=".[ml]",
        interrupted="what was stored stays; the same command goes on from there",
    )


def _run() -> None:
    try:
        cli()
    except (OSError, sqlite3.Error) as error:
        raise FilesError(
            f"{error} (ML_BACKEND_DATA_DIR must be a folder with free space that this account may write)"
        ) from None
