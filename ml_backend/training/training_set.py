"""What a training learns from, and what a version says of a project: between tasks, embeddings and the core."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.consensus_targets import consensus_targets
from ml_backend.core.controls import Control
from ml_backend.core.evidence import targets
from ml_backend.core.model import Evidence
from ml_backend.core.suggestions import suggestion
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.errors import NothingToLearnError
from ml_backend.label_studio.client import Task
from ml_backend.predict.predict import score
from ml_backend.training.model_registry import Artifact

Clean = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""Tells which tasks, by id, the backbone has not learned the labels of."""


def evidence_digest(embeddings: NDArray[np.float32], evidence: Sequence[Evidence]) -> str:
    """Give the SHA-256 of what is learned, by which two versions of one second differ."""
    digest = hashlib.sha256(embeddings.tobytes())
    for one in evidence:
        digest.update(one.shares.tobytes())
    return digest.hexdigest()


def image_refs(tasks: Sequence[Task], controls: Sequence[Control]) -> list[ImageRef]:
    """List the images of tasks that the controls are about."""
    keys = sorted({control.image_key for control in controls})
    return [ImageRef.of(task.id, key, task.data) for task in tasks for key in keys]


def require_evidence(project_id: int, controls: Sequence[Control], tasks: Sequence[Task]) -> None:
    """Raise NothingToLearnError unless some annotation says something of a control."""
    if not controls:
        raise NothingToLearnError(
            f"project {project_id} has no <Choices> bound to an <Image>: there is nothing to suggest"
        )
    if not any(targets(control, [task.annotations for task in tasks])[1].any() for control in controls):
        raise NothingToLearnError(
            f"project {project_id} has no annotation to learn from yet ({len(tasks)} tasks): annotate some"
        )


def find_evidence(
    controls: Sequence[Control], tasks: Sequence[Task], gathered: Gathered, clean: Clean | None = None
) -> tuple[list[Evidence], set[int]]:
    """Give each control's targets for the images that were embedded, in the order of ``gathered.vectors``.

    Parameters
    ----------
    controls : sequence of Control
    tasks : sequence of Task
        With what consensus says of them, if it does.
    gathered : Gathered
    clean : callable, optional
        Which tasks may judge; all if left out.

    Returns
    -------
    evidence : list of Evidence
        Of the controls about which anything is known.
    settled : set of int
        Ids of the tasks of which consensus has settled a label.
    """
    row_of = {(ref.task_id, ref.key): row for row, ref in enumerate(gathered.vectors)}
    ids = np.array([task.id for task in tasks], dtype=np.int64)
    annotations, verdicts = [task.annotations for task in tasks], [task.verdicts for task in tasks]
    found, settled = [], set[int]()
    for control in controls:
        learned = consensus_targets(control, annotations, verdicts)
        rows = np.array([row_of.get((task.id, control.image_key), -1) for task in tasks], dtype=np.int64)
        use = learned.known & (learned.weights > 0) & (rows >= 0)
        if not use.any():
            continue
        settled.update(ids[use & learned.settled].tolist())
        found.append(
            Evidence(
                control,
                rows[use],
                learned.shares[use],
                weights=learned.weights[use],
                clean=clean(ids[use]) if clean else None,
                tasks=ids[use],
            )
        )
    return found, settled


def predict_gathered(
    artifact: Artifact, gathered: Gathered, controls: Sequence[Control] | None = None
) -> list[dict[str, Any]]:
    """Make the predictions of all embedded tasks, each with its ``task``; for the trained controls by default."""
    trained = {scores.control.name: scores.control for scores in artifact.model.controls}
    asked = trained.values() if controls is None else controls
    served = {control.name: control for control in asked if control.name in trained}
    by_task: dict[int, list[tuple[Control, Any]]] = {}
    for ref, pairs in score(artifact, served, gathered).items():
        by_task.setdefault(ref.task_id, []).extend(pairs)
    made = (
        (task_id, suggestion(pairs, task_id=task_id, model_version=artifact.model_version))
        for task_id, pairs in by_task.items()
    )
    return [{"task": task_id, **prediction} for task_id, prediction in made if prediction]


def clusters_of_tasks(artifact: Artifact, gathered: Gathered) -> dict[int, int]:
    """Give the cluster of each embedded task, by its first image, in the first of the clusterings."""
    if not gathered.vectors:
        return {}
    clusters = artifact.model.clusters.assign(np.stack(list(gathered.vectors.values())))[0]
    pairs = zip((ref.task_id for ref in gathered.vectors), clusters.tolist(), strict=True)
    return dict(reversed(list(pairs)))
