"""Predictions into Label Studio through its bulk import: each once, however often it is called or interrupted."""

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import structlog

from common.label_studio.client import IMPORTED
from ml_backend.errors import LabelStudioError, LostAnswerError
from ml_backend.label_studio.client import LabelStudioClient

log = structlog.get_logger()

_PAUSE_S = 0.5  # between requests: who waits comes first
_ATTEMPTS = 3
_LOOKS_S = (5.0, 15.0, 40.0)  # between looks at what arrives, while a request whose answer was lost may be at work
_DELETING_S = 120.0
_NAMED = 20  # tasks in one line of the log


def import_missing(
    client: LabelStudioClient, project_id: int, model_version: str, predictions: Sequence[dict[str, Any]]
) -> int:
    """Store those of a version's predictions that are not there.

    Parameters
    ----------
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
    stored = without_doubles(client, project_id, model_version)
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
    whole = True
    for start in range(0, len(predictions), IMPORTED):
        if start:
            time.sleep(_PAUSE_S)
        chunk = predictions[start : start + IMPORTED]
        whole = _import_chunk(client, project_id, model_version, chunk) and whole
    if whole:
        return []
    stored = client.tasks_with_version(project_id, model_version)
    left_out = [prediction["task"] for prediction in predictions if prediction["task"] not in stored]
    if left_out:
        log.warning("predictions_left_out", project=project_id, tasks=left_out[:_NAMED], count=len(left_out))
    return left_out


def tasks_of_version(client: LabelStudioClient, project_id: int, model_version: str) -> AbstractSet[int]:
    """Return the ids of the tasks with a prediction of a version; cheap where there is none."""
    if model_version not in client.versions(project_id):
        return frozenset()
    return client.tasks_with_version(project_id, model_version)


def without_doubles(client: LabelStudioClient, project_id: int, model_version: str) -> AbstractSet[int]:
    """Return the ids of the tasks with a prediction of a version, and delete what a task has beside its first.

    A request whose answer was lost may be done after it was sent again, or after its program was killed. What
    cannot be deleted in time is left for the next call.
    """
    counts = {version: count for version, (count, _) in client.version_counts(project_id).items()}
    if not counts.get(model_version):
        return frozenset()
    stored = client.tasks_with_version(project_id, model_version)
    if counts[model_version] > len(stored):
        _delete_doubles(client, project_id, client.prediction_ids(project_id, model_version, sum(counts.values())))
    return stored


def delete_doubles(client: LabelStudioClient, project_id: int, model_version: str, n_tasks: int) -> None:
    """Delete what tasks have beside their first prediction of a version, where there are more than tasks have one.

    Parameters
    ----------
    n_tasks : int
        Tasks that have a prediction of the version, as far as the caller can tell: where Label Studio counts as
        many predictions, the tasks are not read once more.
    """
    count, _ = client.version_counts(project_id).get(model_version, (0, ""))
    if count != n_tasks:
        without_doubles(client, project_id, model_version)


def _delete_doubles(client: LabelStudioClient, project_id: int, ids: Sequence[tuple[int, int]]) -> None:
    first = {task: prediction for prediction, task in reversed(ids)}
    doubles = [prediction for prediction, task in ids if first[task] != prediction]
    deleted, ends_at = 0, time.monotonic() + _DELETING_S
    try:
        for prediction in doubles:
            if time.monotonic() > ends_at:
                break
            client.delete_prediction(prediction)
            deleted += 1
    except LabelStudioError as error:
        log.warning("doubles_not_deleted", project=project_id, error=str(error))
    if doubles:
        log.info("doubles_deleted", project=project_id, count=deleted, left=len(doubles) - deleted)


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
        except LabelStudioError as error:
            looks = _LOOKS_S if isinstance(error, LostAnswerError) else ()
            chunk = _not_stored(client, project_id, model_version, chunk, looks)
            there = {task.id for task in client.tasks_alone(project_id)}
            whole = whole and all(prediction["task"] in there for prediction in chunk)
            chunk = [prediction for prediction in chunk if prediction["task"] in there]
            if not chunk:
                return whole
            if attempt == _ATTEMPTS:
                raise
    return False


def _not_stored(
    client: LabelStudioClient,
    project_id: int,
    model_version: str,
    chunk: Sequence[dict[str, Any]],
    looks_s: Sequence[float],
) -> list[dict[str, Any]]:
    """Return what of a chunk is not there; look again after each of these times while something is missing."""
    for wait_s in (0.0, *looks_s):
        time.sleep(wait_s)
        stored = client.tasks_with_version(project_id, model_version)
        missing = [prediction for prediction in chunk if prediction["task"] not in stored]
        if not missing:
            break
    return missing
