"""What a probability costs when the annotators have spoken."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

TINY = 1e-6  # the least probability that is believed


def log_losses(scores: Floats, shares: Floats, *, multiple: bool) -> NDArray[np.float64]:
    """Give each task's log loss.

    Parameters
    ----------
    scores, shares : (n_tasks, n_labels) float32
        Probabilities, and targets; both in [0, 1].
    multiple : bool
        Whether each label is a question of its own, or the row a distribution.

    Returns
    -------
    (n_tasks,) float64
        In nats; of a multiple choice the mean over the labels, so that it compares with a single one's.

    Examples
    --------
    >>> log_losses(np.array([[0.5, 0.5]]), np.array([[1, 0]]), multiple=False).round(3).tolist()
    [0.693]
    """
    safe = np.clip(scores, TINY, 1 - TINY).astype(np.float64)
    losses = -shares * np.log(safe)
    if multiple:
        losses = losses - (1 - shares) * np.log1p(-safe)
        return np.asarray(losses.mean(axis=1))
    return np.asarray(losses.sum(axis=1))
