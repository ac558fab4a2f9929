"""Models: from votes to what is believed of classifications and annotators.

Votes are laid out as items, a model learns from them, and what it believes is looked up. The items can be cut into
parts by their tasks: only what is learned has to see them all, and it sees them through sums.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from consensus.core.arrays import Floats, Names
from consensus.core.model.belief import Belief
from consensus.core.model.confusion_matrices import Rates
from consensus.core.model.dawid_skene import learn_plainly
from consensus.core.model.dependence import (
    correlation_of,
    doubted,
    every_for,
    mean_of,
    perceived,
    predictions,
    tempered,
)
from consensus.core.model.em import Over, learn, posterior_of
from consensus.core.model.trust import Learned, sum_up
from consensus.core.votes.candidates import as_questions, gold_of_questions, over_labels
from consensus.core.votes.classifications import Classifications, Gold, Listed, classify
from consensus.core.votes.label_matrix import RIGHT, Items, items_of
from consensus.core.votes.votes import Votes, spelled_out

ModelName = Literal["default", "dawid-skene"]

MOST_LABELS, MOST_RATES = 64, 4_000_000
"""A single choice of more labels, or with more rates to learn, is asked as yes or no to the chosen labels."""

PROCESSORS, PART = 2, 200_000
"""Threads over which items are spread, and the votes of a part: what is made of it should stay in a cache."""


@dataclass(frozen=True, eq=False)
class Laid:
    """Votes laid out as the items that a model learns from.

    Attributes
    ----------
    items : Items
    questions : Classifications or None
        What the items are where a single choice is asked as yes or no to labels, else None.
    """

    items: Items
    questions: Classifications | None = None


@dataclass(frozen=True)
class Size:
    """How much there is in all parts of the items together.

    Attributes
    ----------
    items, votes, n_classes : int
    """

    items: int
    votes: int
    n_classes: int


def lay_out(votes: Votes, classifications: Classifications, gold: Gold) -> Laid:
    """Lay votes out as items.

    Parameters
    ----------
    votes : Votes
        Of all tasks, or of a part of them.
    classifications : Classifications
        Of these tasks.
    gold : Gold
        Of these tasks.

    Returns
    -------
    Laid
    """
    if votes.choice == "multiple":
        votes = spelled_out(votes)
    if not asks_each(votes):
        return Laid(items_of(votes, classifications, gold))
    asked = as_questions(votes)
    none = np.zeros(0, dtype=np.int32)
    questions = classify(asked, Listed(none, none, np.zeros(0, dtype=bool)))
    return Laid(items_of(asked, questions, gold_of_questions(gold, questions.keys, votes.n_labels)), questions)


def look_up(
    model: ModelName, over: Over, laid: Laid, learned: Learned, votes: Votes, classifications: Classifications
) -> Belief:
    """Say what a model believes of classifications, with the votes that were laid out and what was learned."""
    of_parts = list(zip(*over(lambda items: BELIEVE[model](items, learned)), strict=True))
    variance = np.concatenate(of_parts.pop())
    posterior = np.concatenate(of_parts.pop())
    if laid.questions is not None:
        of_task = np.zeros(votes.n_tasks)
        np.maximum.at(of_task, laid.questions.task, variance[:, RIGHT])
        spread = over_labels(posterior[:, RIGHT], laid.questions, classifications)
        return Belief(spread, of_task[classifications.task], learned)
    if votes.choice == "single":
        row = classifications.task, classifications.label
        return Belief(posterior[row], variance[row], learned)
    return Belief(posterior[:, RIGHT], variance[:, RIGHT], learned)


def asks_each(votes: Votes) -> bool:
    """Say whether a single choice is asked as yes or no to each chosen label."""
    many = votes.n_labels > MOST_LABELS or votes.n_annotators * votes.n_labels**2 > MOST_RATES
    return votes.choice == "single" and many


def class_names(votes: Votes) -> Names:
    """Name the classes of the items that votes become: the labels, or wrong and right."""
    if votes.choice == "single" and not asks_each(votes):
        return votes.label_names
    return np.array(["wrong", "right"], dtype=object)


def size_of(items: Items) -> Size:
    """Count items and what was said of them."""
    return Size(len(items), int(items.said.nnz), items.n_classes)


@contextmanager
def processors(items: Items) -> Iterator[Over]:
    """Spread items over threads, as many as are worth their while."""
    # A part has more votes than its sums have numbers, or adding these up would be the work.
    n_parts = 1 + int(items.said.nnz // max(PART, items.said.shape[1] * items.n_classes))
    parts = list(items.parts(n_parts)) if n_parts > 1 else [items]
    with ThreadPoolExecutor(min(PROCESSORS, n_parts)) as threads:

        def over(function: Callable[[Items], Any]) -> Iterator[Any]:
            return threads.map(function, parts) if n_parts > 1 else map(function, parts)

        yield over


def learn_default(over: Over, size: Size, fixed_trust: Floats, start: Rates | None = None) -> Learned:
    """Learn a confusion matrix per annotator and how far mistakes depend on one another."""
    rates = learn(over, fixed_trust, start)
    every = every_for(size.items, size.votes, size.n_classes)
    correlation = correlation_of(over(lambda part: predictions(part, rates, every)))
    return sum_up(rates, correlation, fixed_trust)


def _learn_plainly(over: Over, _: Size, fixed_trust: Floats, __: Rates | None = None) -> Learned:
    return learn_plainly(over, fixed_trust)


def _believe_default(items: Items, learned: Learned) -> tuple[Floats, Floats]:
    first = tempered(items, learned.rates, learned.correlation)
    posterior = mean_of(first, perceived(items, learned.weight))
    return posterior, doubted(items, learned.correlation, learned.doubt, first, posterior)


def _believe_plainly(items: Items, learned: Learned) -> tuple[Floats, Floats]:
    variance = items.said @ np.repeat(learned.doubt, items.n_classes)
    return posterior_of(items, learned.rates), np.repeat(variance[:, None], items.n_classes, axis=1)


LEARN: dict[str, Callable[[Over, Size, Floats, Rates | None], Learned]] = {
    "default": learn_default,
    "dawid-skene": _learn_plainly,
}
BELIEVE: dict[str, Callable[[Items, Learned], tuple[Floats, Floats]]] = {
    "default": _believe_default,
    "dawid-skene": _believe_plainly,
}
