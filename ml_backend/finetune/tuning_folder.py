"""What a tuning keeps on disk while it runs, so that it can go on after anything: ``projects/<id>/tuning/``.

The images are written first, then the targets, last the plan: without a plan nothing was begun.
"""

import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import SuiteError
from common.files import replacing, write_whole
from ml_backend.core.finetune.targets import ControlTargets

IMAGES = "images.u8"
_COLUMNS = ("tasks", "keys", "urls", "contents")
_PLAN, _INPUTS, _CHECKPOINT = "plan.json", "inputs.npz", "checkpoint.pt"


class TuningError(SuiteError):
    """A tuning cannot begin or go on; its message says how it can."""


@dataclass(frozen=True)
class Plan:
    """What was decided when a tuning began.

    Parameters
    ----------
    how : str
        ``finetune`` or ``pretrain``.
    backbone, weights_id : str
        What it starts from.
    began_at : str
        ISO 8601, UTC.
    n_project : int
        Images of the whole project.
    n_images, side : int
        How many were prepared, and the pixels of their side.
    controls : mapping of str to bool
        The controls that have targets, and whether several labels may be chosen.
    failures : mapping of str to int
        How many images could not be prepared, by reason.
    stamp : str
        When the project was made; another project may have the id now. Empty if that was not known.
    """

    how: str
    backbone: str
    weights_id: str
    seed: int
    options: Mapping[str, float]
    began_at: str
    n_project: int
    n_images: int
    side: int
    controls: Mapping[str, bool] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    stamp: str = ""


@dataclass(frozen=True)
class Inputs:
    """What a tuning learns from besides the images.

    Parameters
    ----------
    tasks : (n_images,) int64
        Id of each image's task.
    keys : (n_images,) str
        Key of the task's data that holds the image.
    urls : (n_images,) str
        Where each image was found.
    contents : (n_images,) str
        SHA-256 of each file.
    targets : dict of str to ControlTargets
        By the name of the control; empty for a pre-training of a project without annotations.
    """

    tasks: NDArray[np.int64]
    keys: NDArray[np.str_]
    urls: NDArray[np.str_]
    contents: NDArray[np.str_]
    targets: dict[str, ControlTargets]


class TuningFolder:
    """The files of one project's tuning."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_project(cls, data_dir: Path, project_id: int) -> "TuningFolder":
        """Name the folder of a project."""
        return cls(data_dir / "projects" / str(int(project_id)) / "tuning")

    def plan(self) -> Plan | None:
        """Return what was begun and has not ended, if anything.

        Raises
        ------
        TuningError
            If it is there and cannot be read.
        """
        path = self.path / _PLAN
        try:
            return Plan(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise TuningError(f"{str(path)!r} cannot be read: --restart begins anew") from None

    def begin(self, plan: Plan, inputs: Inputs) -> None:
        """Keep what was decided; the images must be there."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(inputs, name) for name in _COLUMNS}
        for name, targets in inputs.targets.items():
            arrays |= {f"shares/{name}": targets.shares, f"weights/{name}": targets.weights}
        with replacing(self.path / _INPUTS) as unfinished, unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        write_whole(self.path / _PLAN, json.dumps(asdict(plan), indent=1))

    def inputs(self, plan: Plan) -> Inputs:
        """Read what a tuning learns from besides the images.

        Raises
        ------
        TuningError
            If it cannot be read.
        """
        path = self.path / _INPUTS
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                targets = {
                    name: ControlTargets(stored[f"shares/{name}"], stored[f"weights/{name}"], multiple)
                    for name, multiple in plan.controls.items()
                }
                return Inputs(**{name: stored[name] for name in _COLUMNS}, targets=targets)
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(path, error) from None

    def images(self, plan: Plan) -> NDArray[np.uint8]:
        """Return the prepared images as a memory map: (n_images, 3, side, side) uint8.

        Raises
        ------
        TuningError
            If they are not there or cut off.
        """
        path = self.path / IMAGES
        shape = plan.n_images, 3, plan.side, plan.side
        try:
            return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from None

    def save_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep a checkpoint in place of the last one, in one step.

        Raises
        ------
        OSError
            If the disk is full; the last checkpoint stays.
        """
        import torch  # noqa: PLC0415 - takes seconds

        buffer = io.BytesIO()  # into a file torch raises errors of its own when the disk is full
        torch.save(dict(checkpoint), buffer)
        write_whole(self.path / _CHECKPOINT, buffer.getvalue())

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the last checkpoint, on the processor; None before the first.

        Raises
        ------
        TuningError
            If it cannot be read.
        """
        import torch  # noqa: PLC0415 - takes seconds

        path = self.path / _CHECKPOINT
        if not path.is_file():
            return None
        try:
            checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises pickle's, zip's and its own errors
            raise _damaged(path, error) from error
        return checkpoint

    def clear(self) -> None:
        """Delete the files, the plan first."""
        (self.path / _PLAN).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)


def _damaged(path: Path, error: Exception) -> TuningError:
    return TuningError(f"{str(path)!r} cannot be read ({type(error).__name__}): --restart begins anew")
