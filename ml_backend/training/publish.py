"""A version is published: its predictions are stored, it answers, Label Studio shows it, and old ones go."""

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from common.errors import SuiteError
from common.label_studio.rows import ConnectionRow
from common.progress import Progress
from ml_backend.core.controls import image_controls
from ml_backend.core.versions import is_ours
from ml_backend.embedding.gather import Gathered
from ml_backend.label_studio.backend_address import same_address
from ml_backend.label_studio.client import LabelStudioClient, Project, Task
from ml_backend.label_studio.ordering import UNCERTAINTY, store_in_order
from ml_backend.label_studio.ownership import instance_id, own_connections
from ml_backend.label_studio.storing import import_missing, tasks_of_version
from ml_backend.model_registry import Artifact, ModelRegistry
from ml_backend.predict.predict import placed_tasks, predict_gathered
from ml_backend.settings import Settings

log = structlog.get_logger()

_ORDERING_S = 60.0
_CLEARING_S = 10.0  # of a training; what is left of old versions goes later
_AT_ONCE = 50
"""Predictions that one request may delete: until it is done nobody else can write into Label Studio on SQLite, nor
on these tasks on PostgreSQL, and it takes some 10 ms for each."""


def training_lock(data_dir: Path, project_id: int) -> Path:
    """Where whoever trains, publishes or deletes in a project holds a lock."""
    return data_dir / "projects" / str(int(project_id)) / "training.lock"


@dataclass(frozen=True)
class Publisher:
    """The parts that publish."""

    settings: Settings
    client: LabelStudioClient
    registry: ModelRegistry

    def store(
        self, project: Project, tasks: Sequence[Task], artifact: Artifact, gathered: Gathered, progress: Progress
    ) -> int:
        """Store a version's predictions where they are missing, if the settings want that; give how many.

        Which tasks are in which of its clusters is kept here for whoever asks.
        """
        placed = placed_tasks(artifact, gathered)
        try:
            self.registry.keep_clusters(project.id, artifact.model_version, placed)
        except OSError as error:
            log.warning("clusters_not_kept", project=project.id, error=type(error).__name__)
        if not self.settings.publish_predictions:
            return 0
        progress("storing predictions", 0, 1)
        return store_version(
            self.client,
            project,
            predict_gathered(
                artifact,
                gathered,
                image_controls(project.label_config, self.settings.renamed),
                self.settings.ticking,
                tasks=tasks,
            ),
            annotated={task.id for task in tasks if task.annotations},
            cluster_of=placed.cluster_of,
            made_at=datetime.fromisoformat(artifact.created_at),
            ordered=self.settings.ordered_tasks,
        )

    def publish(self, project_id: int, model_version: str, *, chosen: bool = False) -> None:
        """Let a version answer whose predictions are stored, and show it."""
        self.registry.switch(project_id, model_version, chosen=chosen)
        self.show(project_id, model_version)

    def show(self, project_id: int, model_version: str) -> None:
        """Let Label Studio show the version that answers; old ones go."""
        own = frozenset(self.registry.versions(project_id))
        instance = instance_id(self.settings.data_dir)
        show_version(self.client, project_id, model_version, self.settings.public_url, own, instance)
        self.clean_up(project_id, _CLEARING_S)

    def withdraw(self, project_id: int, model_version: str) -> None:
        """Delete a version that could not be published, with what was stored of it, unless it answers.

        Where Label Studio cannot be asked, it is left for the next training, as one that never answered.
        """
        if self.registry.current_version(project_id) == model_version:
            return
        try:
            left = delete_old(self.client, project_id, [model_version], 0, limit_s=_CLEARING_S).left
        except SuiteError as error:
            log.warning("version_not_withdrawn", project=project_id, version=model_version, error=str(error))
        else:
            if not left:
                self.registry.discard(project_id, model_version)

    def clean_up(self, project_id: int, limit_s: float) -> bool:
        """Delete old versions for so long; what cannot be deleted now is left for later. Return whether any is."""
        try:
            stay = self.registry.retained(project_id, self.settings.keep_versions)
            old = [version for version in self.registry.versions(project_id) if version not in stay]
            left = delete_old(self.client, project_id, [*stay, *old], len(stay), limit_s=limit_s).left
            self.registry.prune(project_id, self.settings.keep_versions, left)
        except (SuiteError, OSError) as error:
            log.warning("old_versions_not_deleted", project=project_id, error=str(error))
            return False
        return bool(left)


def store_version(
    client: LabelStudioClient,
    project: Project,
    predictions: Sequence[dict[str, Any]],
    *,
    annotated: AbstractSet[int],
    cluster_of: Mapping[int, int],
    made_at: datetime,
    ordered: int,
) -> int:
    """Store a version's predictions, the first of the label stream with their clusters if the project wants that.

    Parameters
    ----------
    predictions : sequence of dict
        Each with its ``task``, all of one version.
    annotated : set of int
        Tasks that have annotations already.
    cluster_of : mapping of int to int
        Cluster by task.
    ordered : int
        How many tasks get a place in the stream.

    Returns
    -------
    int
        How many are stored now and were not before.
    """
    if not predictions:
        return 0
    version = predictions[0]["model_version"]
    first: AbstractSet[int] = frozenset()
    if project.sampling == UNCERTAINTY:
        passed = annotated | tasks_of_version(client, project.id, version)
        waiting = [prediction for prediction in predictions if prediction["task"] not in passed]
        first = store_in_order(client, waiting, cluster_of, made_at=made_at, count=ordered, limit_s=_ORDERING_S)
    return len(first) + import_missing(client, project.id, version, predictions)


def show_version(
    client: LabelStudioClient,
    project_id: int,
    model_version: str,
    public_url: str,
    own_versions: AbstractSet[str] = frozenset(),
    instance: str = "",
) -> None:
    """Name the version on our connection, and on the project if it showed the version before.

    The score column and the label stream take the predictions whose version the project names; the project follows
    its connection's title. A version that an admin chose by hand and that is not ours is left in place.
    """
    connections = client.connections(project_id)
    leading_here = own_connections(connections, public_url, own_versions, instance)
    mine = [row for row in leading_here if same_address(row.url, public_url)] or leading_here
    mine = mine or _ours(connections, client.project(project_id).model_version, public_url)
    if len(mine) == 1:
        client.rename_connection(project_id, mine[0], model_version)
    elif connections:
        log.warning(
            "connection_not_found",
            project=project_id,
            remedy="set ML_BACKEND_PUBLIC_URL to this backend's address as in Settings > Model",
        )
    shown = client.project(project_id).model_version
    titles = {connection.title for connection in mine}
    replaced = shown != model_version and (not shown or shown in titles or is_ours(shown))
    # Label Studio refuses a version that neither a connection nor a prediction has.
    if replaced and (len(mine) == 1 or model_version in client.versions(project_id)):
        client.show_version(project_id, model_version)


def _ours(connections: Sequence[ConnectionRow], shown: str | None, public_url: str) -> list[ConnectionRow]:
    """Find our connection where our address is not known: the only one, in use or with a version of ours."""
    if public_url or len(connections) != 1:
        return []
    return [
        connection
        for connection in connections
        if not shown or connection.title == shown or is_ours(connection.title)
    ]


class Deleted(NamedTuple):
    """What became of old versions' predictions.

    Attributes
    ----------
    gone, left : list of str
        Versions that have none any more, and that still have some.
    """

    gone: list[str]
    left: list[str]


def delete_old(
    client: LabelStudioClient,
    project_id: int,
    trained: Sequence[str],
    keep: int,
    *,
    limit_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Deleted:
    """Delete the predictions of our versions but the newest, and let the project show what it showed.

    They go one by one, so that nobody who annotates waits for it, until few enough for one request are left.

    Parameters
    ----------
    trained : sequence of str
        The versions that this backend made, newest first; another backend's are not ours to delete.
    keep : int
        How many of them stay.
    limit_s : float
        What takes longer is left.
    """
    counts = {version: count for version, (count, _) in client.version_counts(project_id).items()}
    shown = client.project(project_id).model_version
    old = [version for version in trained[keep:] if version in counts and version != shown]
    gone: list[str] = []
    ends_at = clock() + limit_s
    try:
        for version in reversed(old):
            if counts[version] > _AT_ONCE:
                ids = client.prediction_ids(project_id, version, sum(counts.values()))
                for prediction, _ in ids[: len(ids) - _AT_ONCE]:
                    if clock() > ends_at:
                        return Deleted(gone, [each for each in old if each not in gone])
                    client.delete_prediction(prediction)
            client.delete_version(project_id, version)
            gone.append(version)
    finally:
        if shown and old and client.project(project_id).model_version != shown:
            client.show_version(project_id, shown)
    return Deleted(gone, [])
