"""Fitting a model of the voters: the annotators, then a model's suggestions and the given labels.

Those who are no annotators weigh at most as much as the average annotator.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import numpy as np

from consensus.core.arrays import Codes, Floats
from consensus.core.model.confusion_matrices import ConfusionMatrices, m_step
from consensus.core.model.contradictions import MOST, GivenLabels, contradictions_in, learned_from, with_given
from consensus.core.model.copies import MOST_ANNOTATORS, agreements, voices_of
from consensus.core.model.dawid_skene import maximum_likelihood
from consensus.core.model.dependence import (
    MOST_EVEN,
    correlation_of,
    even_votes_of,
    every_for,
    prediction_likelihood,
    vote_counts,
)
from consensus.core.model.em import (
    TOLERANCE,
    ExpectedCounts,
    MapMatrices,
    Result,
    em,
    expected_counts,
    iterate,
)
from consensus.core.model.model_average import other_models
from consensus.core.model.trust import FittedModel, fitted_model
from consensus.core.model.warm_start import WarmStart
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize

ModelName = Literal["default", "dawid-skene"]

STILL = 2e-3
"""Where no rate moves by more than this from a warm start, the fit of last time stays."""


def fit(
    model: ModelName,
    map_matrices: MapMatrices,
    size: MatrixSize,
    fixed_trust: Floats,
    n_voters: int,
    start: WarmStart | None,
    *,
    given_labels: bool = False,
) -> FittedModel:
    """Fit a model to votes, and once more where a voter who is no annotator weighed more than may be.

    Parameters
    ----------
    model : {"default", "dawid-skene"}
    map_matrices : callable
        Maps all parts of the label matrix.
    size : MatrixSize
        Of all parts together.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    n_voters : int
        The annotators and the other voters after them.
    start : WarmStart or None
        Of all voters, in their order. Who weighed as much as may be then still does, and where no rate moves by
        more than `STILL` everything stays as it was: a run without news changes nothing.
    given_labels : bool
        Whether the last voter is the given labels; see `consensus.core.model.contradictions`.
    """
    if given_labels and model == "default" and (start is None or start.sharpness is not None):
        beside = _beside_given_labels(map_matrices, size, fixed_trust, n_voters, start)
        if beside is not None:
            return beside
    n_annotators = len(fixed_trust)
    fixed_trust = np.append(fixed_trust, np.full(n_voters - n_annotators, np.nan))
    fitted = _fit(model, map_matrices, size, fixed_trust, n_annotators, start)
    if model != "default":
        return fitted
    fixed = np.where(fitted.fixed, fitted.trust, np.nan)
    return replace(fitted, others=other_models(map_matrices, size, fitted, fixed))


def _fit(
    model: ModelName,
    map_matrices: MapMatrices,
    size: MatrixSize,
    fixed_trust: Floats,
    n_annotators: int,
    start: WarmStart | None,
) -> FittedModel:
    n_voters = len(fixed_trust)
    if start is not None:
        return _fit_from(start, model, map_matrices, size, fixed_trust, n_annotators)
    fitted = FITS[model](map_matrices, size, fixed_trust, None)
    limit = _mean_trust(fitted, n_annotators)
    limited = (fitted.trust > limit) & (np.arange(n_voters) >= n_annotators)
    if not limited.any():
        return fitted
    fitted = FITS[model](map_matrices, size, np.where(limited, limit, fixed_trust), fitted.confusion)
    # A run without news has the rates alone to start from: this is what it finds, to the last digit.
    from_rates = fitted_model(fitted.confusion, fitted.correlation, fitted.even_votes, fixed_trust, fitted.voices)
    return replace(from_rates, fixed=fitted.fixed)


def _fit_from(
    start: WarmStart,
    model: ModelName,
    map_matrices: MapMatrices,
    size: MatrixSize,
    fixed_trust: Floats,
    n_annotators: int,
) -> FittedModel:
    before = fitted_model(start.confusion, start.correlation, MOST_EVEN, fixed_trust)
    limited = start.fixed & (np.arange(len(fixed_trust)) >= n_annotators)
    fitted = FITS[model](map_matrices, size, np.where(limited, before.trust, fixed_trust), start.confusion)
    moved = np.abs(fitted.confusion.table - start.confusion.table).max(initial=0.0)
    return (
        replace(before, fixed=fitted.fixed, even_votes=fitted.even_votes, voices=fitted.voices)
        if moved <= STILL
        else fitted
    )


def _beside_given_labels(
    map_matrices: MapMatrices, size: MatrixSize, fixed_trust: Floats, n_voters: int, start: WarmStart | None
) -> FittedModel | None:
    """Fit a model of the crowd, learn what the given labels are worth, and let them teach, as far as they are.

    None where there is too little to learn that from.
    """

    def map_crowd(function: Callable[[LabelMatrix], Result]) -> Iterable[Result]:
        return map_matrices(lambda block: function(block.apart[0]))

    fixed = np.append(fixed_trust, np.full(n_voters - len(fixed_trust), np.nan))
    every = every_for(size)
    worth: GivenLabels | None
    if start is None:
        crowd = _fit("default", map_crowd, size, fixed[:-1], len(fixed_trust), None)
        confusion, correlation, voices = crowd.confusion, crowd.correlation, crowd.voices
        fixed[:-1] = np.where(crowd.fixed, crowd.trust, np.nan)
        one_in = max(1, size.rows // MOST)
        worth = learned_from(
            map_matrices(lambda block: contradictions_in(block, confusion, correlation, voices, one_in)), confusion
        )
    else:
        confusion, correlation = start.confusion.without_last, start.correlation
        limited = start.fixed & (np.arange(n_voters) >= len(fixed_trust))
        fixed = np.where(limited, fitted_model(start.confusion, correlation, MOST_EVEN, fixed).trust, fixed)
        voices = _voices(map_crowd, n_voters - 1, every)
        worth = GivenLabels(start.confusion.table[-1], start.sharpness or 1.0)
    if worth is None:
        return None

    def expect(block: LabelMatrix, confusion: ConfusionMatrices) -> ExpectedCounts:
        others, given = block.apart
        others = others.in_voices(voices)
        return expected_counts(others, with_given(others, confusion, correlation, given, worth))

    def maximise(counts: ExpectedCounts, strength: float) -> ConfusionMatrices:
        return m_step(counts.table, counts.rows, strength, fixed[:-1])

    taught, counts = iterate(map_matrices, maximise, confusion, TOLERANCE, expect=expect)
    if start is not None and np.abs(taught.table - confusion.table).max(initial=0.0) <= STILL:
        everybody = start.confusion
    else:
        everybody = replace(
            taught,
            table=np.append(taught.table, worth.rates[None], axis=0),
            accuracy=np.append(taught.accuracy, np.diag(worth.rates) @ taught.prevalence),
            evidence=np.append(taught.evidence, counts.rows[None], axis=0),
        )
    even_votes = even_votes_of(map_crowd(lambda block: vote_counts(block.in_voices(voices), every)))
    return replace(fitted_model(everybody, correlation, even_votes, fixed, voices), sharpness=worth.sharpness)


def _mean_trust(fitted: FittedModel, n_annotators: int) -> float:
    """Trust of the average annotator; each counts as far as there is evidence."""
    evidence = np.maximum(fitted.confusion.evidence.sum(axis=1)[:n_annotators], 1e-9)
    return float(np.average(fitted.trust[:n_annotators], weights=evidence)) if n_annotators else 0.0


def _default(
    map_matrices: MapMatrices, size: MatrixSize, fixed_trust: Floats, start: ConfusionMatrices | None
) -> FittedModel:
    """Fit a confusion matrix per voter, and how far mistakes depend on one another."""
    every = every_for(size)
    voices = _voices(map_matrices, len(fixed_trust), every)

    def map_voices(function: Callable[[LabelMatrix], Result]) -> Iterable[Result]:
        return map_matrices(lambda block: function(block.in_voices(voices)))

    confusion = em(map_voices, fixed_trust, start)
    likelihood = map_voices(lambda block: prediction_likelihood(block, confusion, every))
    correlation = correlation_of(likelihood)
    even_votes = even_votes_of(map_voices(lambda block: vote_counts(block, every)))
    return fitted_model(confusion, correlation, even_votes, fixed_trust, voices)


def _voices(map_matrices: MapMatrices, n_annotators: int, every: int) -> Codes | None:
    """Find who answers alike; None where nobody does, or there are too many to compare."""
    if n_annotators > MOST_ANNOTATORS:
        return None
    return voices_of(map_matrices(lambda block: agreements(block, every)))


def _dawid_skene(
    map_matrices: MapMatrices, _: MatrixSize, fixed_trust: Floats, __: ConfusionMatrices | None
) -> FittedModel:
    """Fit a confusion matrix per voter to its own votes alone, always from the votes' shares."""
    return fitted_model(maximum_likelihood(map_matrices, fixed_trust), 0.0, MOST_EVEN, fixed_trust)


FITS: dict[str, Callable[[MapMatrices, MatrixSize, Floats, ConfusionMatrices | None], FittedModel]] = {
    "default": _default,
    "dawid-skene": _dawid_skene,
}
