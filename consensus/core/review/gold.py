"""Known answers among what annotators are shown next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consensus.core.review.sampling import uniform

NEXT = 5
"""For so many of an annotator's next tasks their share of known answers is opened ahead: they come first."""
MOST = 50
"""For so many tasks it is made up for at once, and for no more."""
LEAST = 0.5
"""An annotator who is owed less gets nothing yet."""


@dataclass(frozen=True)
class GoldTask:
    """A task of which the answer is known.

    Attributes
    ----------
    served : bool
        Whether the label stream shows it to anybody.
    annotators : frozenset of str
        Who has had it, whoever made its ground truth among them: nobody is shown a task twice.
    """

    id: int
    served: bool
    annotators: frozenset[str]


@dataclass(frozen=True)
class Work:
    """What an annotator has done since known answers were first put before them.

    Attributes
    ----------
    tasks, gold : int
        Tasks, and those of them with a known answer.
    """

    tasks: int = 0
    gold: int = 0


def owed(share: float, work: Work, waiting: int) -> float:
    """Return how many known answers an annotator's next tasks lack.

    Parameters
    ----------
    waiting : int
        Tasks with a known answer that the annotator is shown already.

    Examples
    --------
    >>> owed(0.1, Work(tasks=45, gold=2), waiting=1)
    2.0
    """
    due = share * (work.tasks + NEXT) - work.gold - waiting
    return max(0.0, min(due, share * MOST))


def in_doses(gold: Sequence[GoldTask], work: Mapping[str, Work], share: float, seed: str) -> dict[int, int]:
    """Return which tasks to show to how many more, where what is opened comes next.

    Each opened task has as many places as annotators are owed one and have not had it. Whoever asks for a task
    takes a place, so that those who do much take many.

    Parameters
    ----------
    work : mapping of str to Work
        By annotator; somebody new is expected where nobody has worked yet.
    seed : str
        Of the order in which tasks are taken that serve as many.
    """
    work = work or {"": Work()}
    waiting = Counter(name for task in gold if task.served for name in work if name not in task.annotators)
    debts = {name: owed(share, done, waiting[name]) for name, done in work.items()}
    closed = [task for task in gold if not task.served]
    order = uniform(np.array([task.id for task in closed], dtype=np.int64), seed)
    left = {task.id: (task, place) for task, place in zip(closed, order.tolist(), strict=True)}
    opened: dict[int, int] = {}
    while left:
        owing = {name for name, debt in debts.items() if debt >= LEAST}
        number = min(left, key=lambda each: (-len(owing - left[each][0].annotators), left[each][1]))
        takers = owing - left.pop(number)[0].annotators
        if not takers:
            break
        opened[number] = len(takers)
        debts = {name: debt - (name in takers) for name, debt in debts.items()}
    return opened


def in_proportion(
    gold: Sequence[GoldTask], names: Sequence[str], n_open: int, share: float, seed: str
) -> dict[int, int]:
    """Return which tasks to show to how many more, where what is opened is drawn at random among all that is open.

    Parameters
    ----------
    names : sequence of str
        Annotators.
    n_open : int
        Open tasks without a known answer.
    """
    missing = round(share / (1 - share) * n_open) - sum(task.served for task in gold)
    closed = [task for task in gold if not task.served and set(names or [""]) - task.annotators]
    order = uniform(np.array([task.id for task in closed], dtype=np.int64), seed)
    first = [closed[at] for at in np.argsort(order)[: max(missing, 0)]]
    return {task.id: len(set(names or [""]) - task.annotators) for task in first}
