"""What every embedder has in common, whatever computes it."""

from ml_backend.core.identity import Calibration, Identity
from ml_backend.core.preparing import PREPARATIONS, Preparation


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

    @property
    def prepare(self) -> Preparation:
        """What maps an RGB image to the (3, height, width) float32 input of the network."""
        return PREPARATIONS[self.identity.backbone]

    @property
    def short_side(self) -> int:
        """Pixels of an image's shorter side that are enough for ``prepare``."""
        return self.prepare.resize
