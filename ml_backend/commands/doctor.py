"""``ml-backend doctor``."""

from typing import Annotated

import typer


def doctor(
    project: Annotated[
        list[int] | None,
        typer.Option(help="Id of a project; all that are connected to this backend if not given."),
    ] = None,
    url: Annotated[
        str, typer.Option(help="This backend's address as seen from Label Studio. [ML_BACKEND_PUBLIC_URL]")
    ] = "",
    images: Annotated[int, typer.Option(min=0, help="Images of each project that are fetched to see.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what goes wrong between Label Studio and this backend, and what helps. Changes nothing.

    Ends with status 1 where something is to be done; warnings do not count.
    """
    from common.doctor import report  # noqa: PLC0415 - --help needs none of it
    from ml_backend.doctor import examine  # noqa: PLC0415
    from ml_backend.settings import get_settings, read_settings  # noqa: PLC0415

    settings = read_settings(public_url=url) if url else get_settings()
    report(lambda step: examine(settings, project or (), images=images, progress=step), as_json=as_json)
