"""The posterior: how probable a fitted model takes each classification to be right, and how far it may be off."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.contradictions import GivenLabels, with_given
from consensus.core.model.dependence import discount, log_odds_variance, mean_of, perceived, shown, tempered
from consensus.core.model.em import MapMatrices, e_step
from consensus.core.model.fit import ModelName
from consensus.core.model.trust import FittedModel
from consensus.core.votes.candidates import over_labels
from consensus.core.votes.classifications import Classifications
from consensus.core.votes.label_matrix import RIGHT, LabelMatrix
from consensus.core.votes.votes import Votes


@dataclass(frozen=True, eq=False)
class Posterior:
    """Of each classification.

    Attributes
    ----------
    probability : (n_classifications,) float64
        That the label is right, in [0, 1].
    variance : (n_classifications,) float64
        Variance of its log-odds that comes from not knowing the annotators exactly.
    """

    probability: Floats
    variance: Floats


def posterior_of(
    model: ModelName,
    fitted: FittedModel,
    map_matrices: MapMatrices,
    votes: Votes,
    classifications: Classifications,
    questions: Classifications | None,
) -> Posterior:
    """Return the posterior of classifications.

    Parameters
    ----------
    model : {"default", "dawid-skene"}
    fitted : FittedModel
    map_matrices : callable
        Maps all parts of the label matrix of these votes.
    votes : Votes
    classifications : Classifications
    questions : Classifications or None
        As `label_matrix_of` returned them.
    """
    by_part = list(zip(*map_matrices(lambda block: POSTERIORS[model](block, fitted)), strict=True))
    variance = np.concatenate(by_part.pop())
    probability = np.concatenate(by_part.pop())
    if questions is not None:
        of_task = np.zeros(votes.n_tasks)
        np.maximum.at(of_task, questions.task, variance[:, RIGHT])
        spread = over_labels(probability[:, RIGHT], questions, classifications)
        return Posterior(spread, of_task[classifications.task])
    if votes.choice == "single":
        row = classifications.task, classifications.label
        return Posterior(probability[row], variance[row])
    return Posterior(probability[:, RIGHT], variance[:, RIGHT])


def _default(label_matrix: LabelMatrix, fitted: FittedModel) -> tuple[Floats, Floats]:
    if fitted.sharpness is not None:
        return _beside_given_labels(
            label_matrix, fitted, GivenLabels(fitted.confusion.table[-1], fitted.sharpness)
        )
    label_matrix = label_matrix.in_voices(fitted.voices)
    independent = tempered(label_matrix, fitted.confusion, fitted.correlation)
    independent *= 1 - sum(model.weight for model in fitted.others)
    for model in fitted.others:
        independent += model.weight * model.latent_classes.posterior(label_matrix, model.correlation)
    probability = mean_of(independent, perceived(label_matrix, fitted.weight, fitted.even_votes))
    doubt = fitted.correlation, fitted.accuracy_variance
    return probability, log_odds_variance(label_matrix, *doubt, independent, probability)


def _beside_given_labels(
    label_matrix: LabelMatrix, fitted: FittedModel, worth: GivenLabels
) -> tuple[Floats, Floats]:
    """Where there is no given label, what the crowd alone says."""
    (crowd, given), crowd_fitted = label_matrix.apart, fitted.crowd
    probability, variance = _default(crowd, crowd_fitted)
    crowd, row = crowd.in_voices(fitted.voices), np.flatnonzero(given >= 0)
    posterior = with_given(crowd, fitted.confusion.without_last, fitted.correlation, given, worth)
    spread = crowd.one_hot @ np.repeat(crowd_fitted.accuracy_variance, crowd.n_classes)
    spread *= (worth.sharpness * discount(crowd, shown(fitted.correlation))) ** 2
    probability[row] = posterior[row]
    variance[row] = (spread[row] + fitted.accuracy_variance[-1])[:, None]
    return probability, variance


def _dawid_skene(label_matrix: LabelMatrix, fitted: FittedModel) -> tuple[Floats, Floats]:
    variance = label_matrix.one_hot @ np.repeat(fitted.accuracy_variance, label_matrix.n_classes)
    return e_step(label_matrix, fitted.confusion), np.repeat(variance[:, None], label_matrix.n_classes, axis=1)


POSTERIORS: dict[str, Callable[[LabelMatrix, FittedModel], tuple[Floats, Floats]]] = {
    "default": _default,
    "dawid-skene": _dawid_skene,
}
