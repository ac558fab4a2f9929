"""A new model version becomes what annotators see: its predictions first, then its name, then the old ones go."""

from collections.abc import Sequence
from typing import Any

import structlog

from ml_backend.core.versions import is_ours
from ml_backend.errors import LabelStudioError
from ml_backend.label_studio import LabelStudioClient

log = structlog.get_logger()

_CHUNK = 300
_ATTEMPTS = 3


def import_missing(
    client: LabelStudioClient, project_id: int, model_version: str, predictions: Sequence[dict[str, Any]]
) -> int:
    """Store a version's predictions, each once, however often it is called or interrupted.

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
        How many were missing.

    Raises
    ------
    LabelStudioError
        If Label Studio keeps refusing.
    """
    stored = client.tasks_with_version(project_id, model_version)
    missing = [prediction for prediction in predictions if prediction["task"] not in stored]
    for start in range(0, len(missing), _CHUNK):
        _import_chunk(client, project_id, model_version, missing[start : start + _CHUNK])
    return len(missing)


def _import_chunk(
    client: LabelStudioClient, project_id: int, model_version: str, chunk: list[dict[str, Any]]
) -> None:
    """Send a chunk; where the answer was lost, look first at what had arrived."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            client.import_predictions(project_id, chunk)
        except LabelStudioError:
            if attempt == _ATTEMPTS:
                raise
            stored = client.tasks_with_version(project_id, model_version)
            chunk = [prediction for prediction in chunk if prediction["task"] not in stored]
            if not chunk:
                return
        else:
            return


def show(client: LabelStudioClient, project_id: int, model_version: str, public_url: str) -> None:
    """Name the version on our connection, and on the project if it showed the version before.

    The score column and the label stream take the predictions whose version the project names; the project follows
    its connection's title. A version that an admin chose by hand and that is not ours is left in place.
    """
    connections = client.connections(project_id)
    mine = [one for one in connections if one.url.rstrip("/") == public_url] or connections
    if len(mine) == 1:
        client.rename_connection(project_id, mine[0], model_version)
    elif connections:
        log.warning(
            "connection_not_found",
            project=project_id,
            remedy="set ML_BACKEND_PUBLIC_URL to this backend's address as in Settings > Model",
        )
    shown = client.project(project_id).model_version
    titles = {one.title for one in mine}
    if shown != model_version and (not shown or shown in titles or is_ours(shown)):
        client.show_version(project_id, model_version)


def delete_old(client: LabelStudioClient, project_id: int, keep: int) -> list[str]:
    """Delete the predictions of our versions but the newest, and let the project show what it showed.

    Returns
    -------
    list of str
        The deleted versions.
    """
    ours = [version for version in client.versions(project_id) if is_ours(version)]
    old = sorted(ours, key=lambda version: version.split("-")[2:], reverse=True)[keep:]
    if not old:
        return []
    shown = client.project(project_id).model_version
    for version in (one for one in old if one != shown):
        client.delete_version(project_id, version)
    if shown and client.project(project_id).model_version != shown:
        client.show_version(project_id, shown)
    return old
