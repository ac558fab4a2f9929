"""The support of a fit: the pairs of a row and a class that can be its truth, and the votes that bear on each.

While a model is fitted a row's truth is a class that somebody said. Where there are many classes most are said by
nobody, and a round that goes through the pairs alone is several times as quick as one through all classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from consensus.core.arrays import Flags, Floats, sums

LOWEST = -700.0
"""A score whose exponential is still more than 0."""

MOST_ENTRIES = 6
"""Entries for a vote on the mean, up to which a support takes less room than all classes of all rows would."""


@dataclass(frozen=True, eq=False)
class Support:
    """Pairs of a row with a vote and a class that can be its truth, row by row.

    Attributes
    ----------
    votes : (n_pairs, n_annotators * n_classes * n_classes) csr_array of float64
        What the row's votes count, by rate: column annotator * n_classes^2 + said class * n_classes + true class.
    true_class : (n_pairs,) intp
    first, size : (n_rows,) intp
        Of each row, where its pairs begin and how many they are.
    uninformative : (n,) intp
        Pairs of rows that nobody can judge.
    n_classes : int
    """

    votes: csr_array
    true_class: NDArray[np.intp]
    first: NDArray[np.intp]
    size: NDArray[np.intp]
    uninformative: NDArray[np.intp]
    n_classes: int

    def posterior(self, log_rates: Floats, log_prevalence: Floats) -> Floats:
        """Probability of each pair, (n_pairs,), from the logs of the rates by column of `votes`."""
        scores: Floats = self.votes @ log_rates
        scores += log_prevalence[self.true_class]
        if scores.min(initial=0.0) < LOWEST:
            scores -= np.repeat(np.maximum.reduceat(scores, self.first), self.size)
        np.exp(scores, out=scores)
        if len(self.first):
            scores /= np.repeat(np.add.reduceat(scores, self.first), self.size)
        return scores

    def expected_counts(self, posterior: Floats) -> tuple[Floats, Floats]:
        """Expected informative votes by column of `one_hot` and true class, and rows by class.

        The posterior is changed in place.
        """
        rows = sums(self.true_class, posterior, self.n_classes)
        posterior[self.uninformative] = 0.0
        votes: Floats = (self.votes.T @ posterior).reshape(-1, self.n_classes)
        return votes, rows


def support_of(one_hot: csr_array, possible: Flags, informative: Flags) -> Support | None:
    """Find the pairs.

    Parameters
    ----------
    one_hot : (n_rows, n_annotators * n_classes) csr_array
        As in `LabelMatrix`.
    possible : (n_rows, n_classes) bool
        Whether a class can be the truth of a row.
    informative : (n_rows,) bool
        Rows whose votes can be judged.

    Returns
    -------
    Support or None
        None where there are so many pairs that all classes of all rows take no more room.
    """
    n_classes, votes_per_row = possible.shape[1], np.diff(one_hot.indptr)
    row, true_class = np.nonzero(possible & (votes_per_row > 0)[:, None])
    n_votes = votes_per_row[row]
    pointers = np.zeros(len(row) + 1, dtype=np.int64)
    np.cumsum(n_votes, out=pointers[1:])
    if pointers[-1] > min(MOST_ENTRIES * one_hot.nnz, np.iinfo(np.int32).max):
        return None
    pointers = pointers.astype(np.int32)
    entry = np.arange(pointers[-1], dtype=np.int32)
    entry += np.repeat(one_hot.indptr[row].astype(np.int32) - pointers[:-1], n_votes)
    column = one_hot.indices[entry] * np.int32(n_classes)
    column += np.repeat(true_class.astype(np.int32), n_votes)
    shape = len(row), one_hot.shape[1] * n_classes
    first = np.flatnonzero(np.diff(row, prepend=-1))
    return Support(
        csr_array((one_hot.data[entry], column, pointers), shape=shape),
        true_class,
        first,
        np.diff(first, append=len(row)),
        np.flatnonzero(~informative[row]),
        n_classes,
    )
