"""The command ``ml-backend``."""

import os
import sqlite3
from typing import NoReturn

import typer

from common.errors import SuiteError
from ml_backend.commands.connect import connect
from ml_backend.commands.console import say
from ml_backend.commands.doctor import doctor
from ml_backend.commands.predicting import predict
from ml_backend.commands.serving import serve
from ml_backend.commands.training import train
from ml_backend.commands.tuning import finetune, pretrain
from ml_backend.commands.versions import promote, versions
from ml_backend.logs import configure_logs

cli = typer.Typer(
    help="Pre-annotations for Label Studio from ResNet embeddings, k-means and what annotators said.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (serve, connect, doctor, train, versions, promote, predict, finetune, pretrain):
    cli.command()(_command)


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
    except SuiteError as error:
        _fail(str(error))
    except (OSError, sqlite3.Error) as error:
        _fail(f"{error} (ML_BACKEND_DATA_DIR must be a folder with free space that this account may write)")


def _fail(why: str) -> NoReturn:
    say(f"Error: {why}")
    raise SystemExit(1) from None
