"""Images become embeddings by torch: networks without their last layer.

ResNets: He et al., Deep Residual Learning for Image Recognition, 2015, doi:10.1109/CVPR.2016.90
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision import models

from ml_backend.core.efficientnet import EfficientNetLite0
from ml_backend.core.identity import Calibration, Identity, Network
from ml_backend.core.preparing import EFFICIENTNET_LITE0, Preparation
from ml_backend.core.versions import RANDOM


def _resnet(make: Callable[[], Any]) -> nn.Module:
    network = make()
    network.dimension = int(network.fc.in_features)
    network.fc = nn.Identity()
    body: nn.Module = network
    return body


BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "resnet18": partial(_resnet, models.resnet18),
    "resnet34": partial(_resnet, models.resnet34),
    "resnet50": partial(_resnet, models.resnet50),
    EFFICIENTNET_LITE0: EfficientNetLite0,
}
_CLASSIFIERS = ("fc.", "_fc.")
_CALIBRATED = ("running_mean", "running_var")


class TorchEmbedder(Network):
    """A backbone with its weights' own transforms. Threads may share it.

    Random weights tell images apart once their batch normalisation has seen the project's images: ``calibrate``.

    Parameters
    ----------
    backbone : str
        A key of ``BACKBONES``, or the name of the given network.
    weights_id : str
        How the weights are called in versions and cache keys.
    state : mapping of str to Tensor, optional
        A state dict; its classifier is ignored. None initialises at random.
    network : nn.Module, optional
        With its weights, an attribute ``dimension`` and no classifier; else one is made.
    preparation : Preparation, optional
        Of the given network.
    seed : int
        Of the random initialisation.
    batch_size : int
        Images a forward pass.
    device : str
        ``cpu`` or ``cuda``; a graphics processor computes in full single precision, as the processor does.

    Raises
    ------
    ValueError
        If the state dict does not fit the backbone.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        *,
        weights_id: str = RANDOM,
        state: Mapping[str, torch.Tensor] | None = None,
        network: nn.Module | None = None,
        preparation: Preparation | None = None,
        seed: int = 0,
        batch_size: int = 32,
        device: str = "cpu",
    ) -> None:
        if network is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = BACKBONES[backbone]()
        self.dimension = int(network.dimension)  # type: ignore[arg-type]  # torch calls it a tensor or a module
        if state is not None:
            _load(network, state, backbone)
        if device != "cpu":
            torch.backends.cudnn.allow_tf32 = False  # 10 bits of a fraction would be other embeddings
        self._network: nn.Module = network.eval().to(device)
        self._device = torch.device(device)
        self._batch_size = batch_size
        self.streams = 1  # torch divides a batch among its threads, and a graphics processor has one queue
        self.identity, self.preparation = Identity(backbone, weights_id, seed), preparation

    @property
    def engine(self) -> str:
        """What computes: ``torch-cpu`` or ``torch-cuda``."""
        return f"torch-{self._device.type}"

    @property
    def network(self) -> nn.Module:
        """What maps (n, 3, height, width) to (n, dimension), to be exported."""
        return self._network

    def embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed prepared images in batches.

        Parameters
        ----------
        prepared : sequence of (3, height, width) float32
            By ``prepare``.

        Returns
        -------
        (n_images, dimension) float32
        """
        embeddings = [np.zeros((0, self.dimension), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(prepared), self._batch_size):
                batch = self._batch(prepared[start : start + self._batch_size])
                embeddings.append(self._network(batch).cpu().numpy())
        return np.concatenate(embeddings)

    def calibrate(self, prepared: Sequence[NDArray[np.float32]]) -> "TorchEmbedder":
        """Take the batch normalisation's mean and variance from the given images, at least one.

        Returns
        -------
        TorchEmbedder
            A new one that shares the weights.
        """
        network = self._copy_of_buffers()
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the cumulative average
        network.train()
        with torch.inference_mode():
            network(self._batch(prepared))
        calibration = {
            name: tensor.cpu().numpy().astype(np.float32)
            for name, tensor in network.named_buffers()
            if name.endswith(_CALIBRATED)
        }
        return self.with_calibration(calibration)

    def with_calibration(self, calibration: Calibration) -> "TorchEmbedder":
        """Return a copy that shares the weights and has a calibration kept from before (none: unchanged)."""
        if not calibration:
            return self
        calibrated = copy.copy(self)
        calibrated._network = self._copy_of_buffers()  # noqa: SLF001 - the same class
        buffers = dict(calibrated._network.named_buffers())  # noqa: SLF001
        with torch.no_grad():
            for name, values in calibration.items():
                buffers[name].copy_(torch.from_numpy(np.array(values)))
        calibrated.identity = dataclasses.replace(self.identity, calibration=dict(calibration))
        return calibrated

    def _batch(self, prepared: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        return torch.from_numpy(np.stack(list(prepared))).to(self._device)

    def _copy_of_buffers(self) -> nn.Module:
        shared = {id(parameter): parameter for parameter in self._network.parameters()}
        return copy.deepcopy(self._network, shared)


def _load(network: nn.Module, state: Mapping[str, torch.Tensor], backbone: str) -> None:
    body = {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIERS)}
    try:
        network.load_state_dict(body)
    except (RuntimeError, AttributeError) as error:
        first = str(error).splitlines()[-1].strip()[:200]
        raise ValueError(f"the state dict does not fit {backbone}: {first}") from error
