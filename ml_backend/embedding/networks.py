"""Networks of torch by their identity: our own, and those of timm and open_clip with their weights' transforms."""

from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import torch
from torch import nn

from common.console import install
from ml_backend.core.embedder import TorchEmbedder
from ml_backend.core.identity import Identity
from ml_backend.core.preparing import Preparation
from ml_backend.core.versions import RANDOM
from ml_backend.embedding.checkpoints import OPEN_CLIP, TIMM, read_state
from ml_backend.embedding.image_text import image_network
from ml_backend.errors import DownloadError, WeightsError

_CROPS = ("center", "squash")


def torch_embedder(
    identity: Identity, state: Path | None, *, batch_size: int = 32, device: str = "cpu"
) -> TorchEmbedder:
    """Make an embedder, without the identity's calibration.

    Parameters
    ----------
    state : Path, optional
        Its state dict.

    Raises
    ------
    WeightsError
        If its weights cannot be had, or do not fit; DownloadError if that may pass.
    """
    family, _, name = identity.backbone.partition(":")
    if family in (TIMM, OPEN_CLIP):
        network, preparation = (
            image_network(identity)
            if family == OPEN_CLIP
            else timm_network(name, seed=identity.seed, pretrained=identity.weights_id != RANDOM)
        )
        return TorchEmbedder(
            identity.backbone,
            weights_id=identity.weights_id,
            network=network,
            preparation=preparation,
            seed=identity.seed,
            batch_size=batch_size,
            device=device,
        )
    try:
        return TorchEmbedder(
            identity.backbone,
            weights_id=identity.weights_id,
            state=read_state(state) if state else None,
            seed=identity.seed,
            batch_size=batch_size,
            device=device,
        )
    except ValueError as error:
        raise WeightsError(str(error)) from None


def timm_network(name: str, *, seed: int, pretrained: bool) -> tuple[nn.Module, Preparation]:
    """Make a network of timm without its classifier, and what prepares images for it.

    Raises
    ------
    WeightsError
        If there is none; DownloadError if its weights cannot be downloaded now.
    """
    try:
        timm, data = import_module("timm"), import_module("timm.data")  # an extra
    except ModuleNotFoundError:
        raise WeightsError(f"timm:{name} needs timm, which is not installed: {install('.[ml,timm]')}") from None
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: Any = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except (OSError, httpx.HTTPError) as error:
        raise DownloadError(f"the weights of timm:{name} cannot be downloaded ({type(error).__name__})") from error
    except Exception as error:  # a plain RuntimeError for a name that there is not
        raise WeightsError(f"timm has no timm:{name} ({type(error).__name__}: {error})") from error
    config = data.resolve_model_data_config(network)
    side, crop = int(config["input_size"][-1]), str(config["crop_mode"])
    if crop not in _CROPS:
        raise WeightsError(f"timm:{name} cuts images out by {crop}, which is not supported")
    with torch.inference_mode():
        network.dimension = int(network.eval()(torch.zeros(1, 3, side, side)).shape[1])
    return network, Preparation(
        resize=int(side / config["crop_pct"]),
        crop=side,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bicubic" if config["interpolation"] == "bicubic" else "bilinear",
        squash=crop == "squash",
    )
