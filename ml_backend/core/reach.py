"""How far from the annotated images something may be suggested.

The distance to the nearest annotated image, of embeddings scaled to one length, tells images of another kind (Sun
et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022, arXiv:2204.06507); square roots keep a few
large numbers from deciding alone (Perronnin et al. 2010, doi:10.1007/978-3-642-15561-1_11). How far the
annotated images lie from one another says what is usual.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_FEWEST = 8  # annotated images; of fewer nobody can tell what is usual
_MOST = 2_000
_USUAL = 0.99  # quantile of the distances between annotated images
_SLACK, _SLACK_OF = 0.05, 5  # added to the usual distance, and to that the square of this many by image
_AT_ONCE = 4_096
_ALIKE = 0.1  # a radius that is never refused, however alike the annotated images are


@dataclass(frozen=True)
class Reach:
    """Annotated images, and how far from the nearest one another image may be.

    Parameters
    ----------
    directions : (n_images, n_dimensions) float32
        Of length 1.
    radius : float
    """

    directions: Floats
    radius: float

    def covers(self, embeddings: Floats) -> NDArray[np.bool_]:
        """(n_images,): whether each of (n_images, n_dimensions) embeddings is near an annotated one."""
        return np.concatenate(
            [
                _distances(_directions(embeddings[start : start + _AT_ONCE]), self.directions).min(axis=1)
                <= self.radius
                for start in range(0, max(len(embeddings), 1), _AT_ONCE)
            ]
        )


def fit_reach(embeddings: Floats, seed: int = 0) -> Reach | None:
    """Measure how far the annotated images of a project are from one another.

    Parameters
    ----------
    embeddings : (n_images, n_dimensions) float32
        Of the annotated images.
    seed : int
        Of the sample of many.

    Returns
    -------
    Reach or None
        None where there are too few different ones.
    """
    rounded = _directions(embeddings).astype(np.float16)  # as they are stored
    directions = np.unique(rounded, axis=0).astype(np.float32)
    if len(directions) < _FEWEST:
        return None
    if len(directions) > _MOST:
        directions = directions[np.random.default_rng(seed).choice(len(directions), _MOST, replace=False)]
    distances = _distances(directions, directions)
    np.fill_diagonal(distances, np.inf)
    usual = float(np.quantile(distances.min(axis=1), _USUAL, method="higher"))
    slack = _SLACK + (_SLACK_OF / len(directions)) ** 2  # of few images the usual distance is known less well
    return Reach(directions, max(usual * (1 + slack), _ALIKE))


def _directions(embeddings: Floats) -> Floats:
    roots = np.sign(embeddings) * np.sqrt(np.abs(embeddings))
    lengths = np.linalg.norm(roots, axis=1, keepdims=True)
    return np.asarray(roots / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _distances(left: Floats, right: Floats) -> Floats:
    """(n_left, n_right): Euclidean, between vectors of length 1."""
    return np.asarray(np.sqrt(np.maximum(2 - 2 * left @ right.T, 0)), dtype=np.float32)
