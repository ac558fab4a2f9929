"""The label matrix: a row for each thing that has one true class, and which class each annotator said, sparse.

A row of a single choice is a task, its classes are the labels. Where yes and no are asked, a row is a
classification and has two classes: wrong and right. A single choice among very many labels is asked like that too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from consensus.core.arrays import Codes, Flags, Floats, Names, counts
from consensus.core.votes.candidates import as_questions, gold_of_questions
from consensus.core.votes.classifications import Classifications, Gold, Listed, classify, pack
from consensus.core.votes.support import Support, support_of
from consensus.core.votes.votes import NO_LABEL, UNSURE, YES, Votes, spelled_out

ROUNDING = 1e-9
"""What rounding may add to a vote that is put together of parts."""

LARGEST = 700.0
"""A score whose exponential is still a number."""

WRONG, RIGHT = 0, 1
"""The two classes of a classification that is asked about with yes and no."""


MOST_LABELS, MOST_RATES = 64, 4_000_000
"""A single choice of more labels, or with more rates to fit, is asked as yes or no to the chosen labels."""


@dataclass(frozen=True)
class MatrixSize:
    """How much there is in one or several label matrices of the same classes."""

    rows: int
    votes: int
    n_classes: int

    def __add__(self, other: "MatrixSize") -> "MatrixSize":
        return MatrixSize(self.rows + other.rows, self.votes + other.votes, self.n_classes)


@dataclass(frozen=True, eq=False)
class LabelMatrix:
    """Votes by row and annotator.

    Attributes
    ----------
    one_hot : (n_rows, n_annotators * n_classes) csr_array of float64
        1 where an annotator said a class of a row: column annotator * n_classes + class.
    gold : (n_gold,) int32
        Rows of which something is known, ascending.
    possible : (n_gold, n_classes) float64
        1 for the classes that a row of `gold` can have, else 0.
    first : int
        Number of the first row, where the matrix is a part of more.
    voices : (n_annotators,) int32 or None
        Where some answer alike: the first of each one's group. What a group says of a class of a row is one vote.
    kept : bool
        Whether it stays in memory from round to round, so that a support is worth its while.
    unguarded : bool
        Whether, as in the published estimate, votes teach that nobody else can judge, and a row's truth can be a
        class that nobody said.
    """

    one_hot: csr_array
    n_annotators: int
    n_classes: int
    gold: Codes
    possible: Floats
    first: int = 0
    unguarded: bool = False
    voices: Codes | None = None
    kept: bool = True

    def __len__(self) -> int:
        return int(self.one_hot.shape[0])

    @property
    def size(self) -> MatrixSize:
        """Number of rows, votes and classes."""
        return MatrixSize(len(self), int(self.one_hot.nnz), self.n_classes)

    @cached_property
    def as_published(self) -> "LabelMatrix":
        """The same votes, unguarded; kept, so that what a round derives from them is derived once."""
        return replace(self, unguarded=True)

    @cached_property
    def apart(self) -> tuple["LabelMatrix", Codes]:
        """The votes of all but the last voter, and the class that this one said of each row, or -1."""
        width = (self.n_annotators - 1) * self.n_classes
        row = np.repeat(np.arange(len(self)), self.votes_per_row)
        of_others = self.one_hot.indices < width
        answer = np.full(len(self), -1, dtype=np.int32)
        answer[row[~of_others]] = self.one_hot.indices[~of_others] - width
        pointers = np.zeros(len(self) + 1, dtype=self.one_hot.indptr.dtype)
        np.cumsum(np.bincount(row[of_others], minlength=len(self)), out=pointers[1:])
        indices = self.one_hot.indices[of_others]
        votes = csr_array((np.broadcast_to(1.0, len(indices)), indices, pointers), shape=(len(self), width))
        return replace(self, one_hot=votes, n_annotators=self.n_annotators - 1), answer

    def in_voices(self, voices: Codes | None) -> "LabelMatrix":
        """The same votes, those of annotators who answer alike counted once; kept, so that it is derived once.

        Parameters
        ----------
        voices : (n_annotators,) int32 or None
            The first annotator of each one's group.
        """
        if voices is None or self.voices is voices:
            return self
        if "_in_voices" not in vars(self) or vars(self)["_in_voices"].voices is not voices:
            row = np.repeat(np.arange(len(self), dtype=np.int64), self.votes_per_row)
            annotator, answer = np.divmod(self.one_hot.indices, self.n_classes)
            key = (row * self.n_annotators + voices[annotator]) * self.n_classes + answer
            _, voice, size = np.unique(key, return_inverse=True, return_counts=True)
            votes = csr_array(
                (1 / size[voice], self.one_hot.indices, self.one_hot.indptr), shape=self.one_hot.shape
            )
            vars(self)["_in_voices"] = replace(self, one_hot=votes, voices=voices)
        counted: LabelMatrix = vars(self)["_in_voices"]
        return counted

    @property
    def voices_per_row(self) -> Floats | Codes:
        """(n_rows,): how many votes there are, those of annotators who answer alike counted once."""
        return self.votes_per_row if self.voices is None else np.asarray(self.one_hot.sum(axis=1))

    @property
    def votes_per_row(self) -> Codes:
        """(n_rows,) int32: how many annotators said something."""
        return np.diff(self.one_hot.indptr).astype(np.int32)

    @cached_property
    def voted_classes(self) -> Flags:
        """(n_rows, n_classes) bool: the classes that somebody said; all of them where nobody said anything."""
        size = self.n_classes
        voted = np.zeros((size, len(self)), dtype=bool).T  # class by class in memory, as `softmax` has it
        row = np.repeat(np.arange(len(self)), self.votes_per_row)
        voted[row, self.one_hot.indices % size] = True
        voted[self.votes_per_row == 0] = True
        return voted

    @property
    def informative(self) -> Flags:
        """(n_rows,) bool: where others or gold can judge a vote; one vote alone would only confirm itself."""
        informative = self.voices_per_row > (0 if self.unguarded else 1 + ROUNDING)
        # Gold that leaves several classes open leaves it to the votes which: one alone would confirm itself.
        informative[self.gold[self.possible.sum(axis=1) == 1]] = True
        return informative

    @cached_property
    def informative_votes(self) -> Floats:
        """(n_annotators * n_classes,) float64: votes on informative rows in each column of `one_hot`."""
        return np.asarray(self.one_hot.T @ self.informative.astype(np.float64))

    @cached_property
    def support(self) -> Support | None:
        """The classes that each row's truth can be in a fit; None where going through all of them is best."""
        if self.unguarded or not self.kept:
            return None
        possible = self.voted_classes.copy()
        possible[self.gold] = self.possible > 0
        return support_of(self.one_hot, possible, self.informative)

    def rows(self, row: NDArray[np.intp]) -> "LabelMatrix":
        """Take some rows, in ascending order."""
        with_gold = np.isin(self.gold, row)
        return replace(
            self,
            one_hot=csr_array(self.one_hot[row]),
            gold=np.searchsorted(row, self.gold[with_gold]).astype(np.int32),
            possible=self.possible[with_gold],
        )

    def split(self, n_parts: int) -> Iterator["LabelMatrix"]:
        """Cut into that many runs of rows with about as many votes each, sharing the memory."""
        pointers = self.one_hot.indptr
        cuts = np.searchsorted(pointers, np.linspace(0, pointers[-1], n_parts + 1)[1:-1])
        ones = np.ones(np.diff(pointers[[0, *cuts, len(self)]]).max())
        for start, stop in zip([0, *cuts], [*cuts, len(self)], strict=True):
            low, high = pointers[start], pointers[stop]
            rows = ones[: high - low], self.one_hot.indices[low:high], pointers[start : stop + 1] - low
            gold = slice(*np.searchsorted(self.gold, [start, stop]))
            yield replace(
                self,
                one_hot=csr_array(rows, shape=(stop - start, self.one_hot.shape[1])),
                gold=self.gold[gold] - np.int32(start),
                possible=self.possible[gold],
                first=self.first + int(start),
            )


def joined(blocks: Iterable[LabelMatrix]) -> LabelMatrix:
    """Put the parts of a label matrix together."""
    matrices = list(blocks)
    if len(matrices) == 1:
        return matrices[0]
    first = np.cumsum([0, *map(len, matrices)], dtype=np.int32)
    return replace(
        matrices[0],
        one_hot=csr_array(vstack([matrix.one_hot for matrix in matrices], format="csr")),
        gold=np.concatenate([matrix.gold + row for matrix, row in zip(matrices, first, strict=False)]),
        possible=np.concatenate([matrix.possible for matrix in matrices]),
    )


def asks_each(votes: Votes) -> bool:
    """Whether a single choice is asked as yes or no to each chosen label."""
    many = votes.n_labels > MOST_LABELS or votes.n_annotators * votes.n_labels**2 > MOST_RATES
    return votes.choice == "single" and many


def class_names(votes: Votes) -> Names:
    """Name the classes of the label matrix that votes become: the labels, or wrong and right."""
    if votes.choice == "single" and not asks_each(votes):
        return votes.label_names
    return np.array(["wrong", "right"], dtype=object)


def label_matrix_of(
    votes: Votes, classifications: Classifications, gold: Gold
) -> tuple[LabelMatrix, Classifications | None]:
    """Build the label matrix of all tasks, or of a part of them.

    Unsure votes and submissions without a label say nothing.

    Returns
    -------
    label_matrix : LabelMatrix
        Its rows are the tasks of a single choice, else `classifications` or the questions.
    questions : Classifications or None
        What the rows are where a single choice is asked as yes or no to labels, else None.
    """
    if votes.choice == "multiple":
        votes = spelled_out(votes)
    if not asks_each(votes):
        return _matrix(votes, classifications, gold), None
    asked = as_questions(votes)
    none = np.zeros(0, dtype=np.int32)
    questions = classify(asked, Listed(none, none, np.zeros(0, dtype=bool)))
    return _matrix(asked, questions, gold_of_questions(gold, questions.keys, votes.n_labels)), questions


def _matrix(votes: Votes, classifications: Classifications, gold: Gold) -> LabelMatrix:
    if votes.choice == "single":
        spoken = votes.label != NO_LABEL
        voted = votes.label[spoken]
        n_rows, n_classes, row = votes.n_tasks, max(votes.n_labels, 1), votes.task[spoken]
        gold_rows, possible = _gold_of_tasks(gold, n_classes)
    else:
        spoken = votes.vote != UNSURE
        voted = np.where(votes.vote[spoken] == YES, RIGHT, WRONG)
        row = classifications.rows_of(votes.task[spoken], votes.label[spoken])
        n_rows, n_classes = len(classifications), 2
        gold_rows, possible = _gold_of_classifications(gold, classifications)
    column = votes.annotator[spoken] * np.int32(n_classes) + voted
    matrix = one_hot(row, column, n_rows, votes.n_annotators * n_classes)
    return LabelMatrix(matrix, votes.n_annotators, n_classes, gold_rows, possible)


def one_hot(row: Codes, column: Codes, n_rows: int, n_columns: int) -> csr_array:
    """Build the matrix with a 1 for each (row, column); rows in any order."""
    if row.size and (row[1:] < row[:-1]).any():
        column = column[np.argsort(row, kind="stable")]
    pointers = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(counts(row, n_rows), out=pointers[1:])
    kind = np.int32 if len(row) < np.iinfo(np.int32).max else np.int64
    # One number in memory stands for all the ones.
    entries = np.broadcast_to(1.0, len(row)), column.astype(kind, copy=False), pointers.astype(kind)
    return csr_array(entries, shape=(n_rows, n_columns))


def softmax(scores: Floats) -> Floats:
    """Turn log-odds against the first class into probabilities.

    Parameters
    ----------
    scores : (n_rows, n_classes - 1) float64

    Returns
    -------
    (n_rows, n_classes) float64
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


def _gold_of_tasks(gold: Gold, n_labels: int) -> tuple[Codes, Floats]:
    """Tasks with gold and the labels that they can have: the right ones, or else all but the wrong ones."""
    tasks, row = np.unique(gold.task, return_inverse=True)
    possible = np.zeros((len(tasks), n_labels))
    possible[row[gold.right], gold.label[gold.right]] = 1.0
    without_right = possible.sum(axis=1) == 0
    wrong = np.zeros_like(possible)
    wrong[row[~gold.right], gold.label[~gold.right]] = 1.0
    possible[without_right] = 1 - wrong[without_right]
    some = possible.sum(axis=1) > 0
    return tasks[some].astype(np.int32), possible[some]


def _gold_of_classifications(gold: Gold, classifications: Classifications) -> tuple[Codes, Floats]:
    keys = pack(gold.task, gold.label, classifications.n_labels)
    there = np.isin(keys, classifications.keys)
    # Of something said twice the last word counts, as with given labels.
    right = dict(zip(np.searchsorted(classifications.keys, keys[there]).tolist(), gold.right[there], strict=True))
    row = np.array(sorted(right), dtype=np.int32)
    truth = np.array([right[number] for number in row.tolist()], dtype=bool)
    return row, np.stack([~truth, truth], axis=1).astype(np.float64).reshape(-1, 2)
