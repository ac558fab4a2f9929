"""A warm start: what was learned before, for the annotators and classes of now."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Flags, Names
from consensus.core.model.confusion_matrices import Rates

MORE = 1.1
"""With so many times as many votes as when all was learned from scratch, it is learned from scratch again."""


@dataclass(frozen=True, eq=False)
class Known:
    """What was learned, of somebody.

    Attributes
    ----------
    rates : Rates
    correlation : float
    fixed : (n_annotators,) bool
        Whose trust was set and not learned.
    """

    rates: Rates
    correlation: float
    fixed: Flags


@dataclass(frozen=True, eq=False)
class Start:
    """The same, and of whom.

    Attributes
    ----------
    known : Known
    annotators, classes : (n_annotators,), (n_classes,) object
        Names in the order of the rates.
    votes : int
        Number of votes when it was last learned from scratch.
    basis : str
        What else it was learned with: the model, whether gold taught, who is heard beside the annotators, and
        trust set by hand. With anything else all is learned from scratch: what that left behind must not stay.
    """

    known: Known
    annotators: Names
    classes: Names
    votes: int
    basis: str = ""

    def for_now(self, annotators: Names, classes: Names, votes: int) -> Known | None:
        """Arrange what is known for other annotators.

        Returns
        -------
        Known or None
            Annotators who are new get the mean of those who were there; None where the classes are others, or
            their order is, nobody was there, or there are many more votes, or many fewer.

        Examples
        --------
        >>> table = np.array([[[0.9, 0.1], [0.2, 0.8]]])
        >>> rates = Rates(table, np.ones(2) / 2, np.ones(1), np.ones((1, 2)), 2.0, 5.0)
        >>> a1, both, labels = (np.array(some, dtype=object) for some in (["a1"], ["a2", "a1"], ["cat", "dog"]))
        >>> start = Start(Known(rates, 0.1, np.array([False])), a1, labels, votes=100)
        >>> start.for_now(both, labels, votes=104).rates.table[:, 0, 0].tolist()
        [0.9, 0.9]
        """
        as_many = self.votes <= MORE * votes and votes <= MORE * self.votes
        if not as_many or list(classes) != list(self.classes) or not len(self.annotators):
            return None
        place = {name: at for at, name in enumerate(self.annotators)}
        row = np.array([place.get(name, len(place)) for name in annotators], dtype=np.intp)
        fixed = np.append(self.known.fixed, values=False)[row]
        return Known(_rows(self.known.rates, row), self.known.correlation, fixed)


def _rows(rates: Rates, row: NDArray[np.intp]) -> Rates:
    """Take rows; one beyond the last is somebody of whom nothing is known but the others."""
    nothing = np.zeros((1, rates.evidence.shape[1]))
    return replace(
        rates,
        table=np.append(rates.table, rates.table.mean(axis=0, keepdims=True), axis=0)[row],
        accuracy=np.append(rates.accuracy, rates.accuracy.mean())[row],
        evidence=np.append(rates.evidence, nothing, axis=0)[row],
    )
