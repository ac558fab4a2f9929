"""What all annotators together say about one of them: empirical-Bayes shrinkage."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Floats

WEAKEST, STRONGEST = 2.0, 200.0
"""Bounds of the population's strength in votes: never ignored, never deaf to an annotator's own votes."""

ROUNDING = 1e-9
"""What rounding may add to a sum of votes: one vote each tells nothing of how annotators differ."""


@dataclass(frozen=True)
class Population:
    """A beta prior for one rate of an annotator.

    Attributes
    ----------
    mean : float
        The population's rate, in (0, 1).
    strength : float
        How many votes of one's own weigh as much as the population.
    """

    mean: float
    strength: float

    def shrink(self, hits: Floats, votes: Floats) -> Floats:
        """Return each annotator's rate, drawn towards the population where votes are few.

        Parameters
        ----------
        hits, votes : (n_annotators,) float64
            Effective successes and trials.
        """
        return np.asarray((hits + self.strength * self.mean) / (votes + self.strength))


def population_of(hits: Floats, votes: Floats, *, expected: float) -> Population:
    """Learn the population from its annotators by the method of moments.

    Parameters
    ----------
    hits, votes : (n_annotators,) float64
        Effective successes and trials of each annotator.
    expected : float
        The rate to assume before any vote; it weighs two votes.

    Returns
    -------
    Population
        The strength follows from how much more the rates differ than their own noise explains.

    References
    ----------
    J. C. Kleinman, "Proportions with extraneous variance: single and independent samples", Journal of the
    American Statistical Association 68 (1973), 46-54. doi:10.1080/01621459.1973.10481332
    """
    total = float(votes.sum())
    mean = float(np.clip((hits.sum() + 2 * expected) / (total + 2), 0.01, 0.99))
    busy = votes > 1 - ROUNDING
    if busy.sum() <= 1:
        return Population(mean, 2 * WEAKEST)
    rate = np.clip(hits[busy] / votes[busy], 0.0, 1.0)
    weight = votes[busy] / votes[busy].sum()
    centre = float(weight @ rate)
    observed = float(weight @ (rate - centre) ** 2)
    noise_per_rate = float(weight @ ((1 - weight) / votes[busy]))
    variance = mean * (1 - mean)
    # E[observed] = variance * (noise_per_rate + between * (sum of w(1 - w) - noise_per_rate)): solve for between.
    room = float(weight @ (1 - weight)) - noise_per_rate
    between = (observed / variance - noise_per_rate) / room if room > ROUNDING else 0.0
    strength = 1 / between - 1 if between > 0 else STRONGEST
    return Population(mean, float(np.clip(strength, WEAKEST, STRONGEST)))
