"""What has to change in Label Studio so that its predictions say what the reports say."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "consensus/"
TOLERANCE = 0.005
"""A score that moved by less stays: one new vote moves everybody's trust, and so every score, a little."""


@dataclass(frozen=True)
class Entry:
    """One classification in one report, as a prediction holds it.

    Attributes
    ----------
    task : int
    report : str
    control : str
        Name of the control; "" where the prediction has no region.
    choice : str
        The choice that the region shows; "" where there is none.
    score : float
        The confidence, in [0, 1].
    """

    task: int
    report: str
    control: str
    choice: str
    score: float

    @property
    def model_version(self) -> str:
        """Name under which the prediction is stored."""
        return PREFIX + self.report

    @property
    def identity(self) -> tuple[int, str, str, str]:
        """What makes it the same entry whatever its score."""
        return self.task, self.report, self.control, self.choice


@dataclass(frozen=True)
class Written:
    """An entry that Label Studio holds, and the id of its prediction."""

    id: int
    entry: Entry


@dataclass(frozen=True)
class Difference:
    """The writes that lead from what is there to what is wanted.

    Attributes
    ----------
    create : list of Entry
    update : list of Written
        Id of the prediction, and the entry with its new score.
    delete : list of int
        Ids of predictions.
    """

    create: list[Entry]
    update: list[Written]
    delete: list[int]

    @property
    def empty(self) -> bool:
        """Whether nothing is to be sent."""
        return not (self.create or self.update or self.delete)


def difference(wanted: Iterable[Entry], there: Iterable[Written], tolerance: float = TOLERANCE) -> Difference:
    """Compare what is wanted with what is there.

    Parameters
    ----------
    wanted : iterable of Entry
        No two of the same identity.
    there : iterable of Written
        As read from Label Studio; surplus copies, as an interrupted run may leave, are deleted.
    tolerance : float
        Scores that differ by less are the same.

    Returns
    -------
    Difference

    Examples
    --------
    >>> old = Entry(1, "Discovered", "digit", "8", 0.95)
    >>> new = Entry(1, "Discovered", "digit", "8", 0.97)
    >>> difference([new], [Written(7, old), Written(9, old)])
    Difference(create=[], update=[Written(id=7, entry=Entry(task=1, report='Discovered', control='digit', \
choice='8', score=0.97))], delete=[9])
    """
    copies: dict[tuple[int, str, str, str], list[Written]] = defaultdict(list)
    for written in sorted(there, key=lambda one: one.id):
        copies[written.entry.identity].append(written)
    create, update = [], []
    for entry in wanted:
        present = copies.get(entry.identity)
        if not present:
            create.append(entry)
            continue
        kept = present.pop(0)
        if not abs(kept.entry.score - entry.score) < tolerance:  # a score that is no number differs, too
            update.append(Written(kept.id, entry))
    return Difference(create, update, sorted(one.id for left in copies.values() for one in left))
