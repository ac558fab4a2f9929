"""Given labels that a model which was not taught them finds wrong: confident learning."""

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats

WRONG = 0.5
"""A given label is likely wrong below this probability, where that takes into account how labels are given."""


def likely_wrong(
    given: Codes,
    given_score: Floats,
    suggested: Codes,
    score: Floats,
    n_labels: int,
    is_posterior: Flags | None = None,
) -> Codes:
    """Return which given labels are likely wrong, the most likely first.

    A given label is so where the model suggests another with at least the mean probability that it gives to this
    other label where that was given. Where the model has learned how often labels are given wrongly, and the
    probability of the given label takes that into account, it is so below one half. The order is that of the
    probability of the given label.

    Parameters
    ----------
    given, suggested : (n,) int32
    given_score, score : (n,) float64
        Probabilities of the given and of the suggested label, from a model that was not taught these labels.
    is_posterior : (n,) bool, optional
        Where ``given_score`` takes into account how labels are given; nowhere if left out.

    Returns
    -------
    (n_wrong,) int32
        Rows.

    References
    ----------
    C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident learning: estimating uncertainty in dataset labels",
    Journal of Artificial Intelligence Research 70 (2021), 1373-1411. doi:10.1613/jair.1.12125

    Examples
    --------
    >>> cat, dog = 0, 1
    >>> given, suggested = np.array([cat, cat, dog, dog]), np.array([cat, dog, dog, cat])
    >>> given_score, score = np.array([0.9, 0.1, 0.8, 0.4]), np.array([0.9, 0.9, 0.8, 0.6])
    >>> likely_wrong(given, given_score, suggested, score, 2).tolist()
    [1, 3]
    """
    by_image = np.ones(len(given), dtype=bool) if is_posterior is None else ~is_posterior
    counts = np.bincount(given[by_image], minlength=n_labels)
    means = np.bincount(given[by_image], weights=given_score[by_image], minlength=n_labels) / np.maximum(counts, 1)
    confident = (given != suggested) & (score >= means[suggested])
    rows = np.flatnonzero(np.where(by_image, confident, given_score < WRONG))
    order = np.lexsort((rows, -score[rows], given_score[rows]))
    return np.asarray(rows[order], dtype=np.int32)
