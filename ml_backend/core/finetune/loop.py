"""The loop that fine-tuning and pre-training share: it can be stopped after any step and goes on as if it had not.

Everything random in a step is drawn from the run's seed and the step's number, and the learning rate is a function
of that number: a checkpoint holds tensors and counts alone.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_backend.core.finetune.views import Augmentation, random_views
from ml_backend.core.preparing import Preparation

WARM_UP = 0.05  # share of the steps
_ORDER, _VIEWS = 0, 1  # what a random stream is for
_LARGEST_NORM = 5.0


@dataclass(frozen=True)
class Options:
    """How long and how fast a network learns.

    Parameters
    ----------
    epochs, batch_size, image_size : int
        At least 1, 2 and 32; ``image_size`` is the side of the views in pixels.
    learning_rate, weight_decay : float
        Of AdamW; greater than 0, and at least 0.
    patience : int
        Epochs without a better validation loss after which it ends, at least 1.
    seed : int
        At least 0.
    """

    epochs: int
    batch_size: int
    image_size: int
    learning_rate: float
    weight_decay: float = 1e-4
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """What is known after a step.

    Parameters
    ----------
    number, steps : int
        How many are done, of how many.
    epoch : int
        That the step belonged to, from 1.
    loss : float
        Mean over the steps of this epoch so far.
    validation : float or None
        Loss on the images that are not learned from, at the end of an epoch of a run that has such images.
    best : int
        Epoch of the lowest validation loss so far; 0 where there is none.
    """

    number: int
    steps: int
    epoch: int
    ends_epoch: bool
    loss: float
    validation: float | None
    best: int


class Objective(nn.Module, ABC):
    """What a run makes smaller: a loss on random views of images.

    Parameters
    ----------
    body : nn.Module
        A ResNet of torchvision's without its last layer.
    image_size : int
        Side of the views in pixels.
    preparation : Preparation
        Of the backbone.
    """

    def __init__(
        self, body: nn.Module, image_size: int, preparation: Preparation, augmentation: Augmentation
    ) -> None:
        super().__init__()
        self.body = body
        self._size, self._preparation, self._augmentation = image_size, preparation, augmentation

    @abstractmethod
    def loss(self, images: Tensor, rows: NDArray[np.int64], generator: torch.Generator) -> Tensor:
        """Return the loss of a batch of (n, 3, side, side) uint8 images, which have these rows."""

    @abstractmethod
    def groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameters that learn, in AdamW's groups."""

    def validation_loss(self) -> float | None:
        """Return the loss on images that are not learned from, if there are any."""
        return None

    def _views(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return random_views(images, self._size, self._augmentation, generator)


class Tuning:
    """One run: a network, what it learns, and how far it is.

    Ilya Loshchilov and Frank Hutter, Decoupled weight decay regularization (AdamW), 2019, arXiv:1711.05101

    Parameters
    ----------
    objective : Objective
        On the device on which it is to learn.
    images : (n_images, 3, side, side) uint8
        May be a memory map: only what a batch needs is read.
    rows : (n_learned,) int64
        The images to learn from, at least 2.

    Raises
    ------
    ValueError
        If there are fewer than two images to learn from: batch normalisation has no variance of one.
    """

    def __init__(
        self,
        objective: Objective,
        images: NDArray[np.uint8],
        rows: NDArray[np.int64],
        options: Options,
    ) -> None:
        if len(rows) < 2:  # noqa: PLR2004 - see above
            raise ValueError(f"{len(rows)} images are too few to learn from: at least 2 are needed")
        self._objective, self._images, self._rows, self._options = objective, images, rows, options
        self._batch = min(options.batch_size, len(rows))
        self._each = len(rows) // self._batch  # steps an epoch; what is left over is drawn in another epoch
        self.steps = self._each * options.epochs
        self._device = next(objective.parameters()).device
        groups = objective.groups(options.learning_rate, options.weight_decay)
        self._rates = [float(group["lr"]) for group in groups]
        self._optimiser = torch.optim.AdamW(groups)
        self._number, self._summed, self._ended = 0, 0.0, False
        self._best: dict[str, Any] | None = None

    def run(self) -> Iterator[Step]:
        """Learn, from where the run is to its end."""
        while self._number < self.steps and not self._ended:
            yield self._step()

    def checkpoint(self) -> dict[str, Any]:
        """Return all that ``restore`` needs, as tensors, numbers and dicts of them; nothing is copied."""
        return {
            "objective": self._objective.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "number": self._number,
            "summed": self._summed,
            "ended": self._ended,
            "best": self._best,
        }

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Go back to a checkpoint of a run with the same images, rows and options."""
        self._objective.load_state_dict(checkpoint["objective"])
        self._optimiser.load_state_dict(checkpoint["optimiser"])
        self._number, self._summed = int(checkpoint["number"]), float(checkpoint["summed"])
        self._ended, self._best = bool(checkpoint["ended"]), checkpoint["best"]

    def result(self) -> dict[str, Tensor]:
        """Return the backbone's state dict, on the processor: of the best epoch where there is one."""
        state = self._best["state"] if self._best else self._objective.body.state_dict()
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    @property
    def best_epoch(self) -> int:
        """Epoch of the lowest validation loss; 0 where there is none."""
        return int(self._best["epoch"]) if self._best else 0

    def _step(self) -> Step:
        epoch, within = divmod(self._number, self._each)
        rows = self._order(epoch)[within * self._batch : (within + 1) * self._batch]
        images = torch.from_numpy(np.ascontiguousarray(self._images[np.sort(rows)])).to(self._device)
        self._objective.train()
        loss = self._objective.loss(images, np.sort(rows), self._generator())
        self._descend(loss)
        self._number += 1
        self._summed = (self._summed if within else 0.0) + float(loss.detach())
        ends_epoch = within + 1 == self._each
        validation = self._validated(epoch + 1) if ends_epoch else None
        return Step(
            number=self._number,
            steps=self.steps,
            epoch=epoch + 1,
            ends_epoch=ends_epoch,
            loss=self._summed / (within + 1),
            validation=validation,
            best=self.best_epoch,
        )

    def _descend(self, loss: Tensor) -> None:
        share = cosine(self._number, self.steps)
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        nn.utils.clip_grad_norm_(self._objective.parameters(), _LARGEST_NORM)
        self._optimiser.step()

    def _validated(self, epoch: int) -> float | None:
        self._objective.eval()
        with torch.no_grad():
            loss = self._objective.validation_loss()
        if loss is None:
            return None
        if self._best is None or loss < self._best["loss"]:
            state = {name: tensor.detach().cpu() for name, tensor in self._objective.body.state_dict().items()}
            self._best = {"epoch": epoch, "loss": loss, "state": copy.deepcopy(state)}
        self._ended = epoch - self.best_epoch >= self._options.patience
        return float(loss)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._options.seed, _ORDER, epoch]).permutation(self._rows)

    def _generator(self) -> torch.Generator:
        seed = np.random.SeedSequence([self._options.seed, _VIEWS, self._number]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


def cosine(step: int, steps: int, warm_up: float = WARM_UP) -> float:
    """Return what share of the learning rate a step has: up in a line, then down along half a cosine.

    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, arXiv:1608.03983 (without
    restarts); Goyal et al., Accurate, large minibatch SGD, 2017, arXiv:1706.02677 (the warm-up).

    Parameters
    ----------
    step : int
        From 0.
    steps : int
        Of the whole run, at least 1.
    warm_up : float
        Share of the steps that go up, in [0, 1).

    Returns
    -------
    float
        In (0, 1].

    Examples
    --------
    >>> [round(cosine(step, 4, warm_up=0), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    >>> cosine(0, 100), cosine(4, 100), cosine(5, 100)
    (0.2, 1.0, 1.0)
    """
    up = math.ceil(warm_up * steps)
    if step < up:
        return (step + 1) / up
    return (1 + math.cos(math.pi * (step - up) / max(steps - up, 1))) / 2
