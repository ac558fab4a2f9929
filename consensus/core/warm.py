"""A warm start: rates that were learned before, for the annotators and classes of now."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Names
from consensus.core.rates import Rates


@dataclass(frozen=True, eq=False)
class Start:
    """What was learned, and of whom.

    Attributes
    ----------
    rates : Rates
    annotators, classes : (n_annotators,), (n_classes,) object
        Names in the order of the rates.
    """

    rates: Rates
    annotators: Names
    classes: Names

    def for_now(self, annotators: Names, classes: Names) -> Rates | None:
        """Arrange the rates for other annotators.

        Returns
        -------
        Rates or None
            Annotators who are new get the mean of those who were there; None where the classes are others, or
            their order is, or nobody was there.

        Examples
        --------
        >>> table = np.array([[[0.9, 0.1], [0.2, 0.8]]])
        >>> rates = Rates(table, np.ones(2) / 2, np.array([0.85]), np.ones((1, 2)), 2.0, 5.0)
        >>> a1, both, labels = (np.array(some, dtype=object) for some in (["a1"], ["a2", "a1"], ["cat", "dog"]))
        >>> Start(rates, a1, labels).for_now(both, labels).table[:, 0, 0].tolist()
        [0.9, 0.9]
        """
        if list(classes) != list(self.classes) or not len(self.annotators):
            return None
        place = {name: at for at, name in enumerate(self.annotators)}
        return _rows(self.rates, np.array([place.get(name, len(place)) for name in annotators], dtype=np.intp))


def _rows(rates: Rates, row: NDArray[np.intp]) -> Rates:
    """Take rows; one beyond the last is somebody of whom nothing is known but the others."""
    nothing = np.zeros((1, rates.evidence.shape[1]))
    return replace(
        rates,
        table=np.append(rates.table, rates.table.mean(axis=0, keepdims=True), axis=0)[row],
        accuracy=np.append(rates.accuracy, rates.accuracy.mean())[row],
        evidence=np.append(rates.evidence, nothing, axis=0)[row],
    )
