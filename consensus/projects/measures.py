"""What each run keeps of how the project stands, so that its course can be shown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from consensus.core.people.agreement import krippendorff_alpha
from consensus.core.people.answers import Answers
from consensus.core.votes.collected import Collected
from consensus.store.columns import Columns

OPEN = ("NoVotes", "Undecided", "Controversial")
"""Reports of what is not decided."""
DECIDED = ("AllConfirmed", "MisClassified", "Discovered")
DAYS = 35
"""So many days with annotations, the latest, are counted."""


class Measures(TypedDict):
    """How a project stands at a run.

    Attributes
    ----------
    reports : dict of str to int
        Classifications in each report.
    agreement : dict of str to (float or None)
        Krippendorff's alpha of each control; None where no two people answered the same question.
    days : dict of str to int
        Annotations by the day (UTC) on which they were last changed.
    tasks_open : int
        Tasks of which nothing is decided, or something is not.
    """

    reports: dict[str, int]
    agreement: dict[str, float | None]
    days: dict[str, int]
    tasks_open: int


def measured(
    collected: Sequence[Collected],
    answers: Sequence[Answers],
    classifications: Columns,
    reports: Mapping[str, int],
    tasks: Sequence[int],
) -> Measures:
    """Measure a project.

    Parameters
    ----------
    answers : sequence of Answers
        Of the votes of each control.
    classifications : dict of str to (n,) array
        `task` and `report` of all controls.
    tasks : sequence of int
        All of the project.
    """
    task, report = classifications["task"], classifications["report"].astype(str)
    decided = np.setdiff1d(task[np.isin(report, DECIDED)], task[np.isin(report, OPEN)])
    agreement = {
        each.control.tag.name: krippendorff_alpha(own) for each, own in zip(collected, answers, strict=True)
    }
    return {
        "reports": dict(reports),
        "agreement": {name: None if np.isnan(alpha) else round(alpha, 6) for name, alpha in agreement.items()},
        "days": _days(collected),
        "tasks_open": len(np.setdiff1d(np.array(tasks, dtype=np.int64), decided)),
    }


def _days(collected: Sequence[Collected]) -> dict[str, int]:
    changed: dict[int, str] = {}
    for each in collected:
        changed |= zip(each.submissions.annotation.tolist(), each.submissions.voted_at.tolist(), strict=True)
    counts = Counter(moment[:10] for moment in changed.values())
    return {day: counts[day] for day in sorted(counts)[-DAYS:]}
