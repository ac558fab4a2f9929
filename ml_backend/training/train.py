"""Training on one screen: pull, embed, learn, compare, save, publish."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial

import numpy as np
import structlog
from numpy.typing import NDArray

from common.contract import MACHINE_ACCOUNT
from common.errors import SuiteError
from common.files import held
from common.label_studio.annotations import accounts_named
from common.label_studio.label_config import config_digest
from common.progress import Progress, Steps, silent
from ml_backend.core.comparison import Comparison, succeeds
from ml_backend.core.controls import Control, image_controls
from ml_backend.core.model import Evidence, ProjectModel, fit_model
from ml_backend.core.versions import trained_version
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.engines import Embedder
from ml_backend.embedding.gather import Gathered, Gatherer, ImageRef
from ml_backend.embedding.reasons import counted
from ml_backend.embedding.tuned import TunedWeights
from ml_backend.errors import NothingToLearnError, UnusableProjectError, VersionError
from ml_backend.label_studio.client import LabelStudioClient, Project, Task
from ml_backend.label_studio.pulling import Pulled, Puller
from ml_backend.model_registry import Artifact, ModelRegistry
from ml_backend.predict.predict import image_refs
from ml_backend.settings import Settings
from ml_backend.training.label_names import LabelNames
from ml_backend.training.learning_digest import learning_digest
from ml_backend.training.project_embeddings import ProjectEmbeddings
from ml_backend.training.publish import Publisher, training_lock
from ml_backend.training.training_set import (
    find_evidence,
    log_unbelieved_reports,
    log_unknown_choices,
    not_suggested,
    require_evidence,
    unknown_choices,
    usable,
    with_given,
)
from ml_backend.training.view import seen

log = structlog.get_logger()


@dataclass(frozen=True)
class Trained:
    """What a training made.

    Parameters
    ----------
    artifact : Artifact
        The version that has learned from all this; ``artifact.held_back`` says why it does not answer, if so.
    new : bool
        Whether it was trained now: where nothing that it learns from has changed, no version is made again.
    serving : str or None
        The version that answers now.
    why : str
        Why that one.
    failures : dict of ImageRef to str
        Images that were left out, with a short reason each.
    predictions : int
        Stored in Label Studio, of the version that answers.
    read : int
        Tasks that Label Studio was asked for; the others had not changed.
    unused : int
        Annotations that chose what their control does not offer any more.
    seconds : dict of str to float
        By step.
    """

    artifact: Artifact
    new: bool
    serving: str | None
    why: str
    failures: dict[ImageRef, str]
    predictions: int
    read: int
    unused: int
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A version that a person has let answer.

    Parameters
    ----------
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


@dataclass(frozen=True)
class Trainer:
    """The parts that a training uses. Of each project, one training or publication runs at a time."""

    settings: Settings
    client: LabelStudioClient
    gatherer: Gatherer
    backbones: Backbones
    registry: ModelRegistry

    def train(self, project_id: int, now: datetime, progress: Progress = silent, *, shown: bool = True) -> Trained:
        """Learn from all annotations of a project and publish the result as a new model version.

        Where nothing is annotated and no label was given, the names of the labels speak, if the settings say so.
        The order matters: predictions are stored before the version answers, so that nobody meets a version
        without suggestions, and a training that dies leaves the last version in place. A version that does worse
        on held-out annotations than the one that answers is kept, but does not answer. Where a version has learned
        from the same already, none is trained: it gets the predictions that it lacks.

        Parameters
        ----------
        now : datetime
            Aware; part of the version's name.
        progress : callable
            Told the step, how much of it is done, and how much there is.
        shown : bool
            Whether Label Studio stores and shows the predictions; the version answers in any case.

        Raises
        ------
        NothingToLearnError
            If no annotation can be used; the last version goes on answering.
        SuiteError
            If Label Studio or the weights fail.
        """
        with self._alone(project_id):
            steps = Steps()
            project = self.client.project(project_id)
            with steps.timed("pull"):
                pulled = self._pull(project, now, progress)
                controls = self._controls(project, pulled.tasks)
                unknown = unknown_choices(controls, pulled.tasks)
                log_unbelieved_reports(project_id, pulled.tasks, self.client.version_counts(project_id))
            current = self.registry.current(project_id, project.stamp)
            from_names = self._is_from_names(project, pulled.tasks, controls, current)
            refs = image_refs(pulled.tasks, controls)
            with steps.timed("backbone"):
                if from_names:
                    embedder, n_calibrated = self.embeddings.of_names(), 0
                else:
                    embedder, n_calibrated = self.embeddings.backbone(project_id, project.stamp, refs, current)
            with steps.timed("view"):
                if not from_names:
                    embedder = self._seen(project_id, controls, pulled.tasks, embedder, current, progress)
            with steps.timed("gather"):
                gathered = self.embeddings.gather(project_id, refs, embedder.key, lambda: embedder, progress)
            with steps.timed("fit"):
                progress("learning", 0, 1)
                learn = self._take_names if from_names else self._learn
                learned, same = learn(project, controls, pulled.tasks, gathered, embedder)
            with steps.timed("compare"):
                comparison = self._compare(project_id, current, learned, embedder.key, same, gathered)
            artifact = same or _artifact(project, embedder, n_calibrated, learned, comparison, now)
            if not same:
                log_unknown_choices(project_id, unknown)  # once for a version
                with steps.timed("save"):
                    self.registry.save(project_id, artifact)
                if artifact.held_back:
                    _log_held_back(project_id, artifact, current)
            answering = artifact if comparison.promoted else current
            with steps.timed("publish"):
                try:
                    stored = 0
                    if shown:
                        stored = self._publish(
                            project, pulled.tasks, answering, current, gathered, embedder.key, progress
                        )
                    elif answering and (not current or answering.model_version != current.model_version):
                        self.registry.switch(project_id, answering.model_version)
                except Exception:
                    if not same:
                        self.publisher.withdraw(project_id, artifact.model_version)
                    raise
            serving = answering.model_version if answering else None
            _log_outcome(project_id, artifact, serving, comparison, pulled.read, steps, new=not same)
            return Trained(
                artifact,
                not same,
                serving,
                comparison.why,
                gathered.failures,
                stored,
                pulled.read,
                unknown.total(),
                steps.seconds,
            )

    def publish(
        self, project_id: int, model_version: str, now: datetime, progress: Progress = silent
    ) -> Published:
        """Publish a version that a person has chosen: roll back to an older one, or take one that was held back.

        Where a newer one exists, trainings leave it in place until they make a better one.

        Raises
        ------
        VersionError
            If there is no such version, or it cannot be read or does not fit the project.
        SuiteError
            If Label Studio fails. The version that answers goes on answering.
        """
        with self._alone(project_id):
            project = self.client.project(project_id)
            artifact = self._fitting(project, model_version)
            tasks = self._pull(project, now, progress).tasks
            refs = image_refs(tasks, image_controls(project.label_config))
            gathered = self.embeddings.gather_for(artifact, project_id, refs, progress)
            stored = self.publisher.store(project, tasks, artifact, gathered, progress)
            before = self.registry.current_version(project_id)
            chosen = model_version != self.registry.versions(project_id)[0]
            self.publisher.publish(project_id, model_version, chosen=chosen)
            log.info("version_promoted", project=project_id, version=model_version, before=before, chosen=chosen)
            return Published(model_version, before, chosen, stored, gathered.failures)

    @cached_property
    def embeddings(self) -> ProjectEmbeddings:
        """What embeds the images of projects."""
        return ProjectEmbeddings(self.settings, self.gatherer, self.backbones)

    @cached_property
    def publisher(self) -> Publisher:
        """What lets versions answer."""
        return Publisher(self.settings, self.client, self.registry)

    @contextmanager
    def _alone(self, project_id: int) -> Iterator[None]:
        """Wait until nothing else trains or publishes in a project, and keep others from it."""
        with held(training_lock(self.settings.data_dir, project_id), wait=True):
            yield

    def _pull(self, project: Project, now: datetime, progress: Progress) -> Pulled:
        """Read what the project holds now."""
        expected = project.counts.tasks if project.counts else 0
        progress("reading tasks", 0, max(expected, 1))
        puller = Puller(self.client, self.settings.data_dir)
        pulled = puller.pull(
            project,
            config_digest(project.label_config),
            now,
            lambda done: progress("reading tasks", done, max(done, expected)),
            self.client.accounts().keys(),
        )
        return replace(pulled, tasks=self.usable(pulled.tasks))

    def usable(self, tasks: Iterable[Task]) -> list[Task]:
        """Leave out what machine accounts annotated, and rename choices, as the settings say."""
        accounts = self.client.accounts()
        machines = accounts_named(self.settings.machine_names, accounts)
        for name, account in machines.items():
            if account is None:
                log.warning("machine_without_account", machine=name)
        never = frozenset(accounts_named([MACHINE_ACCOUNT], accounts).values()) - {None}
        return [usable(task, frozenset(machines.values()), self.settings.renamed, never) for task in tasks]

    def _fitting(self, project: Project, model_version: str) -> Artifact:
        """Load a version that can answer for a project as it is now."""
        artifact = self.registry.load(project.id, model_version)
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
        if why := self.embeddings.why_unusable(artifact):
            raise VersionError(f"version {model_version} cannot answer any more: {why}")
        return artifact

    def _controls(self, project: Project, tasks: Sequence[Task]) -> tuple[Control, ...]:
        """Return the controls of a project, with where their given labels lie."""
        config, settings = project.label_config, self.settings
        return with_given(
            image_controls(config, settings.renamed), config, tasks, settings.given, settings.renamed
        )

    def _seen(
        self,
        project_id: int,
        controls: Sequence[Control],
        tasks: Sequence[Task],
        embedder: Embedder,
        current: Artifact | None,
        progress: Progress,
    ) -> Embedder:
        """Let the embedder see whole images where that is better."""
        return seen(
            embedder,
            image_refs([task for task in tasks if task.annotations], controls),
            current,
            self.settings,
            lambda refs, view: self.embeddings.gather(project_id, refs, view.key, lambda: view, progress),
            lambda gathered: self._evidence(project_id, controls, tasks, gathered, embedder.weights_id)[0],
        )

    def _is_from_names(
        self, project: Project, tasks: Sequence[Task], controls: Sequence[Control], current: Artifact | None
    ) -> bool:
        """Whether nothing but the names of the labels says anything; what was learned stays where it is.

        Raises
        ------
        NothingToLearnError
            If they are not asked either.
        """
        try:
            require_evidence(project.id, controls, tasks, not_suggested(project.label_config, controls))
        except UnusableProjectError:
            raise
        except NothingToLearnError:
            if not (self.settings.zero_shot and controls and tasks) or (
                current and not current.model.is_from_names
            ):
                raise
            return True
        return False

    def _learn(
        self,
        project: Project,
        controls: Sequence[Control],
        tasks: Sequence[Task],
        gathered: Gathered,
        embedder: Embedder,
    ) -> tuple["_Learned", Artifact | None]:
        """Learn, unless the version that is returned as well has learned from the same."""
        seed = self.settings.seed
        evidence, settled = self._evidence(project.id, controls, tasks, gathered, embedder.weights_id)
        digest = learning_digest(project, embedder.key, seed, gathered, evidence)
        same = self.registry.same(project.id, digest)
        embeddings = np.stack(list(gathered.vectors.values()))
        model = same.model if same else fit_model(embeddings, evidence, seed)
        return _Learned(evidence, settled, embeddings, model, digest), same

    def _take_names(
        self,
        project: Project,
        controls: Sequence[Control],
        _tasks: Sequence[Task],
        gathered: Gathered,
        embedder: Embedder,
    ) -> tuple["_Learned", Artifact | None]:
        """Make a model from the names of the labels, unless the version that is returned as well is the same."""
        if not gathered.vectors:
            raise _unreadable(project.id, gathered)
        names, seed = LabelNames.of(project, controls, self.settings), self.settings.seed
        digest = names.digest(embedder.key)
        same = self.registry.same(project.id, digest)
        embeddings = np.stack(list(gathered.vectors.values()))
        model = same.model if same else names.model(embedder.identity, embeddings, seed)
        return _Learned([], set(), embeddings, model, digest), same

    def _evidence(
        self,
        project_id: int,
        controls: Sequence[Control],
        tasks: Sequence[Task],
        gathered: Gathered,
        weights_id: str,
    ) -> tuple[list[Evidence], set[int]]:
        tuned = TunedWeights(self.settings.data_dir).made(weights_id)
        clean = partial(tuned.clean, project_id) if tuned else None
        evidence, settled = find_evidence(controls, tasks, gathered, clean)
        if not evidence:
            raise _unreadable(project_id, gathered, " with an annotation or a given label")
        return evidence, settled

    def _compare(
        self,
        project_id: int,
        current: Artifact | None,
        learned: "_Learned",
        embedding_key: str,
        same: Artifact | None,
        gathered: Gathered,
    ) -> Comparison:
        """Decide whether a model takes over; it does where new images cannot be embedded for the last one.

        One that was made before keeps its place, and so does what a person chose since.
        """
        chosen = self.registry.chosen_version(project_id) is not None
        if same and (same.held_back or chosen or (current and current.model_version == same.model_version)):
            answers = current is not None and current.model_version == same.model_version
            return Comparison(promoted=answers, why=f"Nothing has changed since {same.model_version} was trained.")
        if current is None:
            return succeeds(None, learned.model, learned.evidence, None, chosen=False)
        comparable = current.embedding_key == embedding_key
        embeddings = learned.embeddings if comparable else None
        if not comparable and current.model.is_from_names:
            embeddings = self._seen_by(current, project_id, learned.evidence, gathered)
        comparison = succeeds(current.model, learned.model, learned.evidence, embeddings, chosen=chosen)
        if not chosen and 2 * current.n_settled < len(learned.settled) and learned.is_overruled:
            why = f"Consensus has settled {len(learned.settled)} tasks and contradicts their annotators, who judge"
            return replace(comparison, promoted=True, why=f"{why}: it learned better labels. {comparison.why}")
        if comparison.promoted or comparable or not (why := self.embeddings.why_unusable(current)):
            return comparison
        return replace(
            comparison, promoted=True, why=f"The last version cannot embed new images: {why}. {comparison.why}"
        )

    def _seen_by(
        self, current: Artifact, project_id: int, evidence: Sequence[Evidence], gathered: Gathered
    ) -> NDArray[np.float32] | None:
        """Embed the images that may judge as a version from names sees them, by row; None where that fails."""
        rows = sorted({int(row) for each in evidence for row in each.rows})
        refs = list(gathered.vectors)
        try:
            seen_by = self.embeddings.gather_for(current, project_id, [refs[row] for row in rows], silent).vectors
        except SuiteError:
            return None
        if len(seen_by) < len(rows):
            return None
        vectors = [seen_by[refs[row]] for row in rows]
        embeddings = np.zeros((len(refs), len(vectors[0])), dtype=np.float32)
        embeddings[rows] = vectors
        return embeddings

    def _publish(
        self,
        project: Project,
        tasks: Sequence[Task],
        answering: Artifact | None,
        current: Artifact | None,
        gathered: Gathered,
        embedding_key: str,
        progress: Progress,
    ) -> int:
        """Let a version answer that does not yet, and give the one that does what it lacks; return how much."""
        if answering is None:
            return 0
        if answering.embedding_key != embedding_key:
            gathered = self.embeddings.gather_for(answering, project.id, list(gathered.vectors), progress)
        stored = self.publisher.store(project, tasks, answering, gathered, progress)
        stays = current is not None and answering.model_version == current.model_version
        if not stays or self.registry.damage(project.id):
            chosen = stays and self.registry.chosen_version(project.id) is not None
            self.publisher.publish(project.id, answering.model_version, chosen=chosen)
        else:
            self.publisher.show(project.id, answering.model_version)
        return stored


@dataclass(frozen=True)
class _Learned:
    evidence: Sequence[Evidence]
    settled: set[int]
    embeddings: NDArray[np.float32]
    model: ProjectModel
    digest: str

    @property
    def is_overruled(self) -> bool:
        """Whether consensus contradicts a quarter and more of the tasks that would judge."""
        answered = overruled = 0
        for evidence in self.evidence:
            if evidence.answers is not None and evidence.counts is not None:
                judging = evidence.answers.any(axis=1)
                answered += int(judging.sum())
                overruled += int((judging & (evidence.counts == 0)).sum())
        return 4 * overruled >= answered > 0


def _unreadable(project_id: int, gathered: Gathered, which: str = "") -> UnusableProjectError:
    return UnusableProjectError(
        f"no image of project {project_id}{which} can be read ({counted(Counter(gathered.failures.values()))}): "
        f"ml-backend doctor --project {project_id} says why and what helps"
    )


def _artifact(
    project: Project,
    embedder: Embedder,
    n_calibrated: int,
    learned: _Learned,
    comparison: Comparison,
    now: datetime,
) -> Artifact:
    return Artifact(
        model_version=trained_version(embedder.backbone, embedder.weights_id, now, learned.digest),
        created_at=now.astimezone(UTC).isoformat(),
        backbone=embedder.backbone,
        weights_id=embedder.weights_id,
        seed=embedder.identity.seed,
        embedding_key=embedder.key,
        label_config=config_digest(project.label_config),
        n_images=len(learned.embeddings),
        n_calibrated=n_calibrated,
        model=learned.model,
        calibration=embedder.calibration,
        stamp=project.stamp,
        n_annotated=len({task for evidence in learned.evidence for task in evidence.annotated}),
        n_settled=len(learned.settled),
        held_back="" if comparison.promoted else comparison.why,
        comparison=comparison.as_dict(),
        learned_from=learned.digest,
    )


def _log_held_back(project_id: int, artifact: Artifact, current: Artifact | None) -> None:
    log.warning(
        "version_held_back",
        project=project_id,
        version=artifact.model_version,
        serving=current.model_version if current else None,
        why=artifact.held_back,
    )


def _log_outcome(
    project_id: int,
    artifact: Artifact,
    serving: str | None,
    comparison: Comparison,
    read: int,
    steps: Steps,
    *,
    new: bool,
) -> None:
    log.info(
        "trained" if new else "nothing_new_to_learn",
        project=project_id,
        version=artifact.model_version,
        serving=serving,
        why=comparison.why,
        annotated=artifact.n_annotated,
        by_consensus=artifact.n_settled,
        read=read,
        seconds={step: round(seconds, 2) for step, seconds in steps.seconds.items()},
    )
