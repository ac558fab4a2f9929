"""A warm start: what was fitted before, for the annotators and classes of now."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Flags, Names
from consensus.core.model.confusion_matrices import ConfusionMatrices

MORE = 1.1
"""With so many times as many votes as when all was fitted from scratch, it is fitted from scratch again."""


@dataclass(frozen=True, eq=False)
class WarmStart:
    """What was fitted, and to whose votes.

    Attributes
    ----------
    fixed : (n_voters,) bool
        Whose trust was set and not learned.
    annotators, classes : (n_voters,), (n_classes,) object
        Names in the order of the confusion matrices.
    votes : int
        Number of votes when it was last fitted from scratch.
    sharpness : float or None
        As in `FittedModel`.
    basis : str
        What else it was fitted with: the model, whether gold taught, who votes beside the annotators, and trust
        set by hand. With anything else all is fitted from scratch: what that left behind must not stay.
    """

    confusion: ConfusionMatrices
    correlation: float
    fixed: Flags
    annotators: Names
    classes: Names
    votes: int
    basis: str = ""
    sharpness: float | None = None

    def for_now(self, annotators: Names, classes: Names, votes: int) -> "WarmStart | None":
        """Arrange it for other annotators.

        Returns
        -------
        WarmStart or None
            Annotators who are new get the mean of those who were there; None where the classes are others, or
            their order is, nobody was there, or there are many more votes, or many fewer.

        Examples
        --------
        >>> table = np.array([[[0.9, 0.1], [0.2, 0.8]]])
        >>> confusion = ConfusionMatrices(table, np.ones(2) / 2, np.ones(1), np.ones((1, 2)), 2.0, 5.0)
        >>> a1, both, labels = (np.array(names, dtype=object) for names in (["a1"], ["a2", "a1"], ["cat", "dog"]))
        >>> start = WarmStart(confusion, 0.1, np.array([False]), a1, labels, votes=100)
        >>> start.for_now(both, labels, votes=104).confusion.table[:, 0, 0].tolist()
        [0.9, 0.9]
        """
        as_many = self.votes <= MORE * votes and votes <= MORE * self.votes
        if not as_many or list(classes) != list(self.classes) or not len(self.annotators):
            return None
        row_of = {name: row for row, name in enumerate(self.annotators)}
        rows = np.array([row_of.get(name, len(row_of)) for name in annotators], dtype=np.intp)
        fixed = np.append(self.fixed, values=False)[rows]
        return replace(self, confusion=_take(self.confusion, rows), fixed=fixed, annotators=annotators)


def _take(confusion: ConfusionMatrices, rows: NDArray[np.intp]) -> ConfusionMatrices:
    """Take rows; one beyond the last is somebody of whom nothing is known but the others."""
    nothing = np.zeros((1, confusion.evidence.shape[1]))
    return replace(
        confusion,
        table=np.append(confusion.table, confusion.table.mean(axis=0, keepdims=True), axis=0)[rows],
        accuracy=np.append(confusion.accuracy, confusion.accuracy.mean())[rows],
        evidence=np.append(confusion.evidence, nothing, axis=0)[rows],
    )
