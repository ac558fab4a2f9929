"""Two opinions about an image become one probability a label.

The logarithmic opinion pool: the probabilities' weighted geometric mean (Genest and Zidek, Combining Probability
Distributions, 1986, doi:10.1214/ss/1177013825). An exponent on it is temperature scaling (Guo et al. 2017,
arXiv:1706.04599).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from ml_backend.core.losses import TINY

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Pool:
    """How opinions are joined.

    Parameters
    ----------
    share : float
        Of the linear classifier, in [0, 1]; the rest is the clusters'.
    sharpness : float
        Above 1 makes the probabilities more certain, below 1 less.
    """

    share: float = 0.0
    sharpness: float = 1.0

    def join(self, clusters: Floats, linear: Floats, *, multiple: bool) -> NDArray[np.float32]:
        """Join two opinions.

        Parameters
        ----------
        clusters, linear : (n_images, n_labels) float32
            Probabilities in [0, 1].
        multiple : bool
            Whether each label is a question of its own, or the row a distribution.

        Returns
        -------
        (n_images, n_labels) float32
            In [0, 1]; rows sum to 1 for a single choice.

        Examples
        --------
        >>> one, other = np.array([[0.75, 0.25]]), np.array([[0.25, 0.75]])
        >>> Pool(share=0.5).join(one, other, multiple=False).tolist()
        [[0.5, 0.5]]
        >>> Pool(sharpness=2).join(one, other, multiple=False).round(3).tolist()
        [[0.8999999761581421, 0.10000000149011612]]
        """
        joined = self.sharpness * (
            (1 - self.share) * scale(clusters, multiple=multiple) + self.share * scale(linear, multiple=multiple)
        )
        chances = expit(joined) if multiple else np.exp(joined - logsumexp(joined, axis=1, keepdims=True))
        return np.asarray(chances, dtype=np.float32)


def scale(probabilities: Floats, *, multiple: bool) -> NDArray[np.float32]:
    """Give the scale on which opinions are averaged: log odds of a multiple choice, logarithms of a single one."""
    safe = np.clip(probabilities, TINY, 1 - TINY).astype(np.float32)
    return np.log(safe) - np.log1p(-safe) if multiple else np.log(safe)
