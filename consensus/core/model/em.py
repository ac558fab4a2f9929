"""Fitting confusion matrices to votes: expectation-maximisation.

The E step gives each row of the label matrix the posterior of its classes; the M step counts the votes into the
annotators' confusion matrices (A. P. Dawid, A. M. Skene, "Maximum likelihood estimation of observer error-rates
using the EM algorithm", Applied Statistics 28 (1979), 20-28, doi:10.2307/2346806). All that an M step needs of the
label matrix are sums, so parts of it can be on different processors or machines.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeVar

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import (
    FEWEST,
    ConfusionMatrices,
    expected_rows,
    loosened,
    m_step,
    strength_of,
)
from consensus.core.votes.label_matrix import LabelMatrix, softmax

ROUNDS, TOLERANCE, ROUGHLY = 200, 1e-4, 3e-3
"""Most rounds, and the largest change of a rate that ends them; a rougher one before the strength is learned."""

MOVED = 5e-5
"""Before the strength is learned, also a share of the votes that change classes: a few of many rates move long."""

FIRST_STRENGTH = 2.0

BLOCK_VOTES = 200_000
"""Votes of a part that a thread works on: what is made of it should stay in a cache."""

SUMS = 2
"""Votes of a part for each of its sums, at least."""


@dataclass(frozen=True, eq=False)
class ExpectedCounts:
    """What an M step needs of a label matrix.

    Attributes
    ----------
    votes : (n_annotators * n_classes, n_classes) float64
        Expected number of informative votes, by column of `LabelMatrix.one_hot` and true class.
    rows : (n_classes,) float64
        Expected number of rows of each class.
    """

    votes: Floats
    rows: Floats

    def __add__(self, other: "ExpectedCounts") -> "ExpectedCounts":
        return ExpectedCounts(self.votes + other.votes, self.rows + other.rows)

    @property
    def table(self) -> Floats:
        """(n_annotators, n_classes, n_classes): votes by annotator, true class and said class."""
        n_classes = len(self.rows)
        return np.ascontiguousarray(self.votes.reshape(-1, n_classes, n_classes).transpose(0, 2, 1))


Result = TypeVar("Result")


class MapMatrices(Protocol):
    """Maps all parts of a label matrix: in memory, one after the other from disk, on other machines."""

    def __call__(self, function: Callable[[LabelMatrix], Result], /) -> Iterable[Result]:
        """Call the function with each part and yield what it returns, always in the order of the parts."""
        ...


MStep = Callable[[ExpectedCounts, float], ConfusionMatrices]


def in_threads(label_matrix: LabelMatrix, threads: int) -> MapMatrices:
    """Spread a label matrix over threads, as many as are worth their while."""
    # A part has several times as many votes as its sums have numbers, or adding these up would be the work.
    n_sums = label_matrix.one_hot.shape[1] * label_matrix.n_classes
    n_blocks = 1 + int(label_matrix.one_hot.nnz // max(BLOCK_VOTES, SUMS * n_sums))
    if n_blocks == 1:
        return lambda function: [function(label_matrix)]
    blocks = list(label_matrix.split(n_blocks))

    def map_matrices(function: Callable[[LabelMatrix], Any]) -> Iterator[Any]:
        with ThreadPoolExecutor(min(threads, n_blocks)) as pool:
            yield from pool.map(function, blocks)

    return map_matrices


def against_first(table: Floats) -> Floats:
    """Return log ratios of the last columns of a table to its first."""
    logs = np.log(table)
    return np.ascontiguousarray(logs[..., 1:] - logs[..., :1])


def log_likelihood(label_matrix: LabelMatrix, confusion: ConfusionMatrices) -> Floats:
    """Log-likelihood of each class against the first, (n_rows, n_classes - 1), without the prevalence."""
    return np.asarray(label_matrix.one_hot @ against_first(confusion.by_column))


def e_step(label_matrix: LabelMatrix, confusion: ConfusionMatrices) -> Floats:
    """Posterior of each class of each row if annotators err independently, (n_rows, n_classes)."""
    return softmax(log_likelihood(label_matrix, confusion) + against_first(confusion.prevalence))


def vote_shares(label_matrix: LabelMatrix) -> Floats:
    """Share of each row's votes that each class has, (n_rows, n_classes); even where there is no vote."""
    size, n_rows = label_matrix.n_classes, len(label_matrix)
    row = np.repeat(np.arange(n_rows, dtype=np.int64), label_matrix.votes_per_row)
    key = row * size + label_matrix.one_hot.indices % size
    counts = np.bincount(key, label_matrix.one_hot.data, minlength=n_rows * size).reshape(n_rows, size)
    votes = counts.sum(axis=1, keepdims=True)
    return np.where(votes > 0, counts / np.maximum(votes, 1), 1 / size)


def expected_counts(label_matrix: LabelMatrix, posterior: Floats) -> ExpectedCounts:
    """Count votes and rows by true class, as probable as the posterior says.

    During the fit a row's truth is a class that somebody said: with few votes to judge by, most of them in
    dispute, classes could otherwise change places with one another. Gold goes before that. The posterior is
    changed in place.
    """
    gold, possible = label_matrix.gold, label_matrix.possible
    gold_posterior = posterior[gold] * possible
    if not label_matrix.unguarded:
        posterior *= label_matrix.voted_classes
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    if len(gold):
        # What gold rules out is no truth, whatever the votes say.
        ruled_out = gold_posterior.sum(axis=1) == 0
        gold_posterior[ruled_out] = possible[ruled_out]
        posterior[gold] = gold_posterior / gold_posterior.sum(axis=1, keepdims=True)
    voted = label_matrix.votes_per_row > 0
    informative = label_matrix.informative
    # The first class has what the others leave: one product with the matrix less.
    others = label_matrix.one_hot.T @ np.multiply(posterior[:, 1:], informative[:, None], order="C")
    first = np.maximum(label_matrix.informative_votes - others.sum(axis=1), 0.0)
    return ExpectedCounts(np.column_stack([first, others]), voted @ posterior)


def counts_after(label_matrix: LabelMatrix, confusion: ConfusionMatrices) -> ExpectedCounts:
    """Take the E step, and count votes and rows: all of a round but the M step."""
    support = label_matrix.support
    if support is None:
        return expected_counts(label_matrix, e_step(label_matrix, confusion))
    posterior = support.posterior(confusion.log_rates, np.log(confusion.prevalence))
    return ExpectedCounts(*support.expected_counts(posterior))


def em(
    map_matrices: MapMatrices, fixed_trust: Floats, start: ConfusionMatrices | None = None
) -> ConfusionMatrices:
    """Find the confusion matrices that explain the votes best.

    Parameters
    ----------
    map_matrices : callable
        Maps all parts of the label matrix: see `MapMatrices`.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    start : ConfusionMatrices, optional
        Where to start: those of last time; their strength stays. The votes' shares by default.
    """

    def maximise(counts: ExpectedCounts, strength: float) -> ConfusionMatrices:
        return m_step(counts.table, counts.rows, strength, fixed_trust)

    if start is not None:
        return iterate(map_matrices, maximise, start, TOLERANCE)[0]
    first = maximise(total(map_matrices(lambda block: expected_counts(block, vote_shares(block)))), FIRST_STRENGTH)
    counts = iterate(map_matrices, maximise, first, ROUGHLY, MOVED)[1]
    table = counts.table
    strength = loosened(strength_of(table, expected_rows(table)[0])) if table.size else FEWEST
    return iterate(map_matrices, maximise, maximise(counts, strength), TOLERANCE)[0]


def iterate(
    map_matrices: MapMatrices,
    maximise: MStep,
    confusion: ConfusionMatrices,
    tolerance: float,
    moved: float = 0.0,
    expect: Callable[[LabelMatrix, ConfusionMatrices], ExpectedCounts] | None = None,
) -> tuple[ConfusionMatrices, ExpectedCounts]:
    """Repeat E and M steps until no rate moves by more than the tolerance, or hardly any vote changes classes."""
    before = None
    for _ in range(ROUNDS):
        last = confusion
        counts = total(map_matrices(lambda block, last=last: (expect or counts_after)(block, last)))  # type: ignore[misc]
        confusion = maximise(counts, last.strength)
        if np.abs(confusion.table - last.table).max(initial=0.0) <= tolerance:
            break
        if before is not None and share_moved(before, counts) < moved:
            break
        before = counts
    return confusion, counts


def share_moved(before: ExpectedCounts, counts: ExpectedCounts) -> float:
    """Return the share of the votes whose expected class has changed."""
    return float(np.abs(counts.votes - before.votes).sum() / 2 / max(counts.votes.sum(), 1.0))


def total(counts: Iterable[ExpectedCounts]) -> ExpectedCounts:
    """Add up the counts of all parts."""
    return reduce(operator.add, counts)
