"""A backbone learns from images without labels: two views of one image shall be embedded alike.

VICReg: Bardes, Ponce and LeCun, Variance-invariance-covariance regularization for self-supervised learning, 2022,
arXiv:2105.04906. It needs neither negative examples, and so no large batches, nor a second network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml_backend.core.finetune import bodies
from ml_backend.core.finetune.loop import Objective
from ml_backend.core.finetune.views import Augmentation, standardised
from ml_backend.core.preparing import Preparation

VIEWS = Augmentation(smallest=0.08)
_SPREAD = 1.0  # least standard deviation of each number of an embedding over the batch
_FLOOR = 1e-4  # of a variance under a root


@dataclass(frozen=True)
class PretrainingOptions:
    """What is special about pre-training; the weights of the three terms are the paper's.

    Parameters
    ----------
    width : int
        Of the two layers that are put on the backbone while it learns, at least 1.
    invariance, variance, covariance : float
        Weights of the terms, at least 0.
    """

    width: int = 1024
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0


class Pretraining(Objective):
    """The loss of VICReg on two random views of each image; the other parameters are ``Objective``'s.

    Parameters
    ----------
    dimension : int
        Of the body's output.
    """

    def __init__(
        self,
        body: nn.Module,
        dimension: int,
        *,
        image_size: int,
        preparation: Preparation,
        augmentation: Augmentation = VIEWS,
        options: PretrainingOptions = PretrainingOptions(),
    ) -> None:
        super().__init__(body, image_size, preparation, augmentation)
        self.expander = nn.Sequential(
            nn.Linear(dimension, options.width, bias=False),
            nn.BatchNorm1d(options.width),
            nn.ReLU(inplace=True),
            nn.Linear(options.width, options.width, bias=False),
        )
        self._options = options

    def groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameters that learn, in AdamW's groups."""
        return list(bodies.decayed(list(self.parameters()), learning_rate, weight_decay))

    def loss(self, images: Tensor, _rows: NDArray[np.int64], generator: torch.Generator) -> Tensor:
        """Return the loss of a batch."""
        views = torch.cat([self._views(images, generator) for _ in range(2)])
        first, second = self.expander(self.body(standardised(views, self._preparation))).chunk(2)
        return vicreg(first, second, self._options)


def vicreg(first: Tensor, second: Tensor, options: PretrainingOptions = PretrainingOptions()) -> Tensor:
    """Return the loss of VICReg: an image's embeddings alike, each number spread over the images, none redundant.

    Parameters
    ----------
    first, second : (n, width) float
        Embeddings of two views of each of n >= 2 images.

    Returns
    -------
    () float
        At least 0.

    Examples
    --------
    >>> spread = torch.tensor([[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]])
    >>> float(vicreg(spread, spread))
    0.0
    >>> float(vicreg(spread, -spread, PretrainingOptions(invariance=1.0)))
    16.0
    """
    terms = [_spread_and_redundancy(embedded) for embedded in (first, second)]
    return (
        options.invariance * functional.mse_loss(first, second)
        + options.variance * (terms[0][0] + terms[1][0])
        + options.covariance * (terms[0][1] + terms[1][1])
    )


def _spread_and_redundancy(embedded: Tensor) -> tuple[Tensor, Tensor]:
    centred = embedded - embedded.mean(0)
    spread = functional.relu(_SPREAD - (centred.var(0) + _FLOOR).sqrt()).mean()
    covariance = centred.T @ centred / (len(centred) - 1)
    redundancy = (covariance.square().sum() - covariance.diagonal().square().sum()) / embedded.shape[1]
    return spread, redundancy
