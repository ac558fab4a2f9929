"""The parts of a ResNet, from its input to its output: which of them learn, and how fast."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


def freeze(body: nn.Module, stages: int) -> None:
    """Let the first stages learn nothing any more.

    Parameters
    ----------
    body : nn.Module
        A ResNet of torchvision's.
    stages : int
        In [0, 5].
    """
    for names in STAGES[:stages]:
        for name in names:
            body.get_submodule(name).requires_grad_(requires_grad=False)


def train_mode(body: nn.Module) -> None:
    """Let batch normalisation take its mean and variance from the batch, but in stages that are frozen."""
    body.train()
    for names in STAGES:
        for name in names:
            module = body.get_submodule(name)
            if not any(parameter.requires_grad for parameter in module.parameters()):
                module.eval()


def groups(body: nn.Module, rate: float, weight_decay: float, decay: float) -> Iterator[dict[str, Any]]:
    """Return the parameters that learn, slower the nearer they are to the input.

    Howard and Ruder, Universal language model fine-tuning for text classification (discriminative fine-tuning),
    2018, doi:10.18653/v1/P18-1031

    Parameters
    ----------
    rate : float
        Learning rate of the last stage.
    weight_decay : float
        Of matrices; offsets, and batch normalisation's scales, have none.
    decay : float
        Learning rate of a stage by that of the next one, in (0, 1].
    """
    for depth, names in enumerate(STAGES):
        parameters = [
            parameter
            for name in names
            for parameter in body.get_submodule(name).parameters()
            if parameter.requires_grad
        ]
        yield from decayed(parameters, rate * decay ** (len(STAGES) - 1 - depth), weight_decay)


def decayed(parameters: list[nn.Parameter], rate: float, weight_decay: float) -> Iterator[dict[str, Any]]:
    """Return a group of matrices, with weight decay, and one of the rest; none that is empty."""
    for matrices in (True, False):
        chosen = [parameter for parameter in parameters if (parameter.ndim > 1) is matrices]
        if chosen:
            yield {"params": chosen, "lr": rate, "weight_decay": weight_decay if matrices else 0.0}


def recalibrate(body: nn.Module, batches: Iterator[Tensor]) -> None:
    """Take batch normalisation's mean and variance from images of the size that will be served.

    What a network that learned from small views sees when it serves is distributed otherwise: Touvron et al.,
    Fixing the train-test resolution discrepancy, 2019, arXiv:1906.06423.

    Parameters
    ----------
    body : nn.Module
        Left in evaluation mode.
    batches : iterator of (n, 3, height, width) float32
        At least one, of at least 2 images each; every batch counts the same.
    """
    norms = [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the cumulative average
    body.train()
    with torch.inference_mode():
        for batch in batches:
            body(batch)
    body.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
