"""A version that a person has chosen answers: an older one again, or one that was held back."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from ml_backend.core.controls import image_controls
from ml_backend.embedding.gather import ImageRef
from ml_backend.errors import VersionError
from ml_backend.label_studio.client import Project
from ml_backend.steps import Progress, silent
from ml_backend.training.model_registry import Artifact
from ml_backend.training.train import Trainer
from ml_backend.training.training_set import image_refs

log = structlog.get_logger()


@dataclass(frozen=True)
class Promoted:
    """A version that a person has let answer.

    Parameters
    ----------
    model_version : str
    before : str or None
        What answered until then.
    chosen : bool
        Whether it stays until a better one is trained: a person has passed over a newer one.
    predictions : int
        Stored in Label Studio.
    failures : dict of ImageRef to str
        Images without a prediction, with a short reason each.
    """

    model_version: str
    before: str | None
    chosen: bool
    predictions: int
    failures: dict[ImageRef, str]


def promote(
    trainer: Trainer, project_id: int, model_version: str, now: datetime, progress: Progress = silent
) -> Promoted:
    """Let a version answer that a person has chosen, with its predictions in Label Studio.

    Where a newer one exists, trainings leave it in place until they make a better one.

    Parameters
    ----------
    trainer : Trainer
    project_id : int
    model_version : str
    now : datetime
        Aware.
    progress : callable
        Told the step, how much of it is done, and how much there is.

    Raises
    ------
    VersionError
        If there is no such version, or it cannot be read or does not fit the project.
    MLBackendError
        If Label Studio fails. The version that answers goes on answering.
    """
    with trainer.alone(project_id):
        project = trainer.client.project(project_id)
        artifact = _fitting(trainer, project, model_version)
        tasks = trainer.pull(project, now, progress).tasks
        refs = image_refs(tasks, image_controls(project.label_config))
        gathered = trainer.embeddings.gather_for(artifact, project_id, refs, progress)
        stored = trainer.takeover.store(project, tasks, artifact, gathered, progress)
        before = trainer.artifacts.current_version(project_id)
        chosen = model_version != trainer.artifacts.versions(project_id)[0]
        trainer.takeover.answer(project_id, model_version, chosen=chosen)
        log.info("version_promoted", project=project_id, version=model_version, before=before, chosen=chosen)
        return Promoted(model_version, before, chosen, stored, gathered.failures)


def _fitting(trainer: Trainer, project: Project, model_version: str) -> Artifact:
    artifact = trainer.artifacts.load(project.id, model_version)
    if artifact.stamp and project.stamp and artifact.stamp != project.stamp:
        raise VersionError(
            f"version {model_version} is of an earlier project {project.id}: Label Studio has given the id to "
            "another project since"
        )
    trained = {scores.control.name for scores in artifact.model.controls}
    if not trained & {control.name for control in image_controls(project.label_config)}:
        raise VersionError(
            f"version {model_version} knows no control of the label config that project {project.id} has now"
        )
    if why := trainer.embeddings.why_unusable(artifact):
        raise VersionError(f"version {model_version} cannot answer any more: {why}")
    return artifact
