"""Whether a project of Label Studio is connected to this very backend.

Label Studio tries each connection when they are listed, and repeats what its ``/setup`` named: a version that only
this backend has trained, or, before the first one, a name with this backend's identity. So it does not matter
under which address Label Studio reaches it, and nothing is sent to addresses that others have entered.
"""

import contextlib
import secrets
from collections.abc import Collection, Iterable
from pathlib import Path

from common.files import held, write_whole
from common.label_studio.rows import ConnectionRow
from ml_backend.core.versions import is_ours, is_untrained_version, is_untrained_version_of
from ml_backend.errors import NotConnectedError
from ml_backend.label_studio.backend_address import same_address
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings

_NAME = "instance"


def instance_id(data_dir: Path) -> str:
    """Return the identity of the backend that keeps its data in a folder; made when first asked for.

    Empty where the folder can be neither read nor written.
    """
    path = data_dir / _NAME
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            with held(data_dir / f"{_NAME}.lock", wait=True):  # of several processes, the first decides
                if not path.exists():
                    write_whole(path, secrets.token_hex(6), alone=True)
        return path.read_text("ascii").strip()
    return ""


def known_instance(data_dir: Path) -> str:
    """Return the identity of the backend that keeps its data in a folder; empty where it has none yet."""
    return instance_id(data_dir) if (data_dir / _NAME).exists() else ""


def answers_as(version: str, versions: Collection[str], instance: str) -> bool:
    """Return whether what ``/setup`` named is a version of this backend.

    Parameters
    ----------
    versions : collection of str
        That it has trained for the project.
    instance : str
        Its identity; empty where that is not known here: then any backend of this kind may be meant.
    """
    if not instance:
        return is_ours(version) or is_untrained_version(version)
    return version in versions or is_untrained_version_of(version, instance)


def own_connections(
    rows: Iterable[ConnectionRow], public_url: str, versions: Collection[str], instance: str
) -> list[ConnectionRow]:
    """Return the connections that lead to this backend.

    Parameters
    ----------
    public_url : str
        Its address as Label Studio knows it; empty where that is not set.
    versions : collection of str
        That it has trained for the project.
    instance : str
        Its identity.
    """
    return [
        row
        for row in rows
        if same_address(row.url, public_url)
        or row.answers_with in versions
        or is_untrained_version_of(row.answers_with, instance)
        or (row.title in versions and not (row.works and row.follows_version))  # else what answers there is known
    ]


def owns(client: LabelStudioClient, settings: Settings, project_id: int) -> bool:
    """Return whether a project is connected to the backend of these settings.

    Raises
    ------
    LabelStudioError
        If Label Studio cannot be asked.
    """
    versions = ModelRegistry(settings.data_dir).versions(project_id)
    rows = client.connections(project_id)
    return bool(own_connections(rows, settings.public_url, versions, instance_id(settings.data_dir)))


def require_owned(client: LabelStudioClient, settings: Settings, project_id: int) -> None:
    """Raise NotConnectedError unless a project is connected to the backend of these settings."""
    if not owns(client, settings, project_id):
        raise NotConnectedError(
            f"project {project_id} is not connected to this backend, another may answer there: run ml-backend "
            f"connect --project {project_id}, or give --force"
        )
