"""Models: from votes to what is believed of classifications and annotators."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import numpy as np

from consensus.core.arrays import Floats, Names
from consensus.core.belief import Belief
from consensus.core.candidates import as_questions, gold_of_questions, over_labels
from consensus.core.classifications import Classifications, Gold, Listed, classify
from consensus.core.dependence import believed, correlation_of, discount, every_for, predictions
from consensus.core.items import RIGHT, Items, items_of
from consensus.core.learned import Learned, sum_up
from consensus.core.learning import learn, posterior_of
from consensus.core.plain import learn_plainly
from consensus.core.rates import Rates
from consensus.core.votes import Votes, spelled_out

ModelName = Literal["default", "dawid-skene"]
Found = TypeVar("Found")

MOST_LABELS, MOST_RATES = 64, 4_000_000
"""A single choice of more labels, or with more rates to learn, is asked as yes or no to the chosen labels."""

PROCESSORS, PART = 2, 250_000
"""Threads over which items are spread, and the votes that make one more worth its while."""


def fit(
    model: ModelName,
    votes: Votes,
    classifications: Classifications,
    gold: Gold,
    fixed_trust: Floats,
    start: Rates | None = None,
) -> Belief:
    """Fit a model to votes.

    Parameters
    ----------
    model : {"default", "dawid-skene"}
    votes : Votes
    classifications : Classifications
    gold : Gold
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.
    start : Rates, optional
        What was learned last time, of the same annotators and labels: fewer rounds are needed from there.

    Returns
    -------
    Belief
        Of a single choice the posterior sums to 1 over all labels of the control.
    """
    if votes.choice == "multiple":
        votes = spelled_out(votes)
    if votes.choice == "single" and _too_many(votes):
        return _fit_questions(model, votes, classifications, gold, fixed_trust, start)
    items = items_of(votes, classifications, gold)
    learned = LEARN[model](items, fixed_trust, start)
    posterior = BELIEVE[model](items, learned)
    variance = discount(items, learned.correlation) ** 2 * (items.said @ np.repeat(learned.doubt, items.n_classes))
    if votes.choice == "single":
        return Belief(
            posterior[classifications.task, classifications.label], variance[classifications.task], learned
        )
    return Belief(posterior[:, RIGHT], variance, learned)


def class_names(votes: Votes) -> Names:
    """Name the classes of the items that votes become: the labels, or wrong and right."""
    if votes.choice == "single" and not _too_many(votes):
        return votes.label_names
    return np.array(["wrong", "right"], dtype=object)


def learn_default(items: Items, fixed_trust: Floats, start: Rates | None = None) -> Learned:
    """Learn a confusion matrix per annotator and how far mistakes depend on one another."""
    n_parts = min(PROCESSORS, 1 + items.said.nnz // PART)
    with ThreadPoolExecutor(n_parts) as threads:
        parts = list(items.parts(n_parts)) if n_parts > 1 else [items]

        def over(function: Callable[[Items], Found]) -> Iterator[Found]:
            return threads.map(function, parts) if n_parts > 1 else map(function, parts)

        rates = learn(over, fixed_trust, start)
        every = every_for(len(items), items.said.nnz, items.n_classes)
        correlation = correlation_of(over(lambda part: predictions(part, rates, every)))
    return sum_up(rates, correlation, fixed_trust)


def _believe_default(items: Items, learned: Learned) -> Floats:
    return believed(items, learned.rates, learned.correlation, learned.weight)


def _believe_plainly(items: Items, learned: Learned) -> Floats:
    return posterior_of(items, learned.rates)


LEARN: dict[str, Callable[[Items, Floats, Rates | None], Learned]] = {
    "default": learn_default,
    "dawid-skene": learn_plainly,
}
BELIEVE: dict[str, Callable[[Items, Learned], Floats]] = {
    "default": _believe_default,
    "dawid-skene": _believe_plainly,
}


def _too_many(votes: Votes) -> bool:
    return votes.n_labels > MOST_LABELS or votes.n_annotators * votes.n_labels**2 > MOST_RATES


def _fit_questions(
    model: ModelName,
    votes: Votes,
    classifications: Classifications,
    gold: Gold,
    fixed_trust: Floats,
    start: Rates | None,
) -> Belief:
    asked = as_questions(votes)
    none = np.zeros(0, dtype=np.int32)
    questions = classify(asked, Listed(none, none, np.zeros(0, dtype=bool)))
    belief = fit(
        model, asked, questions, gold_of_questions(gold, questions.keys, votes.n_labels), fixed_trust, start
    )
    variance = np.zeros(votes.n_tasks)
    np.maximum.at(variance, questions.task, belief.variance)
    posterior = over_labels(belief.posterior, questions, classifications)
    return Belief(posterior, variance[classifications.task], belief.learned)
