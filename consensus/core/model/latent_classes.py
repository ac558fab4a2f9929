"""Latent classes: a model of a row's votes, its classes' rates, and what each means for the truth.

Of annotators with a confusion matrix each, the latent classes are the classes themselves. Where a class has
several kinds of items (`consensus.core.model.subtypes`), they are the kinds.
"""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.dependence import PREVALENCE, discount
from consensus.core.model.em import against_first
from consensus.core.votes.label_matrix import LabelMatrix, softmax

CORRELATIONS = (0.0, 0.03, 0.1, 0.2, 0.35, 0.6)
"""Correlations of mistakes with which votes are predicted; the best one counts."""

TINY = 1e-12


@dataclass(frozen=True, eq=False)
class LatentClasses:
    """What annotators say on rows of each latent class.

    Attributes
    ----------
    rates : (n_annotators * n_classes, n_latent) float64
        By column of `LabelMatrix.one_hot`.
    prevalence : (n_latent,) float64
        Share of the rows.
    truth : (n_latent, n_classes) float64
        How probable the classes are of a row of each; rows sum to 1.
    """

    rates: Floats
    prevalence: Floats
    truth: Floats

    @property
    def trust(self) -> Floats:
        """(n_annotators,): how much better than by chance each annotator recognises the classes, in [0, 1]."""
        n_classes = self.truth.shape[1]
        of_class = self.prevalence[:, None] * self.truth
        of_class /= np.maximum(of_class.sum(axis=0), TINY)
        rates = self.rates.reshape(-1, n_classes, len(self.prevalence))
        recognised = np.einsum("ajl,lj->a", rates, of_class) / n_classes
        return np.asarray(np.clip((recognised - 1 / n_classes) / (1 - 1 / n_classes), 0.0, 1.0))

    def beliefs(self, label_matrix: LabelMatrix, correlation: float) -> Floats:
        """(n_rows, n_latent): how probable each is, votes with a correlation between their mistakes."""
        scores = np.asarray(label_matrix.one_hot @ against_first(self.rates))
        scores *= discount(label_matrix, correlation)[:, None]
        return softmax(scores + PREVALENCE * against_first(self.prevalence))

    def posterior(self, label_matrix: LabelMatrix, correlation: float) -> Floats:
        """(n_rows, n_classes): how probable each class is."""
        return self.beliefs(label_matrix, correlation) @ self.truth

    def prediction_likelihood(self, label_matrix: LabelMatrix) -> Floats:
        """Return how well the others' votes predict each vote.

        Returns
        -------
        (n_correlations,) float64
            Sum of the log-probabilities of the votes, each predicted from the others on its row, for
            `CORRELATIONS`.
        """
        one_hot, columns = label_matrix.one_hot, against_first(self.rates)
        row = np.repeat(np.arange(len(label_matrix)), label_matrix.votes_per_row)
        judged = label_matrix.votes_per_row[row] > 1
        row, column, votes = row[judged], one_hot.indices[judged], one_hot.data[judged]
        others = (one_hot @ columns)[row] - columns[column]
        more = np.maximum(label_matrix.voices_per_row[row] - 2.0, 0.0)[:, None]
        prior, rates = PREVALENCE * against_first(self.prevalence), self.rates[column]
        beliefs = (softmax(others / (1 + more * correlation) + prior) for correlation in CORRELATIONS)
        return np.array([np.log(np.einsum("vl,vl->v", each, rates)) @ votes for each in beliefs])


def classes_of(confusion: ConfusionMatrices) -> LatentClasses:
    """The classes themselves, each with a row of everybody's confusion matrix."""
    return LatentClasses(confusion.by_column, confusion.prevalence, np.eye(len(confusion.prevalence)))
