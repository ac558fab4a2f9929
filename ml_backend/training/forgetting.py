"""What the data folder holds of projects, and how it goes: versions, requests, tasks that were read, weights."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from common.errors import RefusedError
from common.files import held
from ml_backend.embedding.cache import EmbeddingCache
from ml_backend.errors import ForgettingError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.ownership import owns
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings

_NOT_FOUND = 404


@dataclass(frozen=True)
class ProjectData:
    """What is kept of a project."""

    project_id: int
    versions: int
    n_bytes: int


def kept_projects(data_dir: Path) -> list[int]:
    """Ids of the projects of which anything is kept."""
    names = (folder.name for folder in (data_dir / "projects").glob("[0-9]*") if folder.is_dir())
    return sorted(int(name) for name in names if name.isdecimal())


def kept(data_dir: Path, project_id: int) -> ProjectData:
    """Measure what is kept of a project."""
    sizes = (path.stat().st_size for path in _folder(data_dir, project_id).rglob("*") if path.is_file())
    return ProjectData(project_id, len(ModelRegistry(data_dir).versions(project_id)), sum(sizes))


def gone(client: LabelStudioClient, project_ids: Collection[int]) -> list[int]:
    """Return which of these projects Label Studio does not have, or does not show to the account of the key.

    Raises
    ------
    ForgettingError
        If it shows none at all: then it is more likely another Label Studio or another account.
    """
    listed = set(client.project_ids())
    if project_ids and not listed:
        raise ForgettingError(
            f"Label Studio at {client.url} shows no project at all to the account of LABEL_STUDIO_API_KEY: check "
            "both, or name each project with --project"
        )
    return [project_id for project_id in project_ids if project_id not in listed and _is_gone(client, project_id)]


def check_forgettable(client: LabelStudioClient, settings: Settings, project_id: int) -> None:
    """Refuse a project that this backend would learn anew.

    Raises
    ------
    ForgettingError
    """
    if not _is_gone(client, project_id) and owns(client, settings, project_id):
        raise ForgettingError(
            f"project {project_id} is connected to this backend, which would learn it anew: first run "
            f"ml-backend disconnect --project {project_id}"
        )


def forget(settings: Settings, project_id: int) -> None:
    """Delete what is kept of a project; nothing happens in Label Studio.

    Raises
    ------
    ForgettingError
        If it is being trained.
    """
    folder = _folder(settings.data_dir, project_id)
    with held(folder / "training.lock", wait=False) as alone:
        if not alone:
            raise ForgettingError(f"project {project_id} is being trained just now: try again when that is over")
        shutil.rmtree(folder)
    cache = EmbeddingCache(settings.data_dir / "embeddings.sqlite", max_bytes=settings.cache_bytes)
    cache.forget(project_id)
    cache.close()


def _is_gone(client: LabelStudioClient, project_id: int) -> bool:
    try:
        client.project(project_id)
    except RefusedError as error:
        if error.http_status == _NOT_FOUND:
            return True
        raise
    return False


def _folder(data_dir: Path, project_id: int) -> Path:
    return data_dir / "projects" / str(int(project_id))
