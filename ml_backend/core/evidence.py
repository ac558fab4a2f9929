"""Annotations become targets: what share of the annotators chose each label of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.controls import Control


@dataclass(frozen=True)
class Annotation:
    """One submitted annotation.

    Parameters
    ----------
    annotator : int
        Account that made it.
    updated_at : str
        ISO 8601 in one format for all, so that order of text is order of time.
    skipped, ground_truth : bool
        As in Label Studio (there ``skipped`` is ``was_cancelled``).
    choices : mapping of str to tuple of str
        Chosen labels by control name; a control that was left empty is absent.
    """

    annotator: int
    updated_at: str
    skipped: bool
    ground_truth: bool
    choices: Mapping[str, tuple[str, ...]]


def targets(
    control: Control, tasks: Sequence[Sequence[Annotation]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Give each task the share of its annotators who chose each label.

    The latest annotation of an annotator on a task counts, a skipped one says nothing, and where a task has
    ground truth only that counts. An empty single choice says nothing; an empty multiple choice says "none".

    Parameters
    ----------
    control : Control
        Whose labels become the columns.
    tasks : sequence of sequences of Annotation
        The annotations of each task.

    Returns
    -------
    shares : (n_tasks, n_labels) float32
        In [0, 1]; rows of a single choice sum to 1 where known; 0 where nothing is known.
    known : (n_tasks,) bool
        Whether the task holds any evidence.

    Examples
    --------
    >>> control = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    >>> cat = Annotation(1, "2026-01-01", False, False, {"kind": ("cat",)})
    >>> dog = Annotation(2, "2026-01-02", False, False, {"kind": ("dog",)})
    >>> shares, known = targets(control, [[cat, dog], []])
    >>> shares.tolist(), known.tolist()
    ([[0.5, 0.5], [0.0, 0.0]], [True, False])
    """
    shares = np.zeros((len(tasks), len(control.labels)), dtype=np.float32)
    known = np.zeros(len(tasks), dtype=np.bool_)
    for row, annotations in enumerate(tasks):
        votes = [vote for vote in (_vote(control, one) for one in _counted(annotations)) if vote is not None]
        if votes:
            shares[row] = np.mean(votes, axis=0)
            known[row] = True
    return shares, known


def _counted(annotations: Sequence[Annotation]) -> list[Annotation]:
    latest: dict[int, Annotation] = {}
    for annotation in sorted(annotations, key=lambda one: one.updated_at):
        latest[annotation.annotator] = annotation
    spoken = [annotation for annotation in latest.values() if not annotation.skipped]
    return [one for one in annotations if one.ground_truth and not one.skipped] or spoken


def _vote(control: Control, annotation: Annotation) -> list[float] | None:
    chosen = set(annotation.choices.get(control.name, ()))
    known = chosen.intersection(control.labels)
    if chosen and not known:
        return None  # labels of an older config
    if not chosen and not control.multiple:
        return None
    weight = 1.0 if control.multiple else 1.0 / len(known)
    return [weight if label in known else 0.0 for label in control.labels]
