"""Other models of the votes, averaged with the usual one as far as they predict votes better.

No model of a crowd is right for all crowds, and how well a model fits the votes that it was fitted to does not
tell which is for this one. So the rows are cut in two at random, twice; each model is fitted to one half and
predicts each vote of the other half from the other votes on its row. Beside the usual one, which has a confusion
matrix for each annotator, there are two:

- annotators as mixtures of a few prototypes (`consensus.core.model.prototypes`);
- several kinds of items in a class (`consensus.core.model.subtypes`).

The weights are those of Bayesian model averaging, of a likelihood that counts for at most `EFFECTIVE` votes: all
models are somewhat wrong, and a large crowd would otherwise choose one for ever so small a difference (the
coarsened posterior of J. W. Miller, D. B. Dunson, "Robust Bayesian inference via coarsening", Journal of the
American Statistical Association 114 (2019), 1113-1125, doi:10.1080/01621459.2018.1469995).
"""

from collections.abc import Callable, Iterator

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.dependence import correlation_of, prediction_likelihood
from consensus.core.model.em import MapMatrices, em
from consensus.core.model.latent_classes import CORRELATIONS, LatentClasses, classes_of
from consensus.core.model.prototypes import PROTOTYPES, fit_prototypes
from consensus.core.model.subtypes import KINDS, fit_subtypes, with_truth
from consensus.core.model.trust import FittedModel, WeighedModel
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize, joined

FEWEST_VOTES = 1000
"""Votes on rows with several of them, from which on votes can tell models apart."""

MOST_VOTES, MOST_RATES = 200_000, 4_000_000
"""Votes times classes, and rates of a model, up to which others than the usual one are tried."""

MOST_ON_ROW = 12.0
"""Votes on the mean row up to which there may be subtypes: of more, each row says by itself what it looks
like."""

REPEATED = 2
"""Times that the rows are cut in two."""

EFFECTIVE = 2000.0
"""Votes for which the likelihood counts at most."""

PRIOR = 1 / 7
"""Odds of each of the other models against the usual one."""

ADVANTAGE = 0.005
"""By how much another model must predict the mean vote better. What is hardly better at predicting votes need
not be better at the truth, which nobody sees."""

HOPELESS = -0.01
"""A model that predicts the mean vote so much worse on the rows that were looked at is tried on no others."""

LEAST_WEIGHT = 0.01

ROUGHLY, TOLERANCE = 3e-3, 1e-4
"""Where rounds end, to weigh a model and to use it."""

USUAL = "usual"

Fit = Callable[[LabelMatrix, float], ConfusionMatrices | LatentClasses]
"""Fits a model to a label matrix; no rate or belief moves by more than a tolerance in the last round."""


def other_models(
    map_matrices: MapMatrices, size: MatrixSize, fitted: FittedModel, fixed_trust: Floats
) -> tuple[WeighedModel, ...]:
    """Weigh the other models, and fit those that count to all votes.

    Parameters
    ----------
    map_matrices : callable
        Maps all parts of the label matrix.
    size : MatrixSize
        Of all parts together.
    fitted : FittedModel
        The usual model.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.

    Returns
    -------
    tuple of WeighedModel
        Empty where there are too few votes to tell models apart, or so many that it would take long.
    """
    n_rates = len(fixed_trust) * size.n_classes**2 * max(KINDS, PROTOTYPES)
    small_enough = size.votes * size.n_classes <= MOST_VOTES and n_rates <= MOST_RATES
    if size.votes < FEWEST_VOTES or not small_enough or size.n_classes == 1:
        return ()
    label_matrix = joined(map_matrices(_voted)).in_voices(fitted.voices)
    votes = float(label_matrix.voices_per_row[label_matrix.votes_per_row > 1].sum())
    if votes < FEWEST_VOTES:
        return ()
    fits = _fits(fitted, fixed_trust, with_subtypes=size.votes <= MOST_ON_ROW * len(label_matrix))
    likelihoods = held_out(label_matrix, fits)
    weights = weights_of(likelihoods, votes)
    return tuple(
        WeighedModel(weight, *_fitted_to_all(label_matrix, fits[name], likelihoods[name]))
        for name, weight in weights.items()
        if name != USUAL and weight >= LEAST_WEIGHT
    )


def _voted(label_matrix: LabelMatrix) -> LabelMatrix:
    """The rows that somebody voted on."""
    return label_matrix.rows(np.flatnonzero(label_matrix.votes_per_row > 0))


def _fits(fitted: FittedModel, fixed_trust: Floats, *, with_subtypes: bool) -> dict[str, Fit]:
    """Return how each model is fitted to a label matrix, the usual one first."""
    by_hand = np.where(np.isnan(fixed_trust)[:, None, None], np.nan, fitted.confusion.table)
    fits: dict[str, Fit] = {
        USUAL: lambda matrix, _: em(lambda function: [function(matrix)], fixed_trust),
        "prototypes": lambda matrix, tolerance: fit_prototypes(matrix, by_hand, tolerance),
    }
    if with_subtypes:
        fits["subtypes"] = lambda matrix, tolerance: fit_subtypes(matrix, by_hand, tolerance)
    return fits


def held_out(label_matrix: LabelMatrix, fits: dict[str, Fit]) -> dict[str, Floats]:
    """Return how well each model predicts votes on rows that it was not fitted to.

    Returns
    -------
    dict
        By model that is not hopeless: (n_correlations,) float64, as `LatentClasses.prediction_likelihood`, a
        mean over the times that the rows are cut in two.
    """
    likelihoods = {name: np.zeros(len(CORRELATIONS)) for name in fits}
    votes = 0.0
    for train, test in _halves(label_matrix):
        votes += float(test.one_hot.data.sum())
        for name in list(likelihoods):
            likelihoods[name] += _latent(fits[name](train, ROUGHLY)).prediction_likelihood(test)
            if likelihoods[name].max() < likelihoods[USUAL].max() + HOPELESS * votes:
                del likelihoods[name]
        if list(likelihoods) == [USUAL]:
            break
    return {name: likelihood / REPEATED for name, likelihood in likelihoods.items()}


def _halves(label_matrix: LabelMatrix) -> Iterator[tuple[LabelMatrix, LabelMatrix]]:
    random = np.random.default_rng(0)
    for _ in range(REPEATED):
        first = random.random(len(label_matrix)) < 1 / 2
        halves = label_matrix.rows(np.flatnonzero(first)), label_matrix.rows(np.flatnonzero(~first))
        yield halves
        yield halves[::-1]


def weights_of(likelihoods: dict[str, Floats], votes: float) -> dict[str, float]:
    """Weigh models by how well they predict so many votes.

    Examples
    --------
    >>> likelihoods = {"usual": np.array([-1000.0]), "prototypes": np.array([-990.0])}
    >>> weights = weights_of(likelihoods, votes=2000)  # as much better as it must be, and no more
    >>> round(weights["usual"] / weights["prototypes"], 9)
    7.0
    """
    counted = EFFECTIVE / (EFFECTIVE + votes)
    handicap = ADVANTAGE * votes * counted - np.log(PRIOR)
    scores = np.array(
        [likelihood.max() * counted - (name != USUAL) * handicap for name, likelihood in likelihoods.items()]
    )
    weights = np.exp(scores - scores.max())
    return dict(zip(likelihoods, (weights / weights.sum()).tolist(), strict=True))


def _fitted_to_all(label_matrix: LabelMatrix, fit: Fit, likelihood: Floats) -> tuple[LatentClasses, float]:
    """Fit a model to all votes, and learn how far mistakes depend on one another in it."""
    model = fit(label_matrix, TOLERANCE)
    if isinstance(model, ConfusionMatrices):
        return classes_of(model), correlation_of([prediction_likelihood(label_matrix, model, 1)])
    # As much again is assumed not to show: see `correlation_of`.
    correlation = 1 - (1 - CORRELATIONS[int(likelihood.argmax())]) ** 2
    return with_truth(model, label_matrix, correlation), correlation


def _latent(model: ConfusionMatrices | LatentClasses) -> LatentClasses:
    return classes_of(model) if isinstance(model, ConfusionMatrices) else model
