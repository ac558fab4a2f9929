"""Rows of reports as people read them: with what is proposed, and who voted what with which trust."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.tables import CLASSIFICATION, VOTE

PLACE = ("report", "confidence", "posterior", "task", "control", "label")
"""What names a row in the order of its report."""


def rows_behind(
    snapshot: Snapshot,
    project: int,
    report: str,
    *,
    control: str | None,
    label: str | None,
    min_confidence: float | None,
) -> Callable[[Row | None, int], list[Row]]:
    """Return what reads a report a page at a time."""

    def behind(after: Row | None, limit: int) -> list[Row]:
        return snapshot.page(
            project, report, control=control, label=label, min_confidence=min_confidence, after=after, limit=limit
        )

    return behind


def described(snapshot: Snapshot, project: int, rows: Sequence[Row]) -> list[Row]:
    """Add to each row `proposed`, `proposed_posterior` and `votes`.

    `votes` are the annotators' answers on the task and control, with the trust of the last run.
    """
    run = int(snapshot.needed_run(project)["id"])
    there = snapshot.of_tasks(VOTE, project, {row["task"] for row in rows})
    course = snapshot.pages.trust_course([run], {row["annotator"] for row in there})
    trusts = {(row["control"], row["annotator"]): row["trust"] for row in course}
    votes = defaultdict[tuple[int, str], list[Row]](list)
    for row in there:
        trust = trusts.get((row["control"], row["annotator"]))
        votes[row["task"], row["control"]].append({**row, "trust": trust})
    return [{**row, "votes": votes[row["task"], row["control"]]} for row in proposed(snapshot, project, rows)]


def proposed(snapshot: Snapshot, project: int, rows: Sequence[Row]) -> list[Row]:
    """Add to each row `proposed`, the most probable other label where it is more probable, and its posterior."""
    rivals = defaultdict[tuple[int, str], list[Row]](list)
    for row in snapshot.of_tasks(CLASSIFICATION, project, {row["task"] for row in rows}):
        rivals[row["task"], row["control"]].append(row)
    singles = {row["control"] for row in snapshot.controls(project) if row["choice"] == "single"}
    return [
        {**row, **_proposal(row, rivals[place] if place[1] in singles else [])}
        for row in rows
        for place in [(row["task"], row["control"])]
    ]


def _proposal(row: Row, rivals: Sequence[Row]) -> Row:
    others = [rival for rival in rivals if rival["label"] != row["label"]]
    best = max(others, key=lambda rival: rival["posterior"], default=None)
    better = best is not None and best["posterior"] > row["posterior"]
    return {
        "proposed": best["label"] if best and better else None,
        "proposed_posterior": best["posterior"] if best and better else None,
    }
