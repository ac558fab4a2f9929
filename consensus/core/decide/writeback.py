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
    entries: Sequence[Entry], present: Sequence[Written], tolerance: float = TOLERANCE, many: int = MANY
) -> Difference:
    """Compare what is to be there with what is.

    Parameters
    ----------
    entries : sequence of Entry
        What is to be there. An identity may recur: then as many copies are meant.
    present : sequence of Written
        As read from Label Studio; surplus copies, as an interrupted run may leave, are deleted.
    tolerance : float
        Scores that differ by less are the same.
    many : int
        A report with so many updates and deletions, if they are most of what is there, is emptied and written
        anew, which is quicker.

    Examples
    --------
    >>> old = Entry(1, "Discovered", "digit", "8", 0.95)
    >>> new = Entry(1, "Discovered", "digit", "8", 0.97)
    >>> change = difference([new], [Written(7, old), Written(9, old)])
    >>> [(written.id, written.entry.score) for written in change.update], change.delete, change.create
    ([(7, 0.97)], [9], [])
    """
    copies: dict[tuple[int, str, str, str, str], list[Written]] = defaultdict(list)
    for written in sorted(present, key=lambda written: written.id):
        copies[written.entry.identity].append(written)
    create, update = [], []
    for entry in entries:
        same = copies.get(entry.identity)
        if not same:
            create.append(entry)
            continue
        existing = same.pop(0)
        if not abs(existing.entry.score - entry.score) < tolerance:  # a score that is no number differs, too
            update.append(Written(existing.id, entry))
    surplus = [written for same in copies.values() for written in same]
    slow = Counter(written.entry.model_version for written in [*update, *surplus])
    size = Counter(written.entry.model_version for written in present)
    clear = sorted(version for version, n in slow.items() if n >= many and n > size[version] / 2)
    return Difference(
        create=[entry for entry in create if entry.model_version not in clear]
        + [entry for entry in entries if entry.model_version in clear],
        update=[written for written in update if written.entry.model_version not in clear],
        delete=sorted(written.id for written in surplus if written.entry.model_version not in clear),
        clear=clear,
    )
