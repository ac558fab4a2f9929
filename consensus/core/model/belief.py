"""What a model believes: of each classification and of each annotator."""

from dataclasses import dataclass

from consensus.core.arrays import Floats
from consensus.core.model.trust import Learned


@dataclass(frozen=True, eq=False)
class Belief:
    """The outcome of fitting a model to votes.

    Attributes
    ----------
    posterior : (n_classifications,) float64
        Probability that the label is right, in [0, 1].
    variance : (n_classifications,) float64
        Variance of the posterior's log-odds that comes from not knowing the annotators exactly.
    learned : Learned
        Of the annotators.
    """

    posterior: Floats
    variance: Floats
    learned: Learned
