"""What a model hears: the votes, and what speaks beside them, at most as loud as the average annotator."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Floats
from consensus.core.model.belief import Belief
from consensus.core.model.em import Over
from consensus.core.model.models import LEARN, Laid, ModelName, Size, look_up
from consensus.core.model.trust import Learned, sum_up
from consensus.core.model.warm_start import Known
from consensus.core.votes.classifications import Classifications, Listed, classify
from consensus.core.votes.votes import Votes

STILL = 2e-3


@dataclass(frozen=True, eq=False)
class Heard:
    """Everything that is heard, and what it is about.

    Attributes
    ----------
    votes : Votes
        Those of the annotators and, after them, of what else is heard.
    n_more : int
        How many of those heard are no annotators.
    classifications : Classifications
        All that anybody speaks of.
    row : (n,) intp or slice
        Where the rows of the result are among these.
    """

    votes: Votes
    n_more: int
    classifications: Classifications
    row: NDArray[np.intp] | slice


def hear(votes: Votes, heard: Votes, classifications: Classifications) -> Heard:
    """Find what is spoken of.

    Parameters
    ----------
    votes : Votes
        Of the annotators.
    heard : Votes
        The same and more, or the same.
    classifications : Classifications
        The rows of the result.
    """
    n_more = heard.n_annotators - votes.n_annotators
    if n_more == 0:
        return Heard(heard, 0, classifications, slice(None))
    # Others than annotators speak of labels that the result has not: of every label of a task, voted on or not.
    rows = Listed(classifications.task, classifications.label, classifications.given)
    spoken_of = classify(heard, rows)
    row = spoken_of.rows_of(classifications.task, classifications.label).astype(np.intp)
    return Heard(heard, n_more, spoken_of, row)


def learn_heard(
    model: ModelName, over: Over, size: Size, fixed_trust: Floats, n_more: int, start: Known | None
) -> Learned:
    """Learn what everybody who is heard is worth, and once more where something was louder than it may be.

    Parameters
    ----------
    model : {"default", "dawid-skene"}
    over : callable
        Runs a function over the parts of the items.
    size : Size
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    n_more : int
        How many are heard after the annotators.
    start : Known or None
        What was learned last time of everybody who is heard. What was as loud as may be then still is, and where
        no rate moves by more than `STILL` everything stays as it was: a run without news changes nothing.
    """
    if start is not None:
        return _learn_on(model, over, size, fixed_trust, start)
    n_annotators = len(fixed_trust)
    more = np.full(n_more, np.nan)
    learned = LEARN[model](over, size, np.append(fixed_trust, more), None)
    limit = _mean_trust(learned, n_annotators)
    loud = learned.trust[n_annotators:] > limit
    if not loud.any():
        return learned
    more[loud] = limit
    return LEARN[model](over, size, np.append(fixed_trust, more), learned.rates)


def _learn_on(model: ModelName, over: Over, size: Size, fixed_trust: Floats, start: Known) -> Learned:
    n_annotators, everybody = len(fixed_trust), len(start.fixed)
    by_hand = np.append(fixed_trust, np.full(everybody - n_annotators, np.nan))
    before = sum_up(start.rates, start.correlation, by_hand)
    loud = start.fixed & (np.arange(everybody) >= n_annotators)
    learned = LEARN[model](over, size, np.where(loud, before.trust, by_hand), start.rates)
    moved = np.abs(learned.rates.table - start.rates.table).max(initial=0.0)
    return replace(before, fixed=learned.fixed) if moved <= STILL else learned


def look_up_heard(model: ModelName, over: Over, laid: Laid, learned: Learned, heard: Heard) -> Belief:
    """Say what a model believes of the rows of the result."""
    belief = look_up(model, over, laid, learned, heard.votes, heard.classifications)
    if heard.n_more == 0:
        return belief
    return replace(belief, posterior=belief.posterior[heard.row], variance=belief.variance[heard.row])


def _mean_trust(learned: Learned, n_annotators: int) -> float:
    """Trust of the average annotator; each counts as far as there is evidence."""
    evidence = np.maximum(learned.rates.evidence.sum(axis=1)[:n_annotators], 1e-9)
    return float(np.average(learned.trust[:n_annotators], weights=evidence)) if n_annotators else 0.0
