"""The ledger of votes: since when each one stands, and until when it stood; what is paid is counted from it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
Spot = tuple[str, int, str]
"""Control, task, and whether it is an answer or unsure."""


@dataclass(frozen=True)
class Coverage:
    """What a run looked at: a vote that is not there was withdrawn only if it could have been seen.

    Attributes
    ----------
    tasks : frozenset of int
        A task that is gone takes its votes along; nobody withdrew them.
    unreadable : frozenset of (str, int)
        Controls and tasks of which something was left out.
    gold : frozenset of int
        Annotations that are ground truth now; the votes that they were stay counted.
    """

    tasks: frozenset[int] = frozenset()
    controls: frozenset[str] = frozenset()
    unreadable: frozenset[tuple[str, int]] = frozenset()
    gold: frozenset[int] = frozenset()

    def misses(self, entry: Row) -> bool:
        """Whether the vote of an entry would be there if nobody had withdrawn it."""
        return (
            entry["control"] in self.controls
            and entry["task"] in self.tasks
            and (entry["control"], entry["task"]) not in self.unreadable
            and entry["annotation"] not in self.gold
        )


@dataclass
class LedgerChanges:
    """What a run changes in the ledger.

    Attributes
    ----------
    new, ended : list of dict
        Entries to add, and entries that end.
    unseen : list of dict
        Entries that stay open although their vote is not there: it could not be seen.
    """

    new: list[Row] = field(default_factory=list)
    ended: list[Row] = field(default_factory=list)
    unseen: list[Row] = field(default_factory=list)


def ledger_changes(entries: Iterable[Row], votes: Iterable[Row], coverage: Coverage) -> LedgerChanges:
    """Compare the open entries of a project with the votes that a run has found.

    A vote is known by its annotator or, where an account has another name now, by its annotation: it is never
    entered twice.

    Parameters
    ----------
    entries : iterable of dict
        Open ones: control, task, annotator, kind, annotation.
    votes : iterable of dict
        control, task, annotator, vote, annotation; several rows of one submission are one vote.
    """
    there: dict[Spot, dict[str, int]] = defaultdict(dict)
    for vote in votes:
        kind = "unsure" if vote["vote"] == "unsure" else "answer"
        there[vote["control"], vote["task"], kind].setdefault(vote["annotator"], vote["annotation"])
    result, entered, own = LedgerChanges(), defaultdict[Spot, set[str]](set), defaultdict[Spot, set[str]](set)
    entries = list(entries)
    for entry in entries:
        own[_spot(entry)].add(entry["annotator"])
    for entry in entries:
        spot = _spot(entry)
        who = _holder(entry, there.get(spot, {}), own[spot])
        if who is not None:
            entered[spot].add(who)
        elif coverage.misses(entry):
            result.ended.append(entry)
        else:
            result.unseen.append(entry)
    for spot, annotators in there.items():
        control, task, kind = spot
        result.new.extend(
            {"control": control, "task": task, "kind": kind, "annotator": annotator, "annotation": annotation}
            for annotator, annotation in annotators.items()
            if annotator not in entered[spot]
        )
    return result


def _spot(entry: Row) -> Spot:
    return entry["control"], entry["task"], entry["kind"]


def _holder(entry: Row, annotators: dict[str, int], own: set[str]) -> str | None:
    """Name under which the vote of an entry stands now: its own, or a new one with the same annotation."""
    if entry["annotator"] in annotators:
        return str(entry["annotator"])
    renamed = (name for name, annotation in annotators.items() if annotation == entry["annotation"])
    return next((name for name in renamed if name not in own), None)


@dataclass
class Count:
    """Votes of one annotator on one control in a period.

    Attributes
    ----------
    answers, unsure : int
        First seen in the period and standing at its end.
    withdrawn : int
        First seen in the period and gone at its end.
    returned : int
        Came back in the period after they had stood over a midnight (UTC) of an earlier one: they may have been
        paid then.
    """

    answers: int = 0
    unsure: int = 0
    withdrawn: int = 0
    returned: int = 0


def count(entries: Sequence[Row], earlier: Sequence[Row], until: datetime) -> dict[tuple[str, str], Count]:
    """Count the votes of a period, once each.

    Parameters
    ----------
    entries : sequence of dict
        Entries that began in the period.
    earlier : sequence of dict
        Ended entries that began before it, of the same project.
    until : datetime
        The end of the period, exclusive.

    Returns
    -------
    dict of (annotator, control) to Count
    """
    stood = {_key(entry) for entry in earlier if _stood_over_midnight(entry)}
    standing: dict[tuple[Any, ...], bool] = {}
    for entry in entries:
        ended = entry["until"] is not None and _utc(entry["until"]) < until
        standing[_key(entry)] = standing.get(_key(entry), False) or not ended
    counts: dict[tuple[str, str], Count] = defaultdict(Count)
    for key, stands in standing.items():
        control, _, annotator, kind = key
        tally = counts[annotator, control]
        if key in stood:
            tally.returned += 1
        elif not stands:
            tally.withdrawn += 1
        elif kind == "unsure":
            tally.unsure += 1
        else:
            tally.answers += 1
    return dict(counts)


def _key(entry: Row) -> tuple[Any, ...]:
    return entry["control"], entry["task"], entry["annotator"], entry["kind"]


def _stood_over_midnight(entry: Row) -> bool:
    """Whether a period can have ended while the entry stood: periods end at midnight."""
    since, until = _utc(entry["since"]), _utc(entry["until"])
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return until >= midnight


def _utc(moment: datetime) -> datetime:
    """A moment of the store, which SQLite gives back without its time zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
