"""What embeddings depend on besides the image, and the key that names it."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.preparing import PREPARATIONS, Preparation, whole
from ml_backend.core.versions import RANDOM

WHOLE = "+whole"
"""Ends the key of embeddings of whole images; without it they are of the middle."""

Calibration = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Identity:
    """Backbone, weights and calibration: embeddings of two different identities cannot be compared.

    Two are equal if their keys are: what the embeddings depend on is in the key, and nothing else.

    Parameters
    ----------
    backbone : str
        For example ``resnet18``.
    weights_id : str
        ``imagenet``, ``random``, or the first 8 hexadecimal digits of the SHA-256 of a state dict's file.
    seed : int
        Of random weights; others do not depend on it.
    calibration : mapping of str to float32 arrays
        Mean and variance of the batch normalisation by the name of their buffer; empty as learned.
    whole : bool
        Whether the network sees the whole image, filled up to a square, or its middle.

    Examples
    --------
    >>> Identity("resnet18", "imagenet").key, Identity("resnet18", "random", 3).key
    ('resnet18:imagenet', 'resnet18:random-3')
    """

    backbone: str
    weights_id: str
    seed: int = 0
    calibration: Calibration = field(default_factory=dict)
    whole: bool = False

    @property
    def key(self) -> str:
        """Name of the embeddings in the cache and in artifacts."""
        return self.network_key + (WHOLE if self.whole else "")

    @property
    def network_key(self) -> str:
        """Name of the network, and of its engine file."""
        base = f"{self.backbone}:{self.weights_id}" + (f"-{self.seed}" if self.weights_id == RANDOM else "")
        if not self.calibration:
            return base
        digest = hashlib.sha256()
        for name in sorted(self.calibration):
            digest.update(name.encode() + self.calibration[name].tobytes())
        return f"{base}:{digest.hexdigest()[:12]}"

    @property
    def network(self) -> "Identity":
        """The same network that sees the middle."""
        return replace(self, whole=False)

    def __eq__(self, other: object) -> bool:
        """Return whether the embeddings of the two can be compared."""
        return self.key == other.key if isinstance(other, Identity) else NotImplemented

    def __hash__(self) -> int:
        """Hash the key."""
        return hash(self.key)


class Identified:
    """What an embedder's identity tells of it."""

    identity: Identity

    @property
    def key(self) -> str:
        """Name of what the embeddings depend on besides the image."""
        return self.identity.key

    @property
    def backbone(self) -> str:
        """For example ``resnet18``."""
        return self.identity.backbone

    @property
    def weights_id(self) -> str:
        """How the weights are called."""
        return self.identity.weights_id

    @property
    def calibration(self) -> Calibration:
        """Mean and variance of the batch normalisation where they are a project's own; else empty."""
        return self.identity.calibration


class Network(Identified):
    """An embedder whose images are prepared as the weights of its network need them: see ``PREPARATIONS``."""

    preparation: Preparation | None = None
    """Where it is another one."""

    @property
    def prepare(self) -> Preparation:
        """What maps an RGB image to the (3, height, width) float32 input of the network."""
        preparation = self.preparation or PREPARATIONS[self.identity.backbone]
        return whole(preparation) if self.identity.whole else preparation

    def seeing_whole(self) -> Self:
        """Return a copy that shares the network and sees whole images."""
        copied = copy.copy(self)
        copied.identity = replace(self.identity, whole=True)
        return copied

    @property
    def short_side(self) -> int:
        """Pixels of an image's shorter side that are enough for ``prepare``."""
        return self.prepare.resize
