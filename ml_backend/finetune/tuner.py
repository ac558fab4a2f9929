"""A tuning on one screen: plan, learn, judge, put to use."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from common.files import held, write_whole
from common.progress import Progress, silent
from ml_backend.core.identity import Identity
from ml_backend.embedding.checkpoints import content_id, kept_weights
from ml_backend.embedding.engines import Embedder, EngineError
from ml_backend.embedding.gather import ImageRef
from ml_backend.embedding.tuned import Tuned, TunedWeights
from ml_backend.finetune.evaluation import Judgement, judge
from ml_backend.finetune.image_squares import Fetch
from ml_backend.finetune.initial_weights import base_identity
from ml_backend.finetune.options import FINETUNE, TuningRequest
from ml_backend.finetune.plan import plan_tuning, split_of
from ml_backend.finetune.tuning_folder import Plan, TuningError, TuningFolder
from ml_backend.training.train import Trainer

if TYPE_CHECKING:
    from torch import Tensor

    from ml_backend.core.finetune.loop import Step

log = structlog.get_logger()


@dataclass(frozen=True)
class TuningResult:
    """What a tuning made.

    Parameters
    ----------
    used : bool
        Whether the project takes the weights from its next training on.
    n_images : int
        Of the whole project when the tuning began.
    failures : mapping of str to int
        Images that could not be learned from, by reason.
    """

    tuned: Tuned
    judgement: Judgement
    used: bool
    n_images: int
    failures: Mapping[str, int]


@dataclass(frozen=True)
class Tuner:
    """What tunes a project's backbone.

    Parameters
    ----------
    fetch : callable
        Gives the bytes at an address, for a task.
    progress : callable
        Told the step, how much of it is done, and how much there is.
    shown : callable
        Told of each step of the learning.
    """

    trainer: Trainer
    fetch: Fetch
    progress: Progress = silent
    shown: "Callable[[Step], None]" = lambda _: None

    def tune(self, project_id: int, request: TuningRequest, *, resume: bool | None, now: datetime) -> TuningResult:
        """Tune, from where a tuning that did not end has stopped or from the beginning.

        Parameters
        ----------
        resume : bool, optional
            Go on with what was begun, whatever options are wanted now; or begin anew. Left out, it goes on if it
            was begun with the same options.
        now : datetime
            Aware.

        Raises
        ------
        TuningError
            If another tuning is running, or one with other options or of an earlier project has not ended.
        SuiteError, OSError
            If it stops before its end; the last checkpoint stays.
        """
        settings = self.trainer.settings
        folder = TuningFolder.of_project(settings.data_dir, project_id)
        with held(settings.data_dir / "tuning.lock", wait=False) as alone:
            if not alone:
                raise TuningError(
                    "another fine-tuning or pre-training is running on this machine: wait for its end"
                )
            plan = self._begun(folder, project_id, request, resume=resume)
            if plan is None:
                plan = plan_tuning(self.trainer, self.fetch, project_id, request, folder, now, self.progress)
            from ml_backend.finetune.learner import Learner  # noqa: PLC0415 - imports torch

            state = Learner(settings, folder, plan, self.shown).learn()
            tuned = self._kept(project_id, folder, plan, state, now)
            result = self._judged(project_id, folder, plan, tuned)
            self._export(tuned.identity)
            folder.clear()
        return result

    def _begun(
        self, folder: TuningFolder, project_id: int, request: TuningRequest, *, resume: bool | None
    ) -> Plan | None:
        """Return the plan to go on with, if any."""
        if resume is False:
            return None
        plan = folder.plan()
        if plan is None:
            if resume:
                raise TuningError(f"project {project_id} has no fine-tuning or pre-training that could go on")
            return None
        stamp = self.trainer.client.project(project_id).stamp
        if stamp and plan.stamp and stamp != plan.stamp:
            raise TuningError(
                f"a {plan.how} that began at {plan.began_at} has not ended, and was of an earlier project "
                f"{project_id}: Label Studio has given the id to another project since. --restart begins anew"
            )
        differences = self._differences(plan, project_id, request)
        if plan.how != request.how or (differences and not resume):
            raise TuningError(
                f"a {plan.how} of project {project_id} that began at {plan.began_at} has not ended "
                f"({'; '.join(differences)}): ml-backend {plan.how} --resume goes on with it, --restart begins "
                "anew"
            )
        return plan

    def _differences(self, plan: Plan, project_id: int, request: TuningRequest) -> list[str]:
        """Return what is wanted otherwise than it was begun."""
        if plan.how != request.how:
            return [f"a {plan.how}, not a {request.how}"]
        differences = [
            f"{name} {plan.options.get(name, math.nan):g}, not {value:g}"
            for name, value in request.options.items()
            if plan.options.get(name) != value
        ]
        if request.base is not None:
            base = base_identity(self.trainer, project_id, plan.stamp, request.base)
            if (base.backbone, base.weights_id) != (plan.backbone, plan.weights_id):
                differences.append(
                    f"from {plan.backbone}:{plan.weights_id}, not {base.backbone}:{base.weights_id}"
                )
        return differences

    def _kept(
        self, project_id: int, folder: TuningFolder, plan: Plan, state: "dict[str, Tensor]", now: datetime
    ) -> Tuned:
        """Write the weights under the id of their content, and how they were made."""
        import torch  # noqa: PLC0415 - takes seconds

        buffer = io.BytesIO()  # into a file torch writes the file's name as well, and the id would depend on it
        torch.save(state, buffer)
        unnamed = self._weights_folder / f".made-for-{project_id}"
        write_whole(unnamed, buffer.getvalue())
        weights_id = content_id(unnamed)
        unnamed.replace(kept_weights(self.trainer.settings.data_dir, weights_id))
        inputs = folder.inputs(plan)
        split = split_of(inputs)
        tuned_on = sorted({int(inputs.tasks[row]) for rows in (split.learned, split.validated) for row in rows})
        weights = TunedWeights(self.trainer.settings.data_dir)
        tuned = Tuned(
            backbone=plan.backbone,
            weights_id=weights_id,
            how=plan.how,
            base=Identity(plan.backbone, plan.weights_id, plan.seed).key,
            created_at=now.astimezone(UTC).isoformat(timespec="seconds"),
            tuned_on={str(project_id): tuned_on} if plan.how == FINETUNE else {},
        ).after(weights.made(plan.weights_id))
        weights.keep(tuned)
        return tuned

    def _judged(self, project_id: int, folder: TuningFolder, plan: Plan, tuned: Tuned) -> TuningResult:
        """Compare with what the project has, and use what is better; what nothing can judge waits for a person."""
        trainer, inputs = self.trainer, folder.inputs(plan)
        after = self._embedder(tuned.identity)
        judgement = judge(
            trainer.gatherer,
            project_id,
            inputs,
            split_of(inputs),
            before=lambda refs: self._before(project_id, plan.stamp, refs),
            after=after,
            progress=self.progress,
        )
        used = judgement.better is True
        if used:
            TunedWeights(trainer.settings.data_dir).use(project_id, tuned, plan.stamp)
        return TuningResult(tuned, judgement, used, plan.n_project, plan.failures)

    def _export(self, identity: Identity) -> None:
        """Let a backend without torch serve the weights, wherever they were learned."""
        try:
            self.trainer.backbones.export(identity)
        except EngineError as error:
            log.warning("tuned_weights_not_exported", weights=identity.weights_id, reason=str(error))

    def _before(self, project_id: int, stamp: str, refs: Sequence[ImageRef]) -> Embedder:
        last = self.trainer.registry.current(project_id, stamp)
        return self.trainer.embeddings.backbone(project_id, stamp, refs, last)[0]

    def _embedder(self, identity: Identity) -> Embedder:
        return self.trainer.backbones.matching(
            identity, identity.key, timeout_s=self.trainer.settings.export_timeout_s
        )

    @property
    def _weights_folder(self) -> Path:
        return self.trainer.settings.data_dir / "weights"
