"""All rows of a report that a filter leaves: stored as the filter, and only as one run has left them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consensus.core.assist.expected import share_interval
from consensus.core.review.rulings import Ruling
from consensus.errors import ConfigError
from consensus.review.queues import SETTLING
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.sent import Place
from consensus.store.tables import CLASSIFICATION

MOST = 50_000
"""Rows of one batch."""


class OutdatedError(ConfigError):
    """A run has ended since somebody was shown what matches."""


@dataclass(frozen=True)
class Matching:
    """Rows of a report.

    Parameters
    ----------
    control, label, annotator : str or None
        Of these alone; of an annotator: those that have a vote of theirs.
    confidence : float or None
        Those with at least this one.
    run : int or None
        The run of which they were shown; None: whichever is the last.
    """

    report: str
    control: str | None = None
    label: str | None = None
    annotator: str | None = None
    confidence: float | None = None
    run: int | None = None

    def page(
        self,
        snapshot: Snapshot,
        project: int,
        *,
        order: str | None = None,
        after: Mapping[str, Any] | None = None,
        limit: int,
        back: bool = False,
    ) -> list[Row]:
        """Return so many of the rows, behind one of them, or before it, the nearest first."""
        return snapshot.page(
            project,
            self.report,
            control=self.control,
            label=self.label,
            annotator=self.annotator,
            min_confidence=self.confidence,
            order=order,
            after=after,
            limit=limit,
            back=back,
        )

    def places(self, snapshot: Snapshot, project: int) -> list[Place]:
        """Return the tasks and controls of the rows, each once.

        Raises
        ------
        OutdatedError
            Where the last run is another one than that of which they were shown.
        ConfigError
            Where there are too many.
        """
        if self.run not in (None, snapshot.needed_run(project)["id"]):
            raise OutdatedError(
                "A run has ended since this was counted, so nothing was done: look at it once more."
            )
        rows = self.page(snapshot, project, limit=MOST + 1)
        if len(rows) > MOST:
            raise ConfigError(f"more than {MOST:,} rows match: leave fewer by filters, as a label or a confidence")
        return list(dict.fromkeys((row["task"], row["control"]) for row in rows))


@dataclass(frozen=True)
class Keeping:
    """Given labels that can be kept.

    Parameters
    ----------
    wrong : float
        So many of them are expected to be wrong.
    decided, without : int
        So many are left out: somebody has decided, or no label was given.
    """

    rulings: list[Ruling]
    wrong: float
    decided: int
    without: int

    @property
    def expected(self) -> Row | None:
        """What share is expected to be wrong, and between which bounds."""
        n = len(self.rulings)
        if not n:
            return None
        lower, upper = share_interval(self.wrong, n)
        return {"n": n, "share": self.wrong / n, "lower": lower, "upper": upper}


def keeping(snapshot: Snapshot, project: int, places: Sequence[Place], limit: int | None = None) -> Keeping:
    """Return which given labels can be kept, at most so many."""
    given: dict[Place, float] = {}
    for row in snapshot.of_tasks(CLASSIFICATION, project, {task for task, _ in places}):
        if row["given"]:
            place = row["task"], row["control"]
            given[place] = min(row["posterior"], given.get(place, 1.0))
    settled = {
        (row["task"], row["control"]) for row in snapshot.decisions.standing(project) if row["source"] in SETTLING
    }
    open_places = [place for place in places if place not in settled]
    kept_places = [place for place in open_places if place in given][:limit]
    rulings = [Ruling(task, control, "keep") for task, control in kept_places]
    wrong = sum(1 - given[place] for place in kept_places)
    without = sum(place not in given for place in open_places)
    return Keeping(rulings, wrong, len(places) - len(open_places), without)
