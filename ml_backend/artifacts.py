"""Trained models on disk: ``projects/<id>/versions/<model version>/`` and a ``current`` file that names one.

A version is written beside its place and renamed into it, and ``current`` is replaced in one step, so that a
reader in any process sees a whole model or none. Arrays are plain npz and the rest JSON: loading runs no code.
"""

import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from ml_backend.core.model import ProjectModel, from_parts, to_parts
from ml_backend.core.versions import newest_first

log = structlog.get_logger()

_ARRAYS, _DESCRIPTION = "model.npz", "model.json"
_CALIBRATION = "calibration/"
# What loading raises on a file that is missing, cut off or not ours.
_DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Artifact:
    """A trained model and the embedder that it belongs to.

    Parameters
    ----------
    model_version : str
    created_at : str
        ISO 8601, UTC.
    backbone, weights_id : str
    seed : int
    embedding_key : str
        The embedder's; embeddings of any other key do not fit this model.
    label_config : str
        SHA-256 of the config that it was trained with.
    n_images, n_calibrated : int
        Images that were clustered, and that the batch normalisation was calibrated on.
    model : ProjectModel
    calibration : mapping of str to float32 arrays
        Empty unless the weights are random.
    """

    model_version: str
    created_at: str
    backbone: str
    weights_id: str
    seed: int
    embedding_key: str
    label_config: str
    n_images: int
    n_calibrated: int
    model: ProjectModel
    calibration: Mapping[str, NDArray[np.float32]]

    def summary(self) -> dict[str, Any]:
        """Give all but the arrays."""
        plain = {name: value for name, value in vars(self).items() if name not in ("model", "calibration")}
        return plain | {"controls": to_parts(self.model)[1]}


class Artifacts:
    """The models of all projects under one folder."""

    def __init__(self, data_dir: Path) -> None:
        self._projects = data_dir / "projects"

    def current(self, project_id: int) -> Artifact | None:
        """Load the model that answers for a project; None before the first training.

        None as well, and a line in the log, for a model that is damaged: the next training makes another one.
        """
        version = self.current_version(project_id)
        if version is None:
            return None
        try:
            return self._load_or_newer(project_id, version)
        except _DAMAGE as error:
            log.error("model_unreadable", project=project_id, version=version, error=type(error).__name__)
            return None

    def current_version(self, project_id: int) -> str | None:
        """Name the model that answers for a project."""
        try:
            version = (self._project(project_id) / "current").read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        return version or None

    def save(self, project_id: int, artifact: Artifact) -> None:
        """Write a version. It does not answer until ``switch``. Only one training at a time may write."""
        versions = self._project(project_id) / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        for left in versions.glob(".*"):  # by a training that was killed
            shutil.rmtree(left, ignore_errors=True)
        arrays, _ = to_parts(artifact.model)
        arrays |= {_CALIBRATION + name: values for name, values in artifact.calibration.items()}
        unfinished = Path(tempfile.mkdtemp(prefix=".", dir=versions))
        try:
            np.savez_compressed(unfinished / _ARRAYS, allow_pickle=False, **arrays)
            (unfinished / _DESCRIPTION).write_text(json.dumps(artifact.summary(), indent=2), "utf-8")
            unfinished.chmod(0o755)
            for written in (unfinished / _ARRAYS, unfinished / _DESCRIPTION, unfinished):
                _to_disk(written)
            unfinished.rename(versions / artifact.model_version)
            _to_disk(versions)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def switch(self, project_id: int, model_version: str) -> None:
        """Let a saved version answer, in every worker from its next request on."""
        pointer = self._project(project_id) / "current"
        unfinished = pointer.with_name(f".current.{os.getpid()}")
        unfinished.write_text(model_version, "utf-8")
        _to_disk(unfinished)
        unfinished.replace(pointer)
        _to_disk(pointer.parent)

    def versions(self, project_id: int) -> list[str]:
        """Name the versions of a project, newest first."""
        found = [path.parent for path in self._project(project_id).glob(f"versions/[!.]*/{_DESCRIPTION}")]
        return newest_first(path.name for path in found)

    def projects(self) -> list[int]:
        """Ids of the projects that were ever trained."""
        names = (path.parent.name for path in self._projects.glob("[0-9]*/current"))
        return sorted(int(name) for name in names if name.isdecimal())

    def prune(self, project_id: int, keep: int) -> None:
        """Delete all but the newest versions and the current one."""
        current = self.current_version(project_id)
        for version in self.versions(project_id)[keep:]:
            if version != current:
                shutil.rmtree(self._folder(project_id, version), ignore_errors=True)

    def _load_or_newer(self, project_id: int, version: str) -> Artifact:
        try:
            return _load(self._folder(project_id, version))
        except FileNotFoundError:  # perhaps a training has switched and pruned since the pointer was read
            return _load(self._folder(project_id, self.current_version(project_id) or version))

    def _project(self, project_id: int) -> Path:
        return self._projects / str(int(project_id))

    def _folder(self, project_id: int, version: str) -> Path:
        return self._project(project_id) / "versions" / version


def _to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=16)
def _load(folder: Path) -> Artifact:
    described = json.loads((folder / _DESCRIPTION).read_text("utf-8"))
    with (folder / _ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    model = from_parts(arrays, described.pop("controls"))
    calibration = {
        name.removeprefix(_CALIBRATION): values for name, values in arrays.items() if name.startswith(_CALIBRATION)
    }
    return Artifact(model=model, calibration=calibration, **described)
