"""Which weights of its own a project uses, and which of its tasks they were fine-tuned on.

``weights/<id>.json`` says how a state dict was made; ``projects/<id>/backbone.json`` is a copy of the one whose
weights the project's next training takes instead of the configured ones, with the stamp of the project's creation.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.files import write_whole
from ml_backend.core.identity import Identity
from ml_backend.embedding.checkpoints import kept_weights
from ml_backend.errors import WeightsError

_POINTER = "backbone.json"


@dataclass(frozen=True)
class Tuned:
    """A state dict that was made here.

    Parameters
    ----------
    how : str
        ``finetune`` or ``pretrain``.
    base : str
        What it started from: the embedding key without calibration.
    created_at : str
        ISO 8601, UTC.
    tuned_on : mapping of str to sequence of int
        By project id, the tasks whose labels it learned or was chosen by, or what it started from was.
    """

    backbone: str
    weights_id: str
    how: str
    base: str
    created_at: str
    tuned_on: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """What the embeddings depend on."""
        return Identity(self.backbone, self.weights_id)

    def clean(self, project_id: int, task_ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which tasks may judge a version that is made with these weights.

        Returns
        -------
        (n_tasks,) bool
            False for those whose labels the weights know.

        Examples
        --------
        >>> made = Tuned("resnet18", "0123abcd", "finetune", "resnet18:random-0", "2026-01-31", {"7": [1, 2]})
        >>> made.clean(7, [1, 2, 3]).tolist(), made.clean(8, [1]).tolist()
        ([False, False, True], [True])
        """
        tuned_on = np.array(self.tuned_on.get(str(project_id), ()), dtype=np.int64)
        return ~np.isin(np.asarray(task_ids, dtype=np.int64), tuned_on)

    def after(self, earlier: "Tuned | None") -> "Tuned":
        """Return the same with the tasks that the weights knew before."""
        tuned_on = dict(self.tuned_on)
        for project, tasks in (earlier.tuned_on if earlier else {}).items():
            tuned_on[project] = sorted({*tasks, *tuned_on.get(project, ())})
        return replace(self, tuned_on=tuned_on)


class TunedWeights:
    """The state dicts that were made here, and which project uses which."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def of_project(self, project_id: int, stamp: str | None = None) -> Tuned | None:
        """Return what a project uses instead of the configured weights, if anything.

        Parameters
        ----------
        stamp : str, optional
            When the project was made, as Label Studio names it: what another project used that had the id before
            is not for this one.

        Raises
        ------
        WeightsError
            If the file that says so cannot be read.
        """
        remedy = f"ml-backend finetune --project {project_id} --undo removes it"
        tuned, kept_stamp = _read(self._pointer(project_id), remedy)
        return None if stamp and kept_stamp and kept_stamp != stamp else tuned

    def made(self, weights_id: str) -> Tuned | None:
        """Return how weights were made; None if it was not here."""
        return _read(self._description(weights_id), "it was written beside the weights")[0]

    def all(self) -> list[Tuned]:
        """Return how the weights were made whose files are here; a damaged description is passed over."""
        made = []
        for path in sorted((self._data_dir / "weights").glob("*.json")):
            with suppress(WeightsError):
                made.append(self.read(path.stem))
        return made

    def read(self, weights_id: str) -> Tuned:
        """Return how weights were made.

        Raises
        ------
        WeightsError
            If it was not here, or their file is gone.
        """
        made = self.made(weights_id)
        if made is None or not kept_weights(self._data_dir, weights_id).is_file():
            folder = str(self._description(weights_id).parent)
            raise WeightsError(f"no weights {weights_id!r} were made here: their files would be in {folder!r}")
        return made

    def keep(self, tuned: Tuned) -> None:
        """Write how weights were made."""
        _write(self._description(tuned.weights_id), tuned)

    def use(self, project_id: int, tuned: Tuned, stamp: str) -> None:
        """Let a project use weights, from its next training on.

        Parameters
        ----------
        stamp : str
            When the project was made, as Label Studio names it; empty if that is not known.
        """
        _write(self._pointer(project_id), tuned, stamp=stamp)

    def undo(self, project_id: int) -> bool:
        """Let a project use the configured weights again; tell whether it did not already."""
        pointer = self._pointer(project_id)
        there = pointer.exists()
        pointer.unlink(missing_ok=True)
        return there

    def _pointer(self, project_id: int) -> Path:
        return self._data_dir / "projects" / str(int(project_id)) / _POINTER

    def _description(self, weights_id: str) -> Path:
        return kept_weights(self._data_dir, weights_id).with_suffix(".json")


def _read(path: Path, remedy: str) -> tuple[Tuned | None, str]:
    """Return what is there, and the stamp that was written with it."""
    try:
        description = json.loads(path.read_text("utf-8"))
        stamp = str(description.pop("stamp", ""))
        return Tuned(**description), stamp
    except FileNotFoundError:
        return None, ""
    except (ValueError, TypeError, AttributeError):
        raise WeightsError(f"{str(path)!r} does not say which weights were made: {remedy}") from None


def _write(path: Path, tuned: Tuned, **more: str) -> None:
    write_whole(path, json.dumps(asdict(tuned) | more, indent=1))
