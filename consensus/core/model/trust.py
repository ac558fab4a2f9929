"""A fitted model of annotators, and their trust: each confusion matrix summed up as one number."""

from dataclasses import dataclass, replace

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats
from consensus.core.model.confusion_matrices import LOWEST, ConfusionMatrices
from consensus.core.model.latent_classes import LatentClasses
from consensus.core.wilson import wilson_interval


@dataclass(frozen=True, eq=False)
class WeighedModel:
    """A model beside the usual one.

    Attributes
    ----------
    weight : float
        Share in the mean of all models, which the usual one fills up to 1.
    latent_classes : LatentClasses
    correlation : float
        Of the mistakes of annotators on one item, in [0, 1).
    """

    weight: float
    latent_classes: LatentClasses
    correlation: float


@dataclass(frozen=True, eq=False)
class FittedModel:
    """Everything that a posterior needs to know of annotators.

    Attributes
    ----------
    confusion : ConfusionMatrices
    correlation : float
        Of the mistakes of annotators on one item, in [0, 1).
    even_votes : float
        Votes, spread evenly over the classes, that the shares of the votes on an item start from.
    trust : (n_annotators,) float64
        Chance-corrected, in [0, 1]: 0 is as good as guessing, 1 is always right.
    trust_low, trust_high : (n_annotators,) float64
        Bounds of the trust's 95 % interval; where trust is set by hand, that trust.
    fixed : (n_annotators,) bool
        Whose trust was set and not learned.
    voices : (n_annotators,) int32 or None
        Where some answer alike: the first of each one's group (`consensus.core.model.copies`).
    sharpness : float or None
        Where the last voter is the given labels, as evidence beside the crowd's: what the log of the crowd's
        belief counts (`consensus.core.model.contradictions`). The voices are then those of the crowd.
    others : tuple of WeighedModel
        Models that the posterior is averaged with (`consensus.core.model.model_average`).
    """

    confusion: ConfusionMatrices
    correlation: float
    even_votes: float
    trust: Floats
    trust_low: Floats
    trust_high: Floats
    fixed: Flags
    voices: Codes | None = None
    sharpness: float | None = None
    others: tuple[WeighedModel, ...] = ()

    @property
    def crowd(self) -> "FittedModel":
        """The model of all but the last voter."""
        columns = {name: getattr(self, name)[:-1] for name in ("trust", "trust_low", "trust_high", "fixed")}
        return replace(self, confusion=self.confusion.without_last, sharpness=None, **columns)

    @property
    def weight(self) -> Floats:
        """(n_annotators,) float64: trust, the mean over all models, in units of the average vote's."""
        trust = self.trust * (1 - sum(model.weight for model in self.others))
        for model in self.others:
            trust += model.weight * model.latent_classes.trust
        votes = self.confusion.evidence.sum(axis=1) + 1e-9
        average = float(votes @ trust / votes.sum()) if len(votes) else 0.0
        return trust / average if average > 0 else np.zeros(len(votes))

    @property
    def accuracy_variance(self) -> Floats:
        """(n_annotators,) float64: variance of the log-odds of an annotator's accuracy, at most 1."""
        accuracy = np.clip(self.confusion.accuracy, LOWEST, 1 - LOWEST)
        votes = self.confusion.evidence.sum(axis=1) + self.confusion.own_strength
        return np.asarray(np.minimum(1 / (votes * accuracy * (1 - accuracy)), 1.0))


def fitted_model(
    confusion: ConfusionMatrices,
    correlation: float,
    even_votes: float,
    fixed_trust: Floats,
    voices: Codes | None = None,
) -> FittedModel:
    """Sum each annotator's confusion matrix up as one number.

    Trust is the mean over the classes of how often the class is recognised, corrected for chance:
    (mean - 1/k) / (1 - 1/k). With two classes that is sensitivity + specificity - 1 (W. J. Youden, "Index for
    rating diagnostic tests", Cancer 3 (1950), 32-35), so that somebody who always says the same has trust 0.

    Parameters
    ----------
    confusion : ConfusionMatrices
    correlation, even_votes : float
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is learned.
    voices : (n_annotators,) int32, optional
    """
    n_classes = max(confusion.table.shape[1], 1)
    recognised = np.einsum("ajj->aj", confusion.table)
    mean = recognised.mean(axis=1) if recognised.size else np.zeros(len(recognised))
    # As many votes as would make a share as uncertain as this mean is.
    votes = mean * (1 - mean) / np.maximum(_uncertainty(confusion, recognised), 1e-12)
    bounds = mean, *wilson_interval(mean * votes, votes)
    chance = 1 / n_classes
    learned = [np.clip((bound - chance) / max(1 - chance, 1e-12), 0.0, 1.0) for bound in bounds]
    trust, low, high = (np.where(np.isnan(fixed_trust), bound, fixed_trust) for bound in learned)
    return FittedModel(confusion, correlation, even_votes, trust, low, high, ~np.isnan(fixed_trust), voices)


def _uncertainty(confusion: ConfusionMatrices, recognised: Floats) -> Floats:
    """Variance of the mean over the classes of how often an annotator recognises them, (n_annotators,).

    That of each class by itself, and that of the annotator's accuracy as far as all classes lean on it.
    """
    n_classes = max(confusion.table.shape[1], 1)
    apart = recognised * (1 - recognised) / (confusion.evidence + confusion.strength + 1)
    leaning = (confusion.strength / (confusion.evidence + confusion.strength)).sum(axis=1) / n_classes
    votes = confusion.evidence.sum(axis=1) + confusion.own_strength + 1
    together = leaning**2 * confusion.accuracy * (1 - confusion.accuracy) / votes
    return np.asarray(apart.sum(axis=1) / n_classes**2 + together)


def trust_by_precision(fitted: FittedModel, n_labels: int) -> tuple[Floats, Floats, Floats]:
    """Sum annotators up who were asked about the labels that somebody chose, of a single choice of many.

    Each submission says yes to one label, so the share of right labels among those is the annotator's accuracy p,
    and trust is (p - 1/k) / (1 - 1/k). Which labels were asked about depends on who chose them: how often an
    annotator says no to wrong ones would not say how good the annotator is.

    Parameters
    ----------
    fitted : FittedModel
        Of two classes: wrong and right.
    n_labels : int
        k, the labels of the control.

    Returns
    -------
    trust, low, high : (n_annotators,) float64
        In [0, 1]; where trust was set by hand, or there is no vote to judge by, as in `fitted`.
    """
    counts = fitted.confusion.evidence * fitted.confusion.table[:, :, 1]
    votes = counts.sum(axis=1)
    right = counts[:, 1] / np.where(votes > 0, votes, 1.0)
    bounds = right, *wilson_interval(right * votes, votes)
    learned = (votes > 0) & ~fitted.fixed
    otherwise = fitted.trust, fitted.trust_low, fitted.trust_high
    trust, low, high = (
        np.where(learned, np.clip((bound - 1 / n_labels) / (1 - 1 / n_labels), 0.0, 1.0), from_all)
        for bound, from_all in zip(bounds, otherwise, strict=True)
    )
    return trust, low, high
