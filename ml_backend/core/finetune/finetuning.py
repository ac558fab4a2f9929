"""A backbone learns the labels of a project: a linear head for each control, of which nothing is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml_backend.core.finetune import bodies
from ml_backend.core.finetune.loop import Objective
from ml_backend.core.finetune.targets import ControlTargets
from ml_backend.core.finetune.views import Augmentation, central_views, standardised
from ml_backend.core.preparing import Preparation

VIEWS = Augmentation()
_HEADS = 10.0  # times the learning rate of the backbone: they start from nothing


@dataclass(frozen=True)
class FineTuningOptions:
    """What is special about fine-tuning.

    Parameters
    ----------
    smoothing : float
        Share of each target that is spread evenly over the labels, in [0, 1): Szegedy et al., Rethinking the
        Inception architecture, 2016, doi:10.1109/CVPR.2016.308.
    layer_decay : float
        Learning rate of a stage by that of the next one, in (0, 1].
    frozen : int
        Stages from the input that do not learn, 0 to 4.
    """

    smoothing: float = 0.1
    layer_decay: float = 1.0
    frozen: int = 0


class FineTuning(Objective):
    """Cross-entropy with the annotators' shares as targets; of each label alone where several may be chosen.

    The parameters that are not listed are ``Objective``'s.

    Parameters
    ----------
    dimension : int
        Of the body's output.
    images : (n_images, 3, side, side) uint8
        For the validation; may be a memory map.
    validated : (n_validated,) int64
        Rows that are not learned from.
    batch_size : int
        Of the validation.
    """

    def __init__(
        self,
        body: nn.Module,
        dimension: int,
        *,
        images: NDArray[np.uint8],
        targets: Sequence[ControlTargets],
        validated: NDArray[np.int64],
        image_size: int,
        preparation: Preparation,
        augmentation: Augmentation = VIEWS,
        options: FineTuningOptions = FineTuningOptions(),
        batch_size: int = 64,
    ) -> None:
        super().__init__(body, image_size, preparation, augmentation)
        heads = [nn.Linear(dimension, control_targets.shares.shape[1]) for control_targets in targets]
        for parameter in (parameter for head in heads for parameter in head.parameters()):
            nn.init.zeros_(parameter)
        self.heads = nn.ModuleList(heads)
        bodies.freeze(body, options.frozen)
        self._images, self._targets, self._validated = images, targets, validated
        self._options, self._batch_size = options, batch_size

    def train(self, mode: bool = True) -> "FineTuning":  # noqa: FBT001, FBT002 - torch's signature
        """Set the mode; stages that are frozen stay as they are."""
        super().train(mode)
        if mode:
            bodies.train_mode(self.body)
        return self

    def groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameters that learn, in AdamW's groups."""
        decay = self._options.layer_decay
        return [
            *bodies.groups(self.body, learning_rate, weight_decay, decay),
            *bodies.decayed(list(self.heads.parameters()), learning_rate * _HEADS, weight_decay),
        ]

    def loss(self, images: Tensor, rows: NDArray[np.int64], generator: torch.Generator) -> Tensor:
        """Return the loss of a batch, each image in a random view."""
        total, weight = self._losses(self._views(images, generator), rows, self._options.smoothing)
        return (total / weight.clamp(min=1e-12)).mean()

    def validation_loss(self) -> float | None:
        """Return the log loss of the rows that are not learned from; None where nothing is known of them."""
        total = weight = torch.zeros(len(self._targets))
        for start in range(0, len(self._validated), self._batch_size):
            rows = self._validated[start : start + self._batch_size]
            images = torch.from_numpy(np.ascontiguousarray(self._images[rows])).to(self._device)
            views = central_views(images, self._size, self._preparation)
            of_batch, counted = self._losses(views, rows, smoothing=0)
            total, weight = total + of_batch.detach().cpu(), weight + counted.cpu()
        judged = weight > 0
        return float((total[judged] / weight[judged]).mean()) if judged.any() else None

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _losses(self, views: Tensor, rows: NDArray[np.int64], smoothing: float) -> tuple[Tensor, Tensor]:
        """Return each control's weighted sum of losses, and its sum of weights."""
        embeddings = self.body(standardised(views, self._preparation))
        totals, weights = [], []
        for head, targets in zip(self.heads, self._targets, strict=True):
            shares = torch.from_numpy(targets.shares[rows]).to(embeddings.device)
            weight = torch.from_numpy(targets.weights[rows]).to(embeddings.device)
            totals.append((_loss(head(embeddings), shares, smoothing, multiple=targets.multiple) * weight).sum())
            weights.append(weight.sum())
        return torch.stack(totals), torch.stack(weights)


def _loss(logits: Tensor, shares: Tensor, smoothing: float, *, multiple: bool) -> Tensor:
    """Return the cross-entropy of each row."""
    if multiple:
        smooth = shares * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(1)
    smooth = shares * (1 - smoothing) + smoothing / shares.shape[1]
    return -(smooth * logits.log_softmax(1)).sum(1)
