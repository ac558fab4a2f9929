"""Who looks at what: items spread evenly over reviewers, never one's own annotation."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """An item, who must not have it, and who has it.

    Attributes
    ----------
    annotators : collection of str
        Who has annotated its task.
    """

    annotators: Collection[str]
    assigned_to: str | None = None


def spread(items: Sequence[Waiting], reviewers: Sequence[str], present: Collection[str]) -> list[str | None]:
    """Return who has each item: whoever has it, or the reviewer with the fewest; None where nobody may.

    An item stays with whom it is assigned to while they are present and have not annotated its task. Of the others
    those come first that the fewest reviewers may have; of equal reviewers the first is taken.

    Parameters
    ----------
    present : collection of str
        Who can keep what they have.

    Examples
    --------
    >>> spread([Waiting(["a"]), Waiting([]), Waiting([], "gone")], ["a", "b"], ["a", "b"])
    ['b', 'a', 'a']
    """
    result = [
        item.assigned_to if item.assigned_to in present and item.assigned_to not in item.annotators else None
        for item in items
    ]
    load = Counter(name for name in result if name)
    allowed = [[name for name in reviewers if name not in item.annotators] for item in items]
    free = [at for at, name in enumerate(result) if name is None and allowed[at]]
    for at in sorted(free, key=lambda at: len(allowed[at])):
        name = min(allowed[at], key=lambda name: load[name])
        result[at] = name
        load[name] += 1
    return result
