"""Training on one screen: pull, embed, cluster, check, save, publish."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import structlog

from ml_backend import publishing
from ml_backend.artifacts import Artifact, Artifacts
from ml_backend.core.controls import Control
from ml_backend.core.evidence import targets
from ml_backend.core.model import Evidence, fit_model
from ml_backend.core.suggestions import suggestion
from ml_backend.core.versions import RANDOM, trained_version
from ml_backend.engines import Embedder
from ml_backend.errors import MLBackendError, NothingToLearnError
from ml_backend.gather import Gathered, Gatherer, ImageRef
from ml_backend.label_studio import LabelStudioClient, Project, Task, choices_controls
from ml_backend.predicting import score
from ml_backend.settings import Settings
from ml_backend.weights import EmbedderLoader

log = structlog.get_logger()

_CALIBRATED_ON = 64  # images

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trained:
    """What a training made.

    Parameters
    ----------
    artifact : Artifact
    failures : dict of ImageRef to str
        Images that were left out, with a short reason each.
    predictions : int
        Stored in Label Studio.
    """

    artifact: Artifact
    failures: dict[ImageRef, str]
    predictions: int


@dataclass(frozen=True)
class Trainer:
    """The parts that a training uses."""

    settings: Settings
    client: LabelStudioClient
    gatherer: Gatherer
    loader: EmbedderLoader
    artifacts: Artifacts

    def train(self, project_id: int, now: datetime, progress: Progress = lambda *_: None) -> Trained:
        """Learn from all annotations of a project and publish the result as a new model version.

        The order matters: predictions are stored before the version answers, so that nobody meets a version
        without suggestions, and a training that dies leaves the last version in place.

        Parameters
        ----------
        project_id : int
        now : datetime
            Aware; part of the version's name.
        progress : callable
            Told the step, how much of it is done, and how much there is.

        Raises
        ------
        NothingToLearnError
            If no annotation can be used; the last version goes on answering.
        MLBackendError
            If Label Studio or the weights fail.
        """
        project = self.client.project(project_id)
        controls = choices_controls(project.label_config)
        progress("reading tasks", 0, 1)
        tasks = list(self.client.tasks(project_id))
        _require_evidence(project_id, controls, tasks)

        refs = image_refs(tasks, controls)
        embedder, n_calibrated = self._embedder(project_id, refs)
        gathered = self._gather(refs, embedder, progress)

        progress("learning", 0, 1)
        evidence = find_evidence(controls, tasks, gathered)
        if not evidence:
            raise NothingToLearnError(f"no image of project {project_id} with an annotation can be read")
        embeddings = np.stack(list(gathered.vectors.values()))
        model = fit_model(embeddings, evidence, self.settings.seed)
        digest = hashlib.sha256(embeddings.tobytes())
        for one in evidence:
            digest.update(one.shares.tobytes())
        artifact = Artifact(
            model_version=trained_version(embedder.backbone, embedder.weights_id, now, digest.hexdigest()),
            created_at=now.astimezone(UTC).isoformat(),
            backbone=embedder.backbone,
            weights_id=embedder.weights_id,
            seed=self.settings.seed,
            embedding_key=embedder.key,
            label_config=config_digest(project.label_config),
            n_images=len(embeddings),
            n_calibrated=n_calibrated,
            model=model,
            calibration=embedder.calibration,
        )
        self.artifacts.save(project_id, artifact)
        return Trained(artifact, gathered.failures, self._publish(project, tasks, artifact, gathered, progress))

    def _embedder(self, project_id: int, refs: Sequence[ImageRef]) -> tuple[Embedder, int]:
        """Give the backbone; random weights with the project's calibration, made anew while that has few images.

        Every calibration has embeddings of its own, so the one of the current version is kept unless the project
        has since at least doubled and that was on less than a full sample.
        """
        base = self.loader.preferred()
        if base.weights_id != RANDOM:
            return base, 0
        wanted = min(len(refs), _CALIBRATED_ON)
        last = self.artifacts.current(project_id)
        wanted_of = (base.backbone, RANDOM, self.settings.seed)
        fits = last is not None and (last.backbone, last.weights_id, last.seed) == wanted_of
        if last and fits and (last.n_calibrated >= _CALIBRATED_ON or wanted < 2 * last.n_calibrated):
            return base.with_calibration(last.calibration), last.n_calibrated
        sample = np.random.default_rng(self.settings.seed).choice(len(refs), wanted, replace=False)
        prepared, reasons = self.gatherer.prepare([refs[row] for row in sorted(sample)], base)
        if not prepared:
            raise NothingToLearnError(f"no image of project {project_id} can be read: {dict(reasons)}")
        return base.calibrate(prepared), len(prepared)

    def _gather(self, refs: Sequence[ImageRef], embedder: Embedder, progress: Progress) -> Gathered:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress("embedding images", done, len(refs))

        gathered = self.gatherer.gather(
            refs, embedding_key=embedder.key, embedder=lambda: embedder, advance=advance
        )
        for ref, reason in gathered.failures.items():
            log.warning("image_left_out", task=ref.task_id, reason=reason)
        return gathered

    def _publish(
        self, project: Project, tasks: Sequence[Task], artifact: Artifact, gathered: Gathered, progress: Progress
    ) -> int:
        project_id, version, settings = project.id, artifact.model_version, self.settings
        stored = 0
        if settings.publish_predictions:
            progress("storing predictions", 0, 1)
            stored = publishing.store_version(
                self.client,
                project,
                predict_gathered(artifact, gathered),
                annotated={task.id for task in tasks if task.annotations},
                cluster_of=clusters_of_tasks(artifact, gathered),
                made_at=datetime.fromisoformat(artifact.created_at),
                ordered=settings.ordered_tasks,
            )
        self.artifacts.switch(project_id, version)
        publishing.show(self.client, project_id, version, settings.public_url)
        self._clean_up(project_id)
        return stored

    def _clean_up(self, project_id: int) -> None:
        """Delete old versions. What cannot be deleted now is left for the next training."""
        keep = self.settings.keep_versions
        try:
            publishing.delete_old(self.client, project_id, self.artifacts.versions(project_id), keep)
            self.artifacts.prune(project_id, keep)
        except (MLBackendError, OSError) as error:
            log.warning("old_versions_not_deleted", project=project_id, error=str(error))


def config_digest(label_config: str) -> str:
    """Give a label config's SHA-256, by which a change of it is noticed."""
    return hashlib.sha256(label_config.encode()).hexdigest()


def image_refs(tasks: Sequence[Task], controls: Sequence[Control]) -> list[ImageRef]:
    """List the images of tasks that the controls are about."""
    keys = sorted({control.image_key for control in controls})
    return [ImageRef.of(task.id, key, task.data) for task in tasks for key in keys]


def find_evidence(controls: Sequence[Control], tasks: Sequence[Task], gathered: Gathered) -> list[Evidence]:
    """Give each control's targets for the images that were embedded, in the order of ``gathered.vectors``."""
    row_of = {(ref.task_id, ref.key): row for row, ref in enumerate(gathered.vectors)}
    found = []
    for control in controls:
        shares, known = targets(control, [task.annotations for task in tasks])
        pairs = [
            (number, row_of[task.id, control.image_key])
            for number, task in enumerate(tasks)
            if known[number] and (task.id, control.image_key) in row_of
        ]
        if pairs:
            numbers, rows = np.array(pairs, dtype=np.int64).T
            found.append(Evidence(control, rows, shares[numbers]))
    return found


def predict_gathered(
    artifact: Artifact, gathered: Gathered, controls: Sequence[Control] | None = None
) -> list[dict[str, Any]]:
    """Make the predictions of all embedded tasks, each with its ``task``; for the trained controls by default."""
    asked = [scores.control for scores in artifact.model.controls] if controls is None else controls
    served = {control.name: control for control in asked}
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


def _require_evidence(project_id: int, controls: Sequence[Control], tasks: Sequence[Task]) -> None:
    if not controls:
        raise NothingToLearnError(
            f"project {project_id} has no <Choices> bound to an <Image>: there is nothing to suggest"
        )
    if not any(targets(control, [task.annotations for task in tasks])[1].any() for control in controls):
        raise NothingToLearnError(
            f"project {project_id} has no annotation to learn from yet ({len(tasks)} tasks): annotate some"
        )
