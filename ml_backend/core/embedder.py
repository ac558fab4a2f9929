"""Images become embeddings: torchvision's ResNets without their last layer.

He et al., Deep Residual Learning for Image Recognition, 2015, doi:10.1109/CVPR.2016.90
"""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision import models

from ml_backend.core.versions import RANDOM

BACKBONES: dict[str, tuple[Any, Any]] = {
    "resnet18": (models.resnet18, models.ResNet18_Weights.DEFAULT),
    "resnet34": (models.resnet34, models.ResNet34_Weights.DEFAULT),
    "resnet50": (models.resnet50, models.ResNet50_Weights.DEFAULT),
}
_CALIBRATED = ("running_mean", "running_var")

Calibration = Mapping[str, NDArray[np.float32]]


class ResNetEmbedder:
    """A backbone with its weights' own transforms.

    Random weights tell images apart once their batch normalisation has seen the project's images: ``calibrate``.

    Parameters
    ----------
    backbone : str
        A key of ``BACKBONES``.
    weights_id : str
        How the weights are called in versions and cache keys.
    state : mapping of str to Tensor, optional
        A state dict; its classifier (``fc``) is ignored. None initialises at random.
    seed : int
        Of the random initialisation.
    batch_size : int
        Images a forward pass.

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
        seed: int = 0,
        batch_size: int = 32,
    ) -> None:
        build, weights = BACKBONES[backbone]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build()
        self.dimension = int(network.fc.in_features)
        network.fc = nn.Identity()
        if state is not None:
            _load(network, state, backbone)
        self._network: nn.Module = network.eval()
        self._transform = weights.transforms()
        self._batch_size = batch_size
        self._base = f"{backbone}:{weights_id}" + (f"-{seed}" if state is None else "")
        self.backbone, self.weights_id = backbone, weights_id
        self.calibration: Calibration = {}

    @property
    def key(self) -> str:
        """Name of what the embeddings depend on besides the image: backbone, weights and calibration."""
        if not self.calibration:
            return self._base
        digest = hashlib.sha256()
        for name in sorted(self.calibration):
            digest.update(name.encode() + self.calibration[name].tobytes())
        return f"{self._base}:{digest.hexdigest()[:12]}"

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """Transform an RGB image to the (3, height, width) float32 input of the network."""
        with torch.inference_mode():
            prepared: torch.Tensor = self._transform(image)
            return prepared

    def embed(self, prepared: Sequence[torch.Tensor]) -> NDArray[np.float32]:
        """Embed prepared images in batches.

        Returns
        -------
        (n_images, dimension) float32
        """
        parts = [np.zeros((0, self.dimension), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(prepared), self._batch_size):
                batch = torch.stack(list(prepared[start : start + self._batch_size]))
                parts.append(self._network(batch).numpy())
        return np.concatenate(parts)

    def calibrate(self, prepared: Sequence[torch.Tensor]) -> "ResNetEmbedder":
        """Take the batch normalisation's mean and variance from the given images, at least one.

        Returns
        -------
        ResNetEmbedder
            A new one that shares the weights.
        """
        network = self._copy_of_buffers()
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the cumulative average
        network.train()
        with torch.inference_mode():
            network(torch.stack(list(prepared)))
        calibration = {
            name: tensor.numpy().astype(np.float32)
            for name, tensor in network.named_buffers()
            if name.endswith(_CALIBRATED)
        }
        return self.with_calibration(calibration)

    def with_calibration(self, calibration: Calibration) -> "ResNetEmbedder":
        """Give a copy that shares the weights and has a calibration kept from before (none: unchanged)."""
        if not calibration:
            return self
        other = copy.copy(self)
        other._network = self._copy_of_buffers()  # noqa: SLF001 - the same class
        buffers = dict(other._network.named_buffers())  # noqa: SLF001
        with torch.no_grad():
            for name, values in calibration.items():
                buffers[name].copy_(torch.from_numpy(np.array(values)))
        other.calibration = dict(calibration)
        return other

    def _copy_of_buffers(self) -> nn.Module:
        shared = {id(parameter): parameter for parameter in self._network.parameters()}
        return copy.deepcopy(self._network, shared)


def _load(network: nn.Module, state: Mapping[str, torch.Tensor], backbone: str) -> None:
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    try:
        network.load_state_dict(body)
    except (RuntimeError, AttributeError) as error:
        first = str(error).splitlines()[-1].strip()[:200]
        raise ValueError(f"the state dict does not fit torchvision's {backbone}: {first}") from error
