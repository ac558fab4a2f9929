"""The command ``ml-backend`` with a network that takes seconds a batch, and in a hurry when it is told to stop."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml_backend import cli
from ml_backend.embedding.backbones import Backbones
from ml_backend.serving import serve

SECONDS = 2.0


class SlowEmbedder:
    """Takes its time for a batch, whatever is on the images."""

    key, dimension, short_side, streams = "slow", 4, None, 1

    def prepare(self, _image: Image.Image) -> NDArray[np.float32]:
        """Nothing of an image."""
        return np.zeros((3, 1, 1), dtype=np.float32)

    def embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """A dark embedding for each."""
        time.sleep(SECONDS)
        return np.tile(np.array([-1, 0, 0, 0], dtype=np.float32), (len(prepared), 1))


def _matching(_loader: Backbones, *_asked: Any, **_within: Any) -> Any:  # noqa: ANN401
    return SlowEmbedder()


if __name__ == "__main__":
    Backbones.matching = _matching  # type: ignore[method-assign]
    serve.HURRY_S = 2.0
    cli.main()
