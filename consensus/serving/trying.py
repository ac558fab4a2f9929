"""What rules of auto-annotation would do now: counted in the background, and nothing is written."""

from typing import Any

import numpy as np

from consensus.assist.auto import AutoOutcome, auto
from consensus.assist.auto_rules import AutoFile
from consensus.assist.suggestions import Suggested
from consensus.core.assist.expected import Expectation, expectation
from consensus.serving import acts
from consensus.serving.background import Job
from consensus.serving.service import Service
from consensus.store.columns import Row


def try_rules(here: Service, project: int, rules: AutoFile, by: str) -> Job:
    """Look what rules would do.

    The job's result has the `rules`, and `labels`: of each control and label how many are in each band, their
    `scores`, and what is `expected` of those that would be accepted.
    """

    def look() -> dict[str, Any]:
        with here.alone("another reading of suggestions", patience_s=-1), here.studio() as studio:
            outcome = auto(studio, here.store, here.config(project), rules, project, acts.now, dry_run=True)
            read = None if rules.source == "consensus" else acts.read_now(here, studio, project, rules.version)
        return {
            "rules": rules.model_dump(),
            "version": outcome.version,
            "accepted": len(outcome.accepted),
            "pending": len(outcome.pending),
            "labels": label_rows(outcome, rules, read),
        }

    return here.readings.submit(project, "try rules", by, look)


def label_rows(outcome: AutoOutcome, rules: AutoFile, read: Suggested | None) -> list[Row]:
    """Lay out what would become of each label, the most frequent first."""
    scores: dict[tuple[str, str], list[float]] = {}
    for item in outcome.accepted:
        scores.setdefault((item["control"], " + ".join(item["labels"])), []).append(item["evidence"]["score"])
    for entry in outcome.pending:
        scores.setdefault((entry["control"], entry["detail"]["label"]), []).append(entry["detail"]["score"])
    rows = [
        {
            "control": control,
            "label": label,
            **{band: counts[band] for band in ("accept", "between", "below")},
            "scores": scores.get((control, label), []),
            "expected": _expected(read, rules, control, label),
        }
        for (control, label), counts in outcome.bands.items()
    ]
    return sorted(rows, key=lambda row: (-row["accept"] - row["between"] - row["below"], row["control"]))


def _expected(read: Suggested | None, rules: AutoFile, control: str, label: str) -> Expectation | None:
    """Return what is known of the suggestions of one label that the rules accept."""
    number = None if read is None else read.groups.get((control, (label,)))
    if read is None or number is None:
        return None
    judged = read.judged
    above = rules.lines(label).accept_above
    return expectation(judged.where(np.logical_and(judged.group == number, judged.score > above)))
