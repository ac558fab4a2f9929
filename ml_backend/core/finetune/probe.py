"""What embeddings are worth: how often a linear classifier on them is right on tasks that taught it nothing.

Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016, arXiv:1610.01644
"""

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.finetune.targets import ControlTargets
from ml_backend.core.held_out import hits, log_losses
from ml_backend.core.linear import LinearClassifier, fit_components, fit_linear

Rows = NDArray[np.int64]

_STRENGTHS = (100.0, 10.0, 1.0, 0.1)


def probe(
    embeddings: NDArray[np.float32], targets: ControlTargets, *, learned: Rows, chosen: Rows, judged: Rows
) -> float:
    """Return the share of right answers on the tasks that judge.

    Parameters
    ----------
    embeddings : (n_images, dimension) float32
    targets : ControlTargets
        With a weight above 0 for at least one row of ``learned`` and of ``judged``.
    learned : (n_learned,) int64
        Rows that the classifier learns from.
    chosen : (n_chosen,) int64
        Rows by which the strength of its regularisation is chosen; it learns nothing from them.
    judged : (n_judged,) int64

    Returns
    -------
    float
        In [0, 1]: share of the tasks that are right (single), or of their labels (multiple), by weight; of k
        labels that annotators chose equally often each is 1/k right.

    Examples
    --------
    >>> embeddings = np.array([[0], [1], [0], [1], [0], [1]], dtype=np.float32)
    >>> shares = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0, 0]]
    >>> targets = ControlTargets(shares, np.ones(6, dtype=np.float32), multiple=False)
    >>> probe(embeddings, targets, learned=np.array([0, 1]), chosen=np.array([2, 3]), judged=np.array([4, 5]))
    0.5
    """
    points = fit_components(embeddings).project(embeddings)
    multiple = targets.multiple

    def with_targets(rows: Rows) -> Rows:
        return rows[targets.weights[rows] > 0]

    def loss(classifier: LinearClassifier, rows: Rows) -> float:
        scores = classifier.probabilities(points[rows], multiple=multiple)
        return float(targets.weights[rows] @ log_losses(scores, targets.shares[rows], multiple=multiple))

    learned, chosen, judged = with_targets(learned), with_targets(chosen), with_targets(judged)
    shares, weights = targets.shares[learned], targets.weights[learned]
    fitted = fit_linear(points[learned], shares, weights, _STRENGTHS, multiple=multiple)
    best = min(fitted, key=lambda classifier: loss(classifier, chosen if len(chosen) else learned))
    right = hits(best.probabilities(points[judged], multiple=multiple), targets.shares[judged], multiple=multiple)
    return float(np.average(right, weights=targets.weights[judged]))
