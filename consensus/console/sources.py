"""Where the images of a grid come from, and what share would be wrong if they were answered as the page offers."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from consensus.assist.accept import Request, offer
from consensus.assist.proposals import offer_proposals
from consensus.assist.suggestions import Suggested
from consensus.console.pages import Behind
from consensus.console.rows import PLACE, rows_behind
from consensus.core.assist.expected import share_interval
from consensus.serving import acts
from consensus.serving.service import service
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.tables import CLASSIFICATION

Offered = Literal["suggested", "accept", "label"]
"""What a page offers first, as an action on chosen rows."""
SUGGESTED = "suggestions"
SURE_FIRST, UNSURE_FIRST = "sure", "unsure"
BY_SCORE = {SURE_FIRST: "surest first", UNSURE_FIRST: "least sure first"}
_PLACES = {SURE_FIRST: ("falling", "task", "control"), UNSURE_FIRST: ("score", "task", "control")}
BY_VOTES = "by the votes, as the last run weighs them"
BY_GIVEN = "by how often given labels are right on the whole: nobody has voted on them"


@dataclass(frozen=True)
class Outlook:
    """What to expect of the first thing that a page offers.

    Parameters
    ----------
    action : str
        That is done.
    n : int
        To so many of the images.
    share, lower, upper : float or None
        Of these that would be wrong, with its interval; None where nothing is known.
    grounds : str
        What this is known by.
    """

    action: Offered
    n: int
    share: float | None
    lower: float | None
    upper: float | None
    grounds: str

    @classmethod
    def summed(cls, action: Offered, wrong: Sequence[float], grounds: str) -> "Outlook":
        """Add up the probabilities that each is wrong."""
        n, total = len(wrong), sum(wrong)
        if not n:
            return cls(action, 0, None, None, None, grounds)
        return cls(action, n, total / n, *share_interval(total, n), grounds)


def if_set(snapshot: Snapshot, project: int, items: Collection[tuple[int, str]], label: str) -> Outlook:
    """Say what to expect if tasks get a label on controls: of those that the last run knows something of."""
    rows = snapshot.of_tasks(CLASSIFICATION, project, {task for task, _ in items})
    of_label = (row for row in rows if row["label"] == label and (row["task"], row["control"]) in items)
    wrong = [1 - row["posterior"] for row in of_label]
    unknown = f"; of {len(items) - len(wrong)} nothing is known" if len(wrong) < len(items) else ""
    return Outlook.summed("label", wrong, BY_VOTES + unknown)


@dataclass(frozen=True)
class Source:
    """Images of which all are said to have the same label, or to look alike.

    Parameters
    ----------
    total : int
        So many there are on all pages.
    place : tuple of str
        What names a row in their order.
    expect : callable or None
        Tells what to expect of a page of rows; None where a row is more than one image.
    """

    total: int
    place: tuple[str, ...]
    behind: Behind
    expect: Callable[[list[Row]], Outlook] | None


def of_suggestions(suggested: Suggested, control: str, label: str, order: str) -> Source:
    """Return the open suggestions of one label."""
    sign = -1.0 if order == SURE_FIRST else 1.0
    place, there = _PLACES[order], suggested.open
    is_of = np.array([group[0] == control and label in group[1] for group in suggested.groups], dtype=bool)
    places = np.flatnonzero(is_of[there.group])  # in descending score, and of the same score by task
    if order == UNSURE_FIRST:
        places = places[np.argsort(there.score[places], kind="stable")]
    chosen = places.tolist()

    def key(number: int) -> tuple[float, int, str]:
        each = there.rows[number]
        return sign * each.score, each.task, each.control

    def behind(after: Row | None, limit: int) -> list[Row]:
        last = None if after is None else (after[place[0]], after["task"], after["control"])
        first = 0 if last is None else bisect_right(chosen, last, key=key)
        return [acts.suggestion_row(there.rows[number]) for number in chosen[first : first + limit]]

    def expect(rows: list[Row]) -> Outlook:
        tasks = tuple(row["task"] for row in rows)
        expected = offer(suggested, Request(tasks=tasks, label=label, control=control)).expected
        if not expected.n:
            return Outlook("suggested", len(rows), None, None, None, "none like them has been judged")
        grounds = (
            f"by {expected.n} like them that people have judged since: {expected.decided} were decided, of the "
            "others the votes are believed"
        )
        return Outlook("suggested", len(rows), expected.share, expected.lower, expected.upper, grounds)

    return Source(len(chosen), place, behind, expect)


def of_report(snapshot: Snapshot, project: int, report: str, control: str, label: str) -> Source:
    """Return the classifications of one label in a report.

    Of MisClassified, where the label is the wrong one, the page offers what is proposed in its place.
    """

    def proposed(rows: list[Row]) -> Outlook:
        request = Request(tasks=tuple(row["task"] for row in rows), control=control, given=label)
        proposals = offer_proposals(service().store, project, request).proposals
        by_task = {each.task: each for each in proposals}
        for row in rows:
            if each := by_task.get(row["task"]):
                row |= {"chips": each.labels, "probable": each.posterior}
        return Outlook.summed("accept", [1 - each.posterior for each in proposals], BY_VOTES)

    def set_label(rows: list[Row]) -> Outlook:
        grounds = BY_GIVEN if report == "NoVotes" else BY_VOTES
        return Outlook.summed("label", [1 - row["posterior"] for row in rows], grounds)

    return Source(
        snapshot.count(project, report, control=control, label=label),
        PLACE,
        rows_behind(snapshot, project, report, control=control, label=label, min_confidence=None),
        proposed if report == "MisClassified" else set_label,
    )
