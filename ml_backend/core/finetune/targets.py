"""What a network is to learn of one control."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ControlTargets:
    """What annotators chose at one control.

    Parameters
    ----------
    shares : (n_images, n_labels) float32
        In [0, 1]; rows of a single choice sum to 1 where the weight is not 0.
    weights : (n_images,) float32
        How much a row counts, at least 0; 0 where nothing is known.
    multiple : bool
        Whether an annotator may choose several labels.
    """

    shares: NDArray[np.float32]
    weights: NDArray[np.float32]
    multiple: bool
