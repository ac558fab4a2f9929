"""What has to change in Label Studio so that its predictions say what the reports say."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from common.contract import VERSION_PREFIX, Accusation, ControlKind

TOLERANCE = 0.005
"""A score that moved by less stays: one new vote moves everybody's trust, and so every score, a little."""
MANY = 200
"""Label Studio changes or deletes about 10 predictions a second one by one, but several hundred in bulk."""

Identity = tuple[int, str, str, str, str, str, tuple[str, ...]]


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
        The confidence that it is right, in [0, 1].
    kind : {"choices", "verification"} or None
        Of the control; None of a prediction that was read and that consensus did not sign.
    accusation : Accusation or None
        The label that it calls wrong.
    others : tuple of str
        More choices that the region shows.
    why : tuple of str
        In words for people: what the votes say, and what they weigh.
    """

    task: int
    report: str
    control: str
    choice: str
    score: float
    kind: ControlKind | None = "choices"
    accusation: Accusation | None = None
    others: tuple[str, ...] = ()
    why: tuple[str, ...] = ()

    @property
    def choices(self) -> list[str]:
        """All choices that the region shows."""
        return [self.choice, *self.others] if self.choice else []

    @property
    def has_region(self) -> bool:
        """Whether it shows a choice, or calls a label wrong."""
        return bool(self.control) and (bool(self.choice) or self.accusation is not None)

    @property
    def model_version(self) -> str:
        """Name under which the prediction is stored."""
        return VERSION_PREFIX + self.report

    @property
    def identity(self) -> Identity:
        """What makes it the same entry whatever its score."""
        wrong = self.accusation.label if self.accusation else ""
        kind = str(self.kind) if self.has_region else ""
        return self.task, self.report, self.control, self.choice, kind, wrong, self.others

    def differs(self, other: "Entry", tolerance: float) -> bool:
        """Whether the same entry says something else: other votes, or a confidence that moved or is no number."""
        pairs = [(self.score, other.score)]
        if self.accusation and other.accusation:
            pairs.append((self.accusation.confidence, other.accusation.confidence))
        near = all(abs(before - after) < tolerance for before, after in pairs)
        return not near or self.why[:1] != other.why[:1]


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
    copies: dict[Identity, list[Written]] = defaultdict(list)
    for written in sorted(present, key=lambda written: written.id):
        copies[written.entry.identity].append(written)
    create, update = [], []
    for entry in entries:
        same = copies.get(entry.identity)
        if not same:
            create.append(entry)
            continue
        existing = same.pop(0)
        if existing.entry.differs(entry, tolerance):
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
