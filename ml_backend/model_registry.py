"""Trained models on disk: ``projects/<id>/versions/<model version>/`` and a ``current`` file that names one.

A version is written beside its place and renamed into it, and ``current`` is replaced in one step, so that a
reader in any process sees a whole model or none. Arrays are plain npz and the rest JSON: loading runs no code.
``chosen`` names a version that a person went back to; it says so only while ``current`` names the same. A version
that should take over holds an empty file ``unanswered`` until it does. Where ``current`` names nothing that can be
loaded, the newest sound version that took over answers. ``clusters.npz`` of a version says where its last
publication found the project's tasks.
"""

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from common.files import replacing, to_disk, write_whole
from ml_backend.core.clusters import Placed
from ml_backend.core.held_out import HeldOutCheck
from ml_backend.core.identity import WHOLE, Identity
from ml_backend.core.model import ProjectModel, from_arrays, to_arrays
from ml_backend.core.verification import yes_or_no
from ml_backend.core.versions import is_ours, newest_first
from ml_backend.errors import VersionError

log = structlog.get_logger()

_ARRAYS, _DESCRIPTION = "model.npz", "model.json"
_CLUSTERS = "clusters.npz"
_CURRENT, _CHOSEN = "current", "chosen"
_UNANSWERED = "unanswered"
_CALIBRATION = "calibration/"
_RECENT = 3  # the newest versions, which stay although they were held back
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
    learned_from : str
        SHA-256 of all that the training learned from: versions that share it are the same. Empty if not known.
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
    learned_from: str = ""

    @property
    def identity(self) -> Identity:
        """What its embeddings depend on."""
        return Identity(
            self.backbone, self.weights_id, self.seed, self.calibration, whole=self.embedding_key.endswith(WHOLE)
        )

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
        ``Artifact.summary``; empty where the version is damaged and cannot answer.
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
        """Whether its training let it answer, and it still can."""
        return bool(self.described) and not self.held_back and not self.unanswered

    @property
    def learned_from(self) -> str:
        """The same for equal versions."""
        return str(self.described.get("learned_from") or self.model_version)

    @property
    def checks(self) -> dict[str, HeldOutCheck]:
        """How each control did on held-out annotations."""
        checks = {
            described["control"]["name"]: described["check"] for described in self.described.get("controls", ())
        }
        return {name: HeldOutCheck.from_dict(check) for name, check in checks.items()}

    @property
    def labels(self) -> dict[str, list[str]]:
        """The labels by which each control was checked: yes and no where people verify given labels."""
        labels = {}
        for described in self.described.get("controls", ()):
            control, answers = described["control"], described["control"].get("answers")
            verified = answers and not HeldOutCheck.from_dict(described["check"]).is_agreement
            labels[control["name"]] = list(yes_or_no(answers) if verified else control["labels"])
        return labels


class ModelRegistry:
    """The models of all projects under one folder."""

    def __init__(self, data_dir: Path) -> None:
        self._projects = data_dir / "projects"
        self._logged: set[tuple[int, str]] = set()  # the damage that is in the log already

    def current(self, project_id: int, stamp: str | None = None) -> Artifact | None:
        """Load the model that answers for a project; None before the first training.

        In place of a damaged one the newest sound one that took over answers, and the log says so.

        Parameters
        ----------
        stamp : str, optional
            When the project was made, as Label Studio names it: the model of another project that had the id
            before is none.
        """
        artifact = self._answering(project_id)
        return None if artifact is None or (stamp and artifact.stamp not in ("", stamp)) else artifact

    def current_version(self, project_id: int, stamp: str | None = None) -> str | None:
        """Name what ``current`` loads."""
        artifact = self.current(project_id, stamp)
        return artifact.model_version if artifact else None

    def damage(self, project_id: int) -> str:
        """Say what is wrong with the version that should answer; empty where nothing is."""
        named, answering = self._named(project_id), self.current_version(project_id)
        if named == (answering or ""):
            return ""
        if named in self.versions(project_id):
            return f"the files of version {named}, which should answer, are damaged"
        return "the file that names the version that answers is damaged or gone"

    def faults(self) -> dict[int, str]:
        """Say of each project what is wrong with the version that should answer, or why none does."""
        faults = {}
        for project_id in self.projects():
            newest, answering = self.records(project_id)[:1], self.current_version(project_id)
            fault = self.damage(project_id)
            if answering is None and newest and newest[0].held_back:
                fault = f"no version answers: {newest[0].model_version} was held back"
            elif fault:
                fault += f"; {answering or 'no version'} answers"
            if fault:
                faults[project_id] = fault
        return faults

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

    def keep_clusters(self, project_id: int, model_version: str, placed: Placed) -> None:
        """Write which tasks are in which cluster of a version."""
        arrays = {"tasks": placed.tasks, "clusters": placed.clusters, "without": np.array(placed.without)}
        with (
            replacing(self._folder(project_id, model_version) / _CLUSTERS, alone=True) as path,
            path.open("wb") as file,
        ):
            np.savez_compressed(file, allow_pickle=False, **arrays)

    def clusters(self, project_id: int, model_version: str) -> Placed | None:
        """Read which tasks are in which cluster of a version; None where that was not kept, or is damaged."""
        try:
            with np.load(self._folder(project_id, model_version) / _CLUSTERS, allow_pickle=False) as stored:
                return Placed(stored["tasks"], stored["clusters"], int(stored["without"]))
        except _DAMAGE:
            return None

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
        names = (path.parent.name for path in self._projects.glob("[0-9]*/versions"))
        return sorted(int(name) for name in names if name.isdecimal() and self.versions(int(name)))

    def records(self, project_id: int) -> list[VersionRecord]:
        """Describe the versions of a project, newest first."""
        folders = ((version, self._folder(project_id, version)) for version in self.versions(project_id))
        return [
            VersionRecord(version, _described(folder), (folder / _UNANSWERED).exists())
            for version, folder in folders
        ]

    def same(self, project_id: int, learned_from: str) -> Artifact | None:
        """Load the newest version that has learned from the same; None where there is none."""
        records = self.records(project_id)
        same = (
            record.model_version for record in records if record.described and record.learned_from == learned_from
        )
        return next((self.load(project_id, version) for version in same), None)

    def retained(self, project_id: int, keep: int) -> list[str]:
        """Name the versions that stay, newest first.

        These are the newest ``keep`` that took over, of which equal ones count once, those of the newest three
        that were held back, the newest of all, and the one that answers.
        """
        records = self.records(project_id)
        distinct: dict[str, str] = {}
        for record in records:
            if record.took_over:
                distinct.setdefault(record.learned_from, record.model_version)
        held_back = {record.model_version for record in records[:_RECENT] if record.held_back}
        newest = self.versions(project_id)[:1]
        stay = {*list(distinct.values())[:keep], *held_back, *newest, self.current_version(project_id)}
        return [record.model_version for record in records if record.model_version in stay]

    def discard(self, project_id: int, model_version: str) -> None:
        """Delete a version that was saved and could not be published, unless it answers."""
        if self.current_version(project_id) != model_version:
            shutil.rmtree(self._folder(project_id, model_version), ignore_errors=True)

    def prune(self, project_id: int, keep: int, others: Collection[str] = ()) -> None:
        """Delete all versions but the retained ones and some others."""
        stay = [*self.retained(project_id, keep), *others]
        for version in self.versions(project_id):
            if version not in stay:
                shutil.rmtree(self._folder(project_id, version), ignore_errors=True)

    def _answering(self, project_id: int) -> Artifact | None:
        """Load what ``current`` names, or else the newest sound version that took over."""
        named, failed = self._named(project_id), ""
        while named != failed:
            try:
                return _load(self._folder(project_id, named))
            except _DAMAGE as error:
                if (project_id, named) not in self._logged:
                    self._logged.add((project_id, named))
                    log.error("model_unreadable", project=project_id, version=named, error=type(error).__name__)
                named, failed = self._named(project_id), named  # a training may have switched and pruned since
        sound = (record.model_version for record in self.records(project_id) if record.took_over)
        return next((_load(self._folder(project_id, version)) for version in sound), None)

    def _named(self, project_id: int) -> str:
        """Return what ``current`` names; empty where that is nothing that could be a version."""
        named = _named_by(self._project(project_id) / _CURRENT) or ""
        return named if is_ours(named) else ""

    def _project(self, project_id: int) -> Path:
        return self._projects / str(int(project_id))

    def _folder(self, project_id: int, version: str) -> Path:
        return self._project(project_id) / "versions" / version


def _named_by(pointer: Path) -> str | None:
    """Return what a small file names; None where it is missing, empty or cannot be read."""
    try:
        return pointer.read_text("utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _described(folder: Path) -> Mapping[str, Any]:
    try:
        if not _is_sound(folder, _state(folder)):
            return {}
        record = VersionRecord("", json.loads((folder / _DESCRIPTION).read_text("utf-8")))
        _ = record.held_back, record.checks, record.labels
    except _DAMAGE:
        return {}
    return record.described


def _state(folder: Path) -> tuple[int, ...]:
    """Return what changes with the files of a version."""
    files = [(folder / name).stat() for name in (_ARRAYS, _DESCRIPTION)]
    return tuple(number for file in files for number in (file.st_size, file.st_ctime_ns))


def _load(folder: Path) -> Artifact:
    return _loaded(folder, _state(folder))


@lru_cache(maxsize=4096)
def _is_sound(folder: Path, _: tuple[int, ...]) -> bool:
    try:
        _read(folder)
    except OSError:  # it may pass
        raise
    except _DAMAGE:
        return False
    return True


@lru_cache(maxsize=16)
def _loaded(folder: Path, _: tuple[int, ...]) -> Artifact:
    return _read(folder)


def _read(folder: Path) -> Artifact:
    described = json.loads((folder / _DESCRIPTION).read_text("utf-8"))
    with (folder / _ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    model = from_arrays(arrays, described.pop("controls"))
    calibration = {
        name.removeprefix(_CALIBRATION): values for name, values in arrays.items() if name.startswith(_CALIBRATION)
    }
    return Artifact(model=model, calibration=calibration, **described)
