"""What has to change in Label Studio so that its predictions say what the reports say."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from common.contract import VERSION_PREFIX, ControlKind

TOLERANCE = 0.005
"""A score that moved by less stays: one new vote moves everybody's trust, and so every score, a little."""
MANY = 200
"""Label Studio changes or deletes about 10 predictions a second one by one, but several hundred in bulk."""


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
    kind : {"choices", "verification"} or None
        Of the control; None of a prediction that was read and that consensus did not sign.
    """

    task: int
    report: str
    control: str
    choice: str
    score: float
    kind: ControlKind | None = "choices"

    @property
    def model_version(self) -> str:
        """Name under which the prediction is stored."""
        return VERSION_PREFIX + self.report

    @property
    def identity(self) -> tuple[int, str, str, str, str]:
        """What makes it the same entry whatever its score."""
        return self.task, self.report, self.control, self.choice, str(self.kind) if self.choice else ""


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
    clear : list of str
        Model versions to empty at once, before anything is created.
    """

    create: list[Entry]
    update: list[Written]
    delete: list[int]
    clear: list[str]

    @property
    def empty(self) -> bool:
        """Whether nothing is to be sent."""
        return not (self.create or self.update or self.delete or self.clear)


def difference(
    wanted: Sequence[Entry], there: Sequence[Written], tolerance: float = TOLERANCE, many: int = MANY
) -> Difference:
    """Compare what is wanted with what is there.

    Parameters
    ----------
    wanted : sequence of Entry
        An identity may recur: then as many copies are wanted.
    there : sequence of Written
        As read from Label Studio; surplus copies, as an interrupted run may leave, are deleted.
    tolerance : float
        Scores that differ by less are the same.
    many : int
        A report with so many updates and deletions, if they are most of what is there, is emptied and written
        anew, which is quicker.

    Returns
    -------
    Difference

    Examples
    --------
    >>> old = Entry(1, "Discovered", "digit", "8", 0.95)
    >>> new = Entry(1, "Discovered", "digit", "8", 0.97)
    >>> change = difference([new], [Written(7, old), Written(9, old)])
    >>> [(one.id, one.entry.score) for one in change.update], change.delete, change.create
    ([(7, 0.97)], [9], [])
    """
    copies: dict[tuple[int, str, str, str, str], list[Written]] = defaultdict(list)
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
    surplus = [one for left in copies.values() for one in left]
    slow = Counter(one.entry.model_version for one in [*update, *surplus])
    present_now = Counter(one.entry.model_version for one in there)
    clear = sorted(version for version, n in slow.items() if n >= many and n > present_now[version] / 2)
    return Difference(
        create=[one for one in create if one.model_version not in clear]
        + [one for one in wanted if one.model_version in clear],
        update=[one for one in update if one.entry.model_version not in clear],
        delete=sorted(one.id for one in surplus if one.entry.model_version not in clear),
        clear=clear,
    )
