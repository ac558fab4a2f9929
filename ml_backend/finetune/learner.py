"""A planned tuning runs: step by step, with checkpoints, from the last one if there is one."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.files import held
from ml_backend.core.embedder import TorchEmbedder
from ml_backend.core.finetune import finetuning, pretraining
from ml_backend.core.finetune.bodies import recalibrate
from ml_backend.core.finetune.loop import Objective, Options, Step, Tuning
from ml_backend.core.finetune.views import central_views, standardised
from ml_backend.core.identity import Identity
from ml_backend.core.preparing import PREPARATIONS, Preparation
from ml_backend.embedding.checkpoints import read_state, state_file
from ml_backend.errors import WeightsError
from ml_backend.finetune.options import FINETUNE
from ml_backend.finetune.plan import split_of
from ml_backend.finetune.tuning_folder import Inputs, Plan, TuningError, TuningFolder
from ml_backend.settings import Settings

CHECKPOINT_S = 300.0
_GAP_S = 0.2  # in which a training that waits can begin
_RECALIBRATED_ON = 512  # images
_BATCH = 32


@dataclass(frozen=True)
class Learner:
    """What runs a plan.

    Parameters
    ----------
    shown : callable
        Told of each step.
    checkpoint_s : float
        Time after which a checkpoint is written within an epoch; one is at the end of each, too.
    """

    settings: Settings
    folder: TuningFolder
    plan: Plan
    shown: Callable[[Step], None] = lambda _: None
    checkpoint_s: float = CHECKPOINT_S

    def learn(self) -> dict[str, Tensor]:
        """Run to the end, and give the backbone's state dict as it shall serve.

        Raises
        ------
        TuningError
            If the last checkpoint does not fit the plan.
        WeightsError
            If what it starts from cannot be had any more.
        OSError
            If a checkpoint cannot be written; the last one stays.
        """
        if self.settings.training_torch_threads:
            torch.set_num_threads(self.settings.training_torch_threads)
        torch.backends.cudnn.deterministic = True
        images = self.folder.images(self.plan)
        inputs = self.folder.inputs(self.plan)
        run, rows = self._run(images, inputs)
        last = self.folder.checkpoint()
        if last is not None:
            try:
                run.restore(last)
            except (LookupError, ValueError, RuntimeError, TypeError) as error:
                raise TuningError(
                    f"the last checkpoint does not fit ({type(error).__name__}): use --restart"
                ) from None
        while self._advance(run):
            time.sleep(_GAP_S)
        return self._as_served(run.result(), images, rows)

    def _advance(self, run: Tuning) -> bool:
        """Learn up to the next checkpoint and write it; tell whether there was anything to learn.

        Trainings of the project wait meanwhile and are let in afterwards: they take minutes, this may take hours.
        """
        with held(self.folder.path.parent / "training.lock", wait=True):
            ends_at = time.monotonic() + self.checkpoint_s
            for step in run.run():
                self.shown(step)
                if step.ends_epoch or time.monotonic() >= ends_at:
                    self.folder.save_checkpoint(run.checkpoint())
                    return True
        return False

    def _run(self, images: NDArray[np.uint8], inputs: Inputs) -> tuple[Tuning, NDArray[np.int64]]:
        given = self.plan.options
        options = Options(
            epochs=int(given["epochs"]),
            batch_size=int(given["batch_size"]),
            image_size=int(given["image_size"]),
            learning_rate=given["learning_rate"],
            patience=int(given["patience"]),
            seed=self.plan.seed,
        )
        start = self._network(None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.seed)
            objective, rows = self._objective(start, images, inputs)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        objective = objective.to(device).to(memory_format=torch.channels_last)
        return Tuning(objective, images, rows, options), rows

    def _objective(
        self, start: TorchEmbedder, images: NDArray[np.uint8], inputs: Inputs
    ) -> tuple[Objective, NDArray[np.int64]]:
        given = self.plan.options
        size, upright = int(given["image_size"]), bool(given["upright"])
        if self.plan.how != FINETUNE:
            objective: Objective = pretraining.Pretraining(
                start.network,
                start.dimension,
                image_size=size,
                preparation=self._preparation,
                augmentation=dataclasses.replace(pretraining.VIEWS, upright=upright),
            )
            return objective, np.arange(self.plan.n_images, dtype=np.int64)
        rows = split_of(inputs)
        objective = finetuning.FineTuning(
            start.network,
            start.dimension,
            images=images,
            targets=list(inputs.targets.values()),
            validated=rows.validated,
            image_size=size,
            preparation=self._preparation,
            augmentation=dataclasses.replace(finetuning.VIEWS, upright=upright),
            options=finetuning.FineTuningOptions(layer_decay=given["layer_decay"], frozen=int(given["frozen"])),
        )
        return objective, rows.learned

    def _as_served(
        self, state: dict[str, Tensor], images: NDArray[np.uint8], rows: NDArray[np.int64]
    ) -> dict[str, Tensor]:
        """Fit the batch normalisation to images of the size that will be served."""
        chosen = np.random.default_rng(self.plan.seed).permutation(rows)[:_RECALIBRATED_ON]
        network = self._network(state).network
        recalibrate(network, self._batches(images, chosen))
        return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}

    def _batches(self, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Iterator[Tensor]:
        for batch in np.array_split(rows, max(len(rows) // _BATCH, 1)):
            squares = torch.from_numpy(np.ascontiguousarray(images[np.sort(batch)]))
            yield standardised(
                central_views(squares, self._preparation.crop, self._preparation), self._preparation
            )

    def _network(self, state: dict[str, Tensor] | None) -> TorchEmbedder:
        """Make the backbone with a state dict; without, with the one that the plan starts from."""
        plan = self.plan
        if state is None:
            path = state_file(Identity(plan.backbone, plan.weights_id, plan.seed), self.settings)
            state = read_state(path) if path else None
        try:
            return TorchEmbedder(plan.backbone, weights_id=plan.weights_id, state=state, seed=plan.seed)
        except ValueError as error:
            raise WeightsError(str(error)) from None

    @property
    def _preparation(self) -> Preparation:
        return PREPARATIONS[self.plan.backbone]
