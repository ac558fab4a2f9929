"""Votes in partitions, each of some of the tasks, that need not be in one memory nor on one machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Flags
from consensus.core.model.em import MapMatrices, in_threads
from consensus.core.model.fit import ModelName
from consensus.core.model.given_label_voter import votes_on, with_given_labels
from consensus.core.model.posterior import Posterior, posterior_of
from consensus.core.model.trust import FittedModel
from consensus.core.votes.classifications import Classifications, Gold, Listed, classify
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize, label_matrix_of
from consensus.core.votes.votes import Votes

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Voters:
    """The votes of the annotators and, after them, of who else votes, and what they are on.

    Attributes
    ----------
    classifications : Classifications
        All that anybody votes on.
    row : (n,) intp or slice
        Where the rows of the result are among these.
    """

    votes: Votes
    n_annotators: int
    classifications: Classifications
    row: NDArray[np.intp] | slice
    gold: Gold

    @cached_property
    def label_matrix(self) -> tuple[LabelMatrix, Classifications | None]:
        """As `label_matrix_of` returns it."""
        return label_matrix_of(self.votes, self.classifications, self.gold)

    def posterior(self, model: ModelName, fitted: FittedModel, threads: int) -> Posterior:
        """Return the posterior of the rows of the result; the label matrix is not kept any longer."""
        label_matrix, questions = self.label_matrix
        vars(self).pop("label_matrix")  # with very many votes there is better use for the room
        map_matrices = in_threads(label_matrix, threads)
        posterior = posterior_of(model, fitted, map_matrices, self.votes, self.classifications, questions)
        return Posterior(posterior.probability[self.row], posterior.variance[self.row])


@dataclass(frozen=True, eq=False)
class Partition:
    """Some of the tasks, with all votes on them.

    Attributes
    ----------
    votes : Votes
        Tasks are named and numbered within the partition, annotators and labels as in all partitions.
    all_labels : bool or None
        Whether the labels of a task that nobody chose are classified too; None where there is no other partition.
    voting : Votes or None
        The votes and, after them, those of a model's suggestions, if these vote.
    """

    votes: Votes
    listed: Listed
    gold: Gold
    all_labels: bool | None = None
    voting: Votes | None = None
    _voters: dict[bool, Voters] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def classifications(self) -> Classifications:
        """The rows of the result."""
        return classify(self.votes, self.listed, all_labels=self.all_labels)

    @cached_property
    def given_label_votes(self) -> Flags:
        """(n_classifications,) bool: what the given labels would vote on."""
        return votes_on(self.votes, self.classifications, self.listed)

    def voters(self, *, given_labels: bool) -> Voters:
        """Return everybody who votes, with or without the given labels; kept for the next time."""
        if given_labels not in self._voters:
            self._voters[given_labels] = self._find_voters(given_labels=given_labels)
        return self._voters[given_labels]

    def _find_voters(self, *, given_labels: bool) -> Voters:
        votes, rows, n_annotators = self.voting or self.votes, self.classifications, self.votes.n_annotators
        if given_labels:
            votes = with_given_labels(votes, rows, self.given_label_votes)
        if votes.n_annotators == n_annotators:
            return Voters(votes, n_annotators, rows, slice(None), self.gold)
        # Others than annotators vote on labels that the result has not: on every label of a task, voted on or not.
        voted_on = classify(votes, Listed(rows.task, rows.label, rows.given))
        row = voted_on.rows_of(rows.task, rows.label).astype(np.intp)
        return Voters(votes, n_annotators, voted_on, row, self.gold)


class Partitions(Protocol):
    """Where partitions are: in memory, on disk, on other machines."""

    @property
    def empty(self) -> Votes:
        """No votes on no tasks, with the choice, the annotators and the labels of all partitions."""
        ...

    @property
    def n_tasks(self) -> int:
        """Tasks of all partitions."""
        ...

    @property
    def n_votes(self) -> int:
        """Votes of all partitions."""
        ...

    def map(self, function: Callable[[Partition], Result], /) -> Iterable[Result]:
        """Call a function with each partition and yield what it returns, in the order of the partitions."""
        ...

    def label_matrices(self, function: Callable[[Partition], LabelMatrix], /) -> tuple[MapMatrices, MatrixSize]:
        """Keep each partition's label matrix for the fit; `LabelMatrix.first` counts on through all."""
        ...


@dataclass(frozen=True, eq=False)
class OnePartition:
    """All votes in memory; its label matrix is spread over threads."""

    partition: Partition
    threads: int

    @property
    def empty(self) -> Votes:
        """No votes, with the names of all."""
        votes = self.partition.votes
        return replace(votes.rows(np.zeros(0, dtype=np.int32)), task_names=votes.task_names[:0])

    @property
    def n_tasks(self) -> int:
        """All tasks."""
        return self.partition.votes.n_tasks

    @property
    def n_votes(self) -> int:
        """All votes."""
        return len(self.partition.votes)

    def map(self, function: Callable[[Partition], Result]) -> Iterable[Result]:
        """Call a function with the partition."""
        yield function(self.partition)

    def label_matrices(self, function: Callable[[Partition], LabelMatrix]) -> tuple[MapMatrices, MatrixSize]:
        """Spread the label matrix over threads."""
        label_matrix = function(self.partition)
        return in_threads(label_matrix, self.threads), label_matrix.size
