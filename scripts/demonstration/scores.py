"""How good the result is: what was read back, compared with the truth that only the demo knows."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demonstration.reading import Held

REPORTS = ("AllConfirmed", "MisClassified", "Discovered", "Controversial", "NoVotes")


@dataclass(frozen=True)
class ReportCount:
    """A report: its entries, how many of their labels are what the image shows, and the tasks in its tab.

    `tasks` is how many tasks have an entry, and so how many the tab should show.
    """

    name: str
    entries: int
    right: int
    tab_tasks: int
    tasks: int


@dataclass(frozen=True)
class GivenLabels:
    """What MisClassified says of the given labels that have votes.

    Attributes
    ----------
    wrong, right
        How many given labels are wrong and right.
    caught, accused
        How many of the wrong ones, and of the right ones, are in MisClassified.
    """

    wrong: int
    caught: int
    right: int
    accused: int


@dataclass(frozen=True)
class Reliability:
    """An annotator: how often the submitted labels are right, and the trust that consensus estimated."""

    email: str
    annotations: int
    skips: int
    right_share: float
    trust: float


@dataclass(frozen=True)
class Suggestions:
    """The suggestions for some tasks: how many there are, and how many of them are right."""

    tasks: int
    suggested: int
    right: int
    mean_score: float


def count_reports(held: Held, truth: Mapping[str, str]) -> list[ReportCount]:
    """Count each report's entries and what its tab shows."""
    counts = []
    for name in REPORTS:
        entries = held.reported(name)
        right = sum(entry.labels == (truth[task.name],) for task, entry in entries)
        tab = held.tabs.get(name)
        tasks = len({task.name for task, _ in entries})
        counts.append(ReportCount(name, len(entries), right, tab.tasks if tab else 0, tasks))
    return counts


def judge_given(held: Held, truth: Mapping[str, str]) -> GivenLabels:
    """Count the given labels that were caught and accused, among the tasks that somebody labelled."""
    voted = [task for task in held.tasks if any(each.label is not None for each in task.annotations)]
    wrong = {task.name for task in voted if task.given != truth[task.name]}
    right = {task.name for task in voted} - wrong
    reported = {task.name for task, entry in held.reported("MisClassified") if entry.labels == (task.given,)}
    return GivenLabels(len(wrong), len(wrong & reported), len(right), len(right & reported))


def judge_annotators(held: Held, truth: Mapping[str, str], trust: Mapping[str, float]) -> list[Reliability]:
    """Compare each annotator's share of right annotations with the estimated trust, the most reliable first."""
    rows = []
    for email, estimated in trust.items():
        labels = [
            (task.name, each.label) for task in held.tasks for each in task.annotations if each.email == email
        ]
        right = [label == truth[name] for name, label in labels if label is not None]
        share = fmean(right) if right else float("nan")
        rows.append(Reliability(email, len(right), len(labels) - len(right), share, estimated))
    return sorted(rows, key=lambda row: row.right_share, reverse=True)


def judge_suggestions(held: Held, truth: Mapping[str, str], names: Sequence[str]) -> Suggestions:
    """Compare the suggestions for the images of some names with the truth."""
    suggestions = held.suggestions()
    some = [(suggestions[name], truth[name]) for name in names if name in suggestions]
    return Suggestions(
        tasks=len(names),
        suggested=len(some),
        right=sum(each.labels == (shown,) for each, shown in some),
        mean_score=fmean(each.score or 0.0 for each, _ in some) if some else float("nan"),
    )
