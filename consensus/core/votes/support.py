"""The support of a fit: the pairs of a row and a class that can be its truth, and the votes that bear on each.

While a model is fitted a row's truth is a class that somebody said. Where there are many classes most are said by
nobody, and a round that goes through the pairs alone is several times as quick as one through all classes. A row
on which all say the same is settled: what it teaches is the same in each round.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from consensus.core.arrays import Flags, Floats, counts, sums

LOWEST = -700.0
"""A score whose exponential is still more than 0."""

MOST_ENTRIES = 6
"""Entries for a vote on the mean, up to which a support takes less room than all classes of all rows would."""


@dataclass(frozen=True, eq=False)
class Support:
    """Pairs of a row and a class, row by row, of the rows with votes whose truth can be several classes.

    Attributes
    ----------
    votes : (n_pairs, n_annotators * n_classes * n_classes) csr_array of float64
        What the row's votes count, by rate: column annotator * n_classes^2 + said class * n_classes + true class.
    true_class : (n_pairs,) intp
    of_row : (n_rows, n_pairs) csr_array of float64
        1 where a pair is of a row.
    uninformative : (n,) intp
        Pairs of rows that nobody can judge.
    settled_votes : (n_annotators * n_classes * n_classes,) float64
        Informative votes on the other rows, by column of `votes`.
    settled_rows : (n_classes,) float64
        The other rows with votes, by class.
    """

    votes: csr_array
    true_class: NDArray[np.intp]
    of_row: csr_array
    uninformative: NDArray[np.intp]
    settled_votes: Floats
    settled_rows: Floats

    def posterior(self, log_rates: Floats, log_prevalence: Floats) -> Floats:
        """Probability of each pair, (n_pairs,), from the logs of the rates by column of `votes`."""
        scores: Floats = self.votes @ log_rates
        scores += log_prevalence[self.true_class]
        if scores.min(initial=0.0) < LOWEST:
            largest = np.maximum.reduceat(scores, self.of_row.indptr[:-1])
            scores -= self.of_row.T @ largest
        np.exp(scores, out=scores)
        scores *= self.of_row.T @ (1 / (self.of_row @ scores))  # quicker than sums and divisions row by row
        return scores

    def expected_counts(self, posterior: Floats) -> tuple[Floats, Floats]:
        """Expected informative votes by column of `one_hot` and true class, and rows by class.

        The posterior is changed in place.
        """
        n_classes = len(self.settled_rows)
        rows = self.settled_rows + sums(self.true_class, posterior, n_classes)
        posterior[self.uninformative] = 0.0
        votes: Floats = self.votes.T @ posterior
        votes += self.settled_votes
        return votes.reshape(-1, n_classes), rows


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
    n_possible = possible.sum(axis=1) * (votes_per_row > 0)
    row, true_class = np.nonzero(possible & (n_possible > 1)[:, None])
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
    n_rates = one_hot.shape[1] * n_classes
    votes = csr_array((one_hot.data[entry], column, pointers), shape=(len(row), n_rates))
    begins = np.append(np.flatnonzero(np.diff(row, prepend=-1)), len(row))
    ones, pair = np.ones(len(row)), np.arange(len(row))
    of_row = csr_array((ones, pair, begins), shape=(len(begins) - 1, len(row)))

    settled, only = n_possible == 1, possible.argmax(axis=1)
    teaching = np.flatnonzero(np.repeat(settled & informative, votes_per_row))
    column_of_only = one_hot.indices[teaching] * n_classes + np.repeat(only, votes_per_row)[teaching]
    return Support(
        votes,
        true_class,
        of_row,
        np.flatnonzero(~informative[row]),
        sums(column_of_only, one_hot.data[teaching], n_rates),
        counts(only[settled], n_classes).astype(np.float64),
    )
