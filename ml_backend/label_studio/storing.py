"""Predictions into Label Studio through its bulk import: each once, however often it is called or interrupted."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import structlog

from ml_backend.errors import LabelStudioError
from ml_backend.label_studio.client import LabelStudioClient

log = structlog.get_logger()

CHUNK = 10_000
"""Predictions a request. Each costs Label Studio time for every task of the project, however few it carries: 3,000
in one request took 3.6 s, in sixty 95 s."""
_ATTEMPTS = 3
_NAMED = 20  # tasks in one line of the log


def import_missing(
    client: LabelStudioClient, project_id: int, model_version: str, predictions: Sequence[dict[str, Any]]
) -> int:
    """Store those of a version's predictions that are not there.

    Parameters
    ----------
    client : LabelStudioClient
    project_id : int
    model_version : str
    predictions : sequence of dict
        Each with its ``task``, all of the version.

    Returns
    -------
    int
        How many were missing and are there now. Those that Label Studio left out are named in the log.

    Raises
    ------
    LabelStudioError
        If Label Studio keeps refusing, or stored none at all.
    """
    stored = tasks_of_version(client, project_id, model_version)
    missing = [prediction for prediction in predictions if prediction["task"] not in stored]
    left_out = import_new(client, project_id, model_version, missing)
    if missing and len(left_out) == len(missing) and not stored:
        raise LabelStudioError(
            f"Label Studio stored none of {len(missing)} predictions of {model_version} in project {project_id}: "
            "do they fit its label config of this moment? Train again"
        )
    return len(missing) - len(left_out)


def import_new(
    client: LabelStudioClient, project_id: int, model_version: str, predictions: Sequence[dict[str, Any]]
) -> list[int]:
    """Store predictions that are known to be missing.

    Returns
    -------
    list of int
        The tasks whose predictions Label Studio left out, as they do not fit its label config; also in the log.

    Raises
    ------
    LabelStudioError
        If Label Studio keeps refusing.
    """
    chunks = [predictions[start : start + CHUNK] for start in range(0, len(predictions), CHUNK)]
    if all([_import_chunk(client, project_id, model_version, chunk) for chunk in chunks]):  # noqa: C419 - send all
        return []
    stored = client.tasks_with_version(project_id, model_version)
    left_out = [prediction["task"] for prediction in predictions if prediction["task"] not in stored]
    if left_out:
        log.warning("predictions_left_out", project=project_id, tasks=left_out[:_NAMED], count=len(left_out))
    return left_out


def tasks_of_version(client: LabelStudioClient, project_id: int, model_version: str) -> AbstractSet[int]:
    """Give the ids of the tasks with a prediction of a version; cheap where there is none."""
    if model_version not in client.versions(project_id):
        return frozenset()
    return client.tasks_with_version(project_id, model_version)


def _import_chunk(
    client: LabelStudioClient, project_id: int, model_version: str, chunk: Sequence[dict[str, Any]]
) -> bool:
    """Send a chunk and tell whether all of it was stored; where an answer was lost, look first at what arrived.

    One task that was deleted meanwhile makes Label Studio refuse the whole request: it is taken out.
    """
    whole = True
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return client.import_predictions(project_id, chunk) >= len(chunk) and whole
        except LabelStudioError:
            if attempt == _ATTEMPTS:
                raise
            stored = client.tasks_with_version(project_id, model_version)
            chunk = [prediction for prediction in chunk if prediction["task"] not in stored]
            there = {task.id for task in client.tasks_alone(project_id)}
            whole = whole and all(prediction["task"] in there for prediction in chunk)
            chunk = [prediction for prediction in chunk if prediction["task"] in there]
            if not chunk:
                return whole
    return False
