"""Items and rates for the tests of the model: written by hand or drawn by hypothesis."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.votes.label_matrix import LabelMatrix, one_hot

Said = Sequence[Mapping[int, int]]
"""Of each item, the class that each annotator said."""


def matrix_from(
    said: Said, n_annotators: int, n_classes: int, possible: Mapping[int, Sequence[int]] | None = None
) -> LabelMatrix:
    """Items from {annotator: class} each, and {item: classes that gold leaves possible}."""
    item = np.repeat(np.arange(len(said), dtype=np.int32), [len(one) for one in said])
    column = np.array([by * n_classes + what for one in said for by, what in one.items()], dtype=np.int32)
    known = sorted(possible or {})
    left = np.zeros((len(known), n_classes))
    for row, at in enumerate(known):
        left[row, list((possible or {})[at])] = 1
    matrix = one_hot(item, column, len(said), n_annotators * n_classes)
    return LabelMatrix(matrix, n_annotators, n_classes, np.array(known, dtype=np.int32), left)


def confusion_from(
    table: Sequence[object] | Floats,
    prevalence: Sequence[float] | Floats | None = None,
    evidence: Sequence[object] | Floats | None = None,
) -> ConfusionMatrices:
    """Rates of a table [annotator][true class][said class]; an even prevalence and no evidence by default."""
    rows = np.array(table, dtype=float)
    n_annotators, n_classes, _ = rows.shape
    return ConfusionMatrices(
        table=rows,
        prevalence=np.full(n_classes, 1 / n_classes) if prevalence is None else np.array(prevalence, dtype=float),
        accuracy=np.einsum("ajj->a", rows) / n_classes,
        evidence=np.zeros((n_annotators, n_classes)) if evidence is None else np.array(evidence, dtype=float),
        strength=2.0,
        own_strength=4.0,
    )


def drawn_confusion(n_annotators: int, n_classes: int, seed: int) -> ConfusionMatrices:
    """Rates drawn evenly, the rows of the table and the prevalence from Dirichlet distributions."""
    generator = np.random.default_rng(seed)
    table = generator.dirichlet(np.ones(n_classes), size=(n_annotators, n_classes))
    return confusion_from((table + 0.01) / (1 + 0.01 * n_classes), generator.dirichlet(np.full(n_classes, 5.0)))


@st.composite
def any_said(draw: st.DrawFn, least_classes: int = 1) -> tuple[list[dict[int, int]], int, int]:
    """What up to 5 annotators said of up to 6 items of up to 4 classes, with the two sizes."""
    n_annotators, n_classes = draw(st.integers(1, 5)), draw(st.integers(least_classes, 4))
    one = st.dictionaries(st.integers(0, n_annotators - 1), st.integers(0, n_classes - 1))
    return draw(st.lists(one, min_size=1, max_size=6)), n_annotators, n_classes


@st.composite
def any_possible(draw: st.DrawFn, n_items: int, n_classes: int) -> dict[int, list[int]]:
    """Gold of up to two items: some classes that are possible, at least one."""
    some = st.sets(st.integers(0, n_classes - 1), min_size=1).map(sorted)
    return draw(st.dictionaries(st.integers(0, n_items - 1), some, max_size=2))
