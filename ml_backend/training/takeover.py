"""A version takes over: first its predictions are stored, then it answers, then Label Studio shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from ml_backend.core.controls import image_controls
from ml_backend.embedding.gather import Gathered
from ml_backend.errors import MLBackendError
from ml_backend.label_studio.client import LabelStudioClient, Project, Task
from ml_backend.settings import Settings
from ml_backend.steps import Progress
from ml_backend.training import publishing
from ml_backend.training.model_registry import Artifact, Artifacts
from ml_backend.training.training_set import clusters_of_tasks, predict_gathered

log = structlog.get_logger()


@dataclass(frozen=True)
class Takeover:
    """The parts that publish."""

    settings: Settings
    client: LabelStudioClient
    artifacts: Artifacts

    def store(
        self, project: Project, tasks: Sequence[Task], artifact: Artifact, gathered: Gathered, progress: Progress
    ) -> int:
        """Store a version's predictions where they are missing, if the settings want that; give how many."""
        if not self.settings.publish_predictions:
            return 0
        progress("storing predictions", 0, 1)
        return publishing.store_version(
            self.client,
            project,
            predict_gathered(artifact, gathered, image_controls(project.label_config)),
            annotated={task.id for task in tasks if task.annotations},
            cluster_of=clusters_of_tasks(artifact, gathered),
            made_at=datetime.fromisoformat(artifact.created_at),
            ordered=self.settings.ordered_tasks,
        )

    def answer(self, project_id: int, model_version: str, *, chosen: bool = False) -> None:
        """Let a version answer whose predictions are stored."""
        self.artifacts.switch(project_id, model_version, chosen=chosen)
        self.show(project_id, model_version)

    def show(self, project_id: int, model_version: str) -> None:
        """Let Label Studio show the version that answers; old ones go."""
        publishing.show(self.client, project_id, model_version, self.settings.public_url)
        self.clean_up(project_id)

    def withdraw(self, project_id: int, model_version: str) -> None:
        """Delete a version that could not be published, with what was stored of it, unless it answers.

        Where Label Studio cannot be asked, it is left for the next training, as one that never answered.
        """
        if self.artifacts.current_version(project_id) == model_version:
            return
        try:
            publishing.delete_old(self.client, project_id, [model_version], 0)
        except MLBackendError as error:
            log.warning("version_not_withdrawn", project=project_id, version=model_version, error=str(error))
        else:
            self.artifacts.discard(project_id, model_version)

    def clean_up(self, project_id: int) -> None:
        """Delete old versions. What cannot be deleted now is left for the next training."""
        try:
            stay = self.artifacts.retained(project_id, self.settings.keep_versions)
            old = [version for version in self.artifacts.versions(project_id) if version not in stay]
            publishing.delete_old(self.client, project_id, [*stay, *old], len(stay))
            self.artifacts.prune(project_id, self.settings.keep_versions)
        except (MLBackendError, OSError) as error:
            log.warning("old_versions_not_deleted", project=project_id, error=str(error))
