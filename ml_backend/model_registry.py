"""Trained models on disk: ``projects/<id>/versions/<model version>/`` and a ``current`` file that names one.

A version is written beside its place and renamed into it, and ``current`` is replaced in one step, so that a
reader in any process sees a whole model or none. Arrays are plain npz and the rest JSON: loading runs no code.
``chosen`` names a version that a person went back to; it says so only while ``current`` names the same. A version
that should take over holds an empty file ``unanswered`` until it does.
"""

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from common.files import to_disk, write_whole
from ml_backend.core.held_out import HeldOutCheck
from ml_backend.core.identity import Identity
from ml_backend.core.model import ProjectModel, from_arrays, to_arrays
from ml_backend.core.versions import newest_first
from ml_backend.errors import VersionError

log = structlog.get_logger()

_ARRAYS, _DESCRIPTION = "model.npz", "model.json"
_CURRENT, _CHOSEN = "current", "chosen"
_UNANSWERED = "unanswered"
_CALIBRATION = "calibration/"
# What loading raises on a file that is missing, cut off or not ours.
_DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Artifact:
    """A trained model and the embedder that it belongs to.

    Parameters
    ----------
    created_at : str
        ISO 8601, UTC.
    embedding_key : str
        The embedder's; embeddings of any other key do not fit this model.
    label_config : str
        SHA-256 of the config that it was trained with.
    n_images, n_calibrated : int
        Images that were clustered, and that the batch normalisation was calibrated on.
    calibration : mapping of str to float32 arrays
        Empty unless the weights are random.
    stamp : str
        When its project was made; another project may have the id now. Empty if that was not known.
    n_annotated, n_settled : int
        Tasks that it learned from, and how many of them by a label of consensus.
    held_back : str
        Why it did not take over when it was made; empty if it did.
    comparison : mapping
        ``Comparison.as_dict`` with the version that answered then.
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
    stamp: str = ""
    n_annotated: int = 0
    n_settled: int = 0
    held_back: str = ""
    comparison: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """What its embeddings depend on."""
        return Identity(self.backbone, self.weights_id, self.seed, self.calibration)

    def summary(self) -> dict[str, Any]:
        """Return all but the arrays."""
        plain = {name: value for name, value in vars(self).items() if name not in ("model", "calibration")}
        return plain | {"comparison": dict(self.comparison), "controls": to_arrays(self.model)[1]}


@dataclass(frozen=True)
class VersionRecord:
    """What is known of a version without its arrays.

    Parameters
    ----------
    described : mapping
        ``Artifact.summary``; empty where the version is damaged.
    unanswered : bool
        Whether it should have taken over, and its training was ended before it could.
    """

    model_version: str
    described: Mapping[str, Any]
    unanswered: bool = False

    @property
    def held_back(self) -> str:
        """Why it did not take over when it was made."""
        return str(self.described.get("held_back", ""))

    @property
    def took_over(self) -> bool:
        """Whether its training let it answer."""
        return not self.held_back and not self.unanswered

    @property
    def checks(self) -> dict[str, HeldOutCheck]:
        """How each control did on held-out annotations."""
        checks = {
            described["control"]["name"]: described["check"] for described in self.described.get("controls", ())
        }
        return {name: HeldOutCheck.from_dict(check) for name, check in checks.items()}

    @property
    def labels(self) -> dict[str, list[str]]:
        """The labels of each control."""
        controls = (described["control"] for described in self.described.get("controls", ()))
        return {control["name"]: list(control["labels"]) for control in controls}


class ModelRegistry:
    """The models of all projects under one folder."""

    def __init__(self, data_dir: Path) -> None:
        self._projects = data_dir / "projects"

    def current(self, project_id: int, stamp: str | None = None) -> Artifact | None:
        """Load the model that answers for a project; None before the first training.

        None as well, and a line in the log, for a model that is damaged: the next training makes another one.

        Parameters
        ----------
        stamp : str, optional
            When the project was made, as Label Studio names it: the model of another project that had the id
            before is none.
        """
        version = self.current_version(project_id)
        if version is None:
            return None
        try:
            artifact = self._load_or_newer(project_id, version)
        except _DAMAGE as error:
            log.error("model_unreadable", project=project_id, version=version, error=type(error).__name__)
            return None
        return None if stamp and artifact.stamp and artifact.stamp != stamp else artifact

    def current_version(self, project_id: int, stamp: str | None = None) -> str | None:
        """Name the model that answers for a project; with a stamp only where it can be loaded, as ``current``."""
        if stamp:
            artifact = self.current(project_id, stamp)
            return artifact.model_version if artifact else None
        return _named_by(self._project(project_id) / _CURRENT)

    def chosen_version(self, project_id: int) -> str | None:
        """Name the version that answers because a person went back to it; None if none does."""
        chosen = _named_by(self._project(project_id) / _CHOSEN)
        return chosen if chosen == self.current_version(project_id) else None

    def load(self, project_id: int, model_version: str) -> Artifact:
        """Load any version.

        Raises
        ------
        VersionError
            If it is not there, or damaged.
        """
        there = self.versions(project_id)
        if model_version not in there:
            listed = ", ".join(there) or "none"
            raise VersionError(f"project {project_id} has no version {model_version!r}; it has: {listed}")
        try:
            return _load(self._folder(project_id, model_version))
        except _DAMAGE as error:
            raise VersionError(
                f"version {model_version} of project {project_id} cannot be read ({type(error).__name__}): "
                "choose another one, or train again"
            ) from None

    def save(self, project_id: int, artifact: Artifact) -> None:
        """Write a version. It does not answer until ``switch``. Only one training at a time may write."""
        versions = self._project(project_id) / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        for left in versions.glob(".*"):  # by a training that was killed
            shutil.rmtree(left, ignore_errors=True)
        arrays, _ = to_arrays(artifact.model)
        arrays |= {_CALIBRATION + name: values for name, values in artifact.calibration.items()}
        unfinished = Path(tempfile.mkdtemp(prefix=".", dir=versions))
        try:
            np.savez_compressed(unfinished / _ARRAYS, allow_pickle=False, **arrays)
            (unfinished / _DESCRIPTION).write_text(json.dumps(artifact.summary(), indent=2), "utf-8")
            if not artifact.held_back:
                (unfinished / _UNANSWERED).touch()
            unfinished.chmod(0o755)
            for written in (unfinished / _ARRAYS, unfinished / _DESCRIPTION, unfinished):
                to_disk(written)
            unfinished.rename(versions / artifact.model_version)
            to_disk(versions)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def switch(self, project_id: int, model_version: str, *, chosen: bool = False) -> None:
        """Let a saved version answer, in every worker from its next request on.

        Parameters
        ----------
        chosen : bool
            Whether a person has gone back to it.
        """
        if chosen:
            write_whole(self._project(project_id) / _CHOSEN, model_version, alone=True)
        before = self.current_version(project_id)
        write_whole(self._project(project_id) / _CURRENT, model_version, alone=True)
        for answered in (before or model_version, model_version):  # a killed switch may have left the one before
            (self._folder(project_id, answered) / _UNANSWERED).unlink(missing_ok=True)
        if not chosen:
            (self._project(project_id) / _CHOSEN).unlink(missing_ok=True)

    def versions(self, project_id: int) -> list[str]:
        """Name the versions of a project, newest first."""
        folders = [path.parent for path in self._project(project_id).glob(f"versions/[!.]*/{_DESCRIPTION}")]
        return newest_first(path.name for path in folders)

    def projects(self) -> list[int]:
        """Ids of the projects that were ever trained."""
        names = (path.parent.name for path in self._projects.glob("[0-9]*/current"))
        return sorted(int(name) for name in names if name.isdecimal())

    def records(self, project_id: int) -> list[VersionRecord]:
        """Describe the versions of a project, newest first."""
        folders = ((version, self._folder(project_id, version)) for version in self.versions(project_id))
        return [
            VersionRecord(version, _described(folder), (folder / _UNANSWERED).exists())
            for version, folder in folders
        ]

    def retained(self, project_id: int, keep: int) -> list[str]:
        """Name the versions that stay: the newest ``keep`` that took over, the newest of all, the current one."""
        records = self.records(project_id)
        took_over = [record.model_version for record in records if record.took_over]
        stay = {*took_over[:keep], *self.versions(project_id)[:1], self.current_version(project_id)}
        return [record.model_version for record in records if record.model_version in stay]

    def discard(self, project_id: int, model_version: str) -> None:
        """Delete a version that was saved and could not be published, unless it answers."""
        if self.current_version(project_id) != model_version:
            shutil.rmtree(self._folder(project_id, model_version), ignore_errors=True)

    def prune(self, project_id: int, keep: int) -> None:
        """Delete all versions but the retained ones."""
        stay = self.retained(project_id, keep)
        for version in self.versions(project_id):
            if version not in stay:
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


def _named_by(pointer: Path) -> str | None:
    """Return what a small file names; None where it is missing or empty."""
    try:
        return pointer.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def _described(folder: Path) -> Mapping[str, Any]:
    try:
        record = VersionRecord("", json.loads((folder / _DESCRIPTION).read_text("utf-8")))
        _ = record.held_back, record.checks, record.labels
    except _DAMAGE:
        return {}
    return record.described


@lru_cache(maxsize=16)
def _load(folder: Path) -> Artifact:
    described = json.loads((folder / _DESCRIPTION).read_text("utf-8"))
    with (folder / _ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    model = from_arrays(arrays, described.pop("controls"))
    calibration = {
        name.removeprefix(_CALIBRATION): values for name, values in arrays.items() if name.startswith(_CALIBRATION)
    }
    return Artifact(model=model, calibration=calibration, **described)
