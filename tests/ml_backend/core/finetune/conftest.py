"""Small pictures that a network can learn to tell apart in a few steps."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from ml_backend.core.embedder import TorchEmbedder
from ml_backend.core.preparing import Preparation

SIDE = 36
PREPARATION = Preparation(resize=36, crop=32)


@dataclass(frozen=True)
class Pictures:
    """Stripes that run down (first half of the rows) or across (second half), in random colours."""

    images: NDArray[np.uint8]
    across: NDArray[np.bool_]
    preparation = PREPARATION

    def body(self, seed: int = 0) -> nn.Module:
        """A new ResNet of 18 layers with random weights."""
        return TorchEmbedder("resnet18", seed=seed).network


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """Twenty-four pictures of each kind."""
    draw = np.random.default_rng(0)
    stripes = (np.arange(SIDE) // 3 % 2)[None, :] * np.ones((SIDE, 1))
    images = []
    for across in (False, True):
        for _ in range(24):
            shade = np.roll(stripes.T if across else stripes, draw.integers(6), axis=(0, 1))
            low, high = draw.integers(0, 100, 3), draw.integers(150, 256, 3)
            picture = low[:, None, None] + shade * (high - low)[:, None, None]
            images.append((picture + draw.normal(scale=10, size=picture.shape)).clip(0, 255).astype(np.uint8))
    return Pictures(np.stack(images), np.arange(48) >= 24)
