"""Items: what has one true class each, and who said which class of it, as a sparse matrix.

An item of a single choice is a task, its classes are the labels. Where yes and no are asked, an item is a
classification and has two classes: wrong and right.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
from scipy.sparse import csr_array

from consensus.core.arrays import Codes, Flags, Floats, counts
from consensus.core.votes.classifications import Classifications, Gold, pack
from consensus.core.votes.votes import NO_LABEL, UNSURE, YES, Votes

LARGEST = 700.0
"""A score whose exponential is still a number."""

WRONG, RIGHT = 0, 1
"""The two classes of a classification that is asked about with yes and no."""


@dataclass(frozen=True, eq=False)
class Items:
    """Votes on items.

    Attributes
    ----------
    said : (n_items, n_annotators * n_classes) csr_array of float64
        1 where an annotator said a class of an item: column annotator * n_classes + class.
    n_annotators, n_classes : int
    gold : (n_gold,) int32
        Items of which something is known, ascending.
    possible : (n_gold, n_classes) float64
        1 for the classes that an item of `gold` can have, else 0.
    first : int
        Number of the first item, where these are a part of more.
    unguarded : bool
        Whether, as in the published estimate, votes teach that nobody else can judge, and an item's truth can be a
        class that nobody said.
    """

    said: csr_array
    n_annotators: int
    n_classes: int
    gold: Codes
    possible: Floats
    first: int = 0
    unguarded: bool = False

    def __len__(self) -> int:
        return int(self.said.shape[0])

    @cached_property
    def as_published(self) -> "Items":
        """The same votes, unguarded; kept, so that what a round derives from them is derived once."""
        return replace(self, unguarded=True)

    @property
    def votes_each(self) -> Codes:
        """(n_items,) int32: how many annotators said something."""
        return np.diff(self.said.indptr).astype(np.int32)

    @cached_property
    def voiced(self) -> Flags:
        """(n_items, n_classes) bool: the classes that somebody said; all of them where nobody said anything."""
        size = self.n_classes
        said = np.zeros((size, len(self)), dtype=bool).T  # class by class in memory, as `softmax` has it
        item = np.repeat(np.arange(len(self)), self.votes_each)
        said[item, self.said.indices % size] = True
        said[self.votes_each == 0] = True
        return said

    @property
    def judged(self) -> Flags:
        """(n_items,) bool: where others or gold can judge a vote; one vote alone would only confirm itself."""
        judged = self.votes_each > (0 if self.unguarded else 1)
        # Gold that leaves several classes open leaves it to the votes which: one alone would confirm itself.
        judged[self.gold[self.possible.sum(axis=1) == 1]] = True
        return judged

    @cached_property
    def judged_votes(self) -> Floats:
        """(n_annotators * n_classes,) float64: how many judged votes each column of `said` has."""
        return np.asarray(self.said.T @ self.judged.astype(np.float64))

    def parts(self, n_parts: int) -> Iterator["Items"]:
        """Cut into that many runs of items with about as many votes each, sharing the memory."""
        pointers = self.said.indptr
        cuts = np.searchsorted(pointers, np.linspace(0, pointers[-1], n_parts + 1)[1:-1])
        ones = np.ones(np.diff(pointers[[0, *cuts, len(self)]]).max())
        for start, stop in zip([0, *cuts], [*cuts, len(self)], strict=True):
            low, high = pointers[start], pointers[stop]
            rows = ones[: high - low], self.said.indices[low:high], pointers[start : stop + 1] - low
            of_part = slice(*np.searchsorted(self.gold, [start, stop]))
            yield replace(
                self,
                said=csr_array(rows, shape=(stop - start, self.said.shape[1])),
                gold=self.gold[of_part] - np.int32(start),
                possible=self.possible[of_part],
                first=self.first + int(start),
            )


def items_of(votes: Votes, classifications: Classifications, gold: Gold) -> Items:
    """Lay votes out as items.

    Parameters
    ----------
    votes : Votes
        Of choice "single" (items are the tasks) or "each" (items are the rows of `classifications`). Unsure
        votes and submissions without a label say nothing.
    classifications : Classifications
    gold : Gold

    Returns
    -------
    Items
    """
    if votes.choice == "single":
        spoken = votes.label != NO_LABEL
        said = votes.label[spoken]
        size, n_classes, item = votes.n_tasks, max(votes.n_labels, 1), votes.task[spoken]
        known, possible = _known_labels(gold, n_classes)
    else:
        spoken = votes.vote != UNSURE
        said = np.where(votes.vote[spoken] == YES, RIGHT, WRONG)
        item = classifications.rows_of(votes.task[spoken], votes.label[spoken])
        size, n_classes = len(classifications), 2
        known, possible = _known_answers(gold, classifications)
    column = votes.annotator[spoken] * np.int32(n_classes) + said
    matrix = one_hot(item, column, size, votes.n_annotators * n_classes)
    return Items(matrix, votes.n_annotators, n_classes, known, possible)


def one_hot(item: Codes, column: Codes, n_items: int, n_columns: int) -> csr_array:
    """Build the matrix with a 1 for each (item, column); items in any order."""
    if item.size and (item[1:] < item[:-1]).any():
        column = column[np.argsort(item, kind="stable")]
    pointers = np.zeros(n_items + 1, dtype=np.int64)
    np.cumsum(counts(item, n_items), out=pointers[1:])
    kind = np.int32 if len(item) < np.iinfo(np.int32).max else np.int64
    # One number in memory stands for all the ones.
    rows = np.broadcast_to(1.0, len(item)), column.astype(kind, copy=False), pointers.astype(kind)
    return csr_array(rows, shape=(n_items, n_columns))


def softmax(scores: Floats) -> Floats:
    """Turn log-odds against the first class into probabilities.

    Parameters
    ----------
    scores : (n_items, n_classes - 1) float64

    Returns
    -------
    (n_items, n_classes) float64
        Rows sum to 1.

    Examples
    --------
    >>> softmax(np.log([[3.0]])).round(9).tolist()
    [[0.25, 0.75]]
    """
    share = np.empty((scores.shape[1] + 1, len(scores)))  # class by class in memory, which is quicker
    first, others = share[0], share[1:]
    others[:] = scores.T
    first[:] = 0.0
    if others.max(initial=0.0) > LARGEST:
        np.maximum(others.max(axis=0), 0.0, out=first)
        others -= first
        np.negative(first, out=first)
    np.exp(share, out=share)
    share /= reduce(np.add, share)
    return share.T


def _known_labels(gold: Gold, n_labels: int) -> tuple[Codes, Floats]:
    """Tasks with gold and the labels that they can have: the right ones, or else all but the wrong ones."""
    tasks, at = np.unique(gold.task, return_inverse=True)
    possible = np.zeros((len(tasks), n_labels))
    possible[at[gold.right], gold.label[gold.right]] = 1.0
    open_ones = possible.sum(axis=1) == 0
    wrong = np.zeros_like(possible)
    wrong[at[~gold.right], gold.label[~gold.right]] = 1.0
    possible[open_ones] = 1 - wrong[open_ones]
    some = possible.sum(axis=1) > 0
    return tasks[some].astype(np.int32), possible[some]


def _known_answers(gold: Gold, classifications: Classifications) -> tuple[Codes, Floats]:
    keys = pack(gold.task, gold.label, classifications.n_labels)
    there = np.isin(keys, classifications.keys)
    # Of something said twice the last word counts, as with given labels.
    right = dict(zip(np.searchsorted(classifications.keys, keys[there]).tolist(), gold.right[there], strict=True))
    row = np.array(sorted(right), dtype=np.int32)
    truth = np.array([right[one] for one in row.tolist()], dtype=bool)
    return row, np.stack([~truth, truth], axis=1).astype(np.float64).reshape(-1, 2)
