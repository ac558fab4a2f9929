"""``ml-backend serve``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.doctor import Diagnosis
    from ml_backend.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [ML_BACKEND_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [ML_BACKEND_PORT]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer. [ML_BACKEND_WORKERS]")] = None,
) -> None:
    """Serve the routes that Label Studio calls, and train when it reports annotations."""
    from ml_backend.serving.serve import serve as run  # noqa: PLC0415 - the other commands need no server
    from ml_backend.settings import read_settings  # noqa: PLC0415

    given = {"host": host, "port": port, "workers": workers}
    settings = read_settings(**{key: value for key, value in given.items() if value is not None})
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # what is wrong is said before any worker begins
    run(settings, _examine)


def _examine(settings: "Settings", project: int) -> "Sequence[Diagnosis]":
    from ml_backend.doctor import examine  # noqa: PLC0415 - most servers are never asked

    return list(examine(settings, (project,)))
