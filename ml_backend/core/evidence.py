"""Annotations become targets: what share of the annotators chose each label of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import decision_in, is_of_report
from common.label_studio.annotations import account_of, answer_on, choices_in, counted
from ml_backend.core.controls import Control


@dataclass(frozen=True)
class Annotation:
    """One submitted annotation.

    Parameters
    ----------
    annotator : int
        Account that made it; of a deleted one a negative number of this annotation's own.
    updated_at : str
        ISO 8601.
    skipped, ground_truth : bool
        As in Label Studio (there ``skipped`` is ``was_cancelled``). One whose regions cannot be read is skipped.
    choices : mapping of str to tuple of str
        Chosen labels by control name; a control that was left empty is absent.
    judges : bool
        Whether a person has made it: what was taken over in bulk from predictions, reports or suggestions may
        teach, but says nothing of how right a model is.
    """

    annotator: int
    updated_at: str
    skipped: bool
    ground_truth: bool
    choices: Mapping[str, tuple[str, ...]]
    id: int = 0
    judges: bool = True

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Annotation":
        """Read an annotation as Label Studio sends it."""
        number, account = int(raw.get("id") or 0), account_of(raw)
        choices = choices_in(raw.get("result") or ())
        return cls(
            annotator=-number if account is None else account,
            updated_at=str(raw.get("updated_at") or raw.get("created_at") or ""),
            skipped=bool(raw.get("was_cancelled")) or bool(choices.faults),
            ground_truth=bool(raw.get("ground_truth")),
            choices=choices.made,
            id=number,
            judges=_is_by_a_person(raw),
        )


def _is_by_a_person(raw: Mapping[str, Any]) -> bool:
    """Return whether somebody looked at the task: predictions that are taken over have no time."""
    result = raw.get("result") or ()
    mark = decision_in(result)
    in_bulk = raw.get("parent_prediction") is not None and raw.get("lead_time") is None
    return not (in_bulk or is_of_report(result) or (mark is not None and not mark.teaches))


def targets(
    control: Control, tasks: Sequence[Sequence[Annotation]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return for each task the share of its annotators who chose each label.

    The latest annotation of an annotator on a task counts, a skipped one says nothing, and where a task has
    ground truth only the latest of that counts. An empty single choice says nothing; an empty multiple choice says
    "none". See ``common.label_studio.annotations``.

    Parameters
    ----------
    control : Control
        Whose labels become the columns.
    tasks : sequence of sequences of Annotation
        The annotations of each task.

    Returns
    -------
    shares : (n_tasks, n_labels) float32
        In [0, 1]; rows of a single choice sum to 1 where there is a target, else 0.
    has_target : (n_tasks,) bool
        Whether the task holds any evidence.

    Examples
    --------
    >>> control = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    >>> cat = Annotation(1, "2026-01-01", False, False, {"kind": ("cat",)})
    >>> dog = Annotation(2, "2026-01-02", False, False, {"kind": ("dog",)})
    >>> shares, has_target = targets(control, [[cat, dog], []])
    >>> shares.tolist(), has_target.tolist()
    ([[0.5, 0.5], [0.0, 0.0]], [True, False])
    """
    shares = np.zeros((len(tasks), len(control.labels)), dtype=np.float32)
    has_target = np.zeros(len(tasks), dtype=np.bool_)
    for row, annotations in enumerate(tasks):
        votes = [
            vote
            for vote in (_vote(control, annotation) for annotation in _counted(annotations))
            if vote is not None
        ]
        if votes:
            shares[row] = np.mean(votes, axis=0)
            has_target[row] = True
    return shares, has_target


def _counted(annotations: Sequence[Annotation]) -> list[Annotation]:
    latest = [annotation for annotation in counted(annotations) if not annotation.skipped]
    return [annotation for annotation in latest if annotation.ground_truth] or latest


def _vote(control: Control, annotation: Annotation) -> list[float] | None:
    chosen = answer_on(control.name, annotation.choices, multiple=control.multiple, conditions=control.conditions)
    if chosen is None or (not chosen and not control.multiple):
        return None
    if chosen and not set(chosen) & set(control.labels):
        return None  # labels of an older config
    return [float(label in chosen) for label in control.labels]
