"""A warm start: rates that were learned before, for the annotators and labels of now."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Names
from consensus.core.rates import Rates


def for_now(rates: Rates, then: tuple[Names, Names], now: tuple[Names, Names]) -> Rates | None:
    """Arrange rates for other annotators.

    Parameters
    ----------
    rates : Rates
    then, now : (annotator names, label names)
        Whose rates they are, and whose are wanted, each in the order of the codes.

    Returns
    -------
    Rates or None
        Annotators who are new get the mean of those who were there; None where the labels are others, or their
        order is, or nobody was there.

    Examples
    --------
    >>> table = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    >>> old = Rates(table, np.ones(2) / 2, np.array([0.85]), np.ones((1, 2)), 2.0, 5.0)
    >>> names = [np.array(some, dtype=object) for some in (["a1"], ["a2", "a1"], ["cat", "dog"])]
    >>> for_now(old, (names[0], names[2]), (names[1], names[2])).table[:, 0, 0].tolist()
    [0.9, 0.9]
    """
    (old, labels), (new, labels_now) = then, now
    if list(labels) != list(labels_now) or not len(old):
        return None
    place = {name: at for at, name in enumerate(old)}
    return _rows(one_more(rates), np.array([place.get(name, len(old)) for name in new], dtype=np.intp))


def one_more(rates: Rates) -> Rates:
    """Add somebody at the end of whom nothing is known but the others."""
    return replace(
        rates,
        table=np.append(rates.table, rates.table.mean(axis=0, keepdims=True), axis=0),
        accuracy=np.append(rates.accuracy, rates.accuracy.mean()),
        evidence=np.append(rates.evidence, np.zeros((1, rates.evidence.shape[1])), axis=0),
    )


def first_rows(rates: Rates, n: int) -> Rates:
    """Keep the first n annotators."""
    return _rows(rates, np.arange(n))


def _rows(rates: Rates, row: NDArray[np.intp]) -> Rates:
    return replace(rates, table=rates.table[row], accuracy=rates.accuracy[row], evidence=rates.evidence[row])
