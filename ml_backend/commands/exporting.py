"""``ml-backend export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.console import say
from common.errors import SuiteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_backend.backend import Backend
    from ml_backend.core.identity import Identity


def export(
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="As ML_BACKEND_BACKBONE names it; may be given several times. \\[what the settings name, what "
            "was tuned here, and what the versions of all projects need]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also copy them into this folder, for ML_BACKEND_ENGINES_DIR.")
    ] = None,
) -> None:
    """Write networks as ONNX files into the data folder, for a backend without torch.

    Beside each lies a JSON with its backbone, weights, preparation and checksum.
    """
    from ml_backend.backend import Backend  # noqa: PLC0415 - --help needs none of it
    from ml_backend.settings import get_settings, read_settings  # noqa: PLC0415

    backends = [Backend(read_settings(backbone=name)) for name in backbone or []]
    failed = False
    for backend, identity in [(made, None) for made in backends] or _of_everything(Backend(get_settings())):
        try:
            say(_export(backend, identity, out))
        except SuiteError as error:
            say(f"error: {error}", "red")
            failed = True
    raise typer.Exit(int(failed))


def _of_everything(backend: "Backend") -> "Iterator[tuple[Backend, Identity | None]]":
    """Return the identities that the projects need, after None, which stands for the configured one."""
    from ml_backend.embedding.configured import is_ours  # noqa: PLC0415 - --help needs none of it

    needed = {None: None} | {identity: identity for identity in backend.identities() if is_ours(identity)}
    return ((backend, identity) for identity in needed)


def _export(backend: "Backend", identity: "Identity | None", out: Path | None) -> str:
    from ml_backend.embedding.configured import exportable_identity  # noqa: PLC0415 - --help needs none of it
    from ml_backend.embedding.engines import copy_engine, description_file, engine_file, has_torch, verify  # noqa: PLC0415

    backbones = backend.backbones
    identity = identity or exportable_identity(backend.settings, backbones.is_exported)
    path = engine_file(backend.settings.data_dir, identity.key)
    if not description_file(path).is_file() and has_torch():
        path.unlink(missing_ok=True)  # of an earlier version, which wrote no description
    backbones.export(identity)
    verify(path)
    if out is not None:
        copied = out / path.name
        copy_engine(path.parent, copied)
        path = copied
    return f"{identity.key}: {path} ({path.stat().st_size / 1e6:.1f} MB)"
