"""What Label Studio should hold of a run: each classification of a report as a prediction, and why in words."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from common.contract import UNDECIDED, Accusation
from consensus.core.decide.proposals import EVEN, Proposal, proposals
from consensus.core.decide.scoring import Scored
from consensus.core.decide.writeback import Entry
from consensus.core.votes.collected import Collected

VERDICTS = {"AllConfirmed": "yes", "Discovered": "yes", "MisClassified": "no", "Controversial": "unsure"}
"""What a report says on a verification control."""
DOUBTED = ("MisClassified", UNDECIDED)
"""Reports that show what the votes prefer to the label that they are about."""
EXPLAINED = (*DOUBTED, "Controversial")
"""Reports that say why, in words."""


def entries(collected: Collected, scored: Scored) -> Iterator[Entry]:
    """Yield what Label Studio should hold of one control: one entry per classification in a report."""
    proposed = _proposed(collected, scored)
    settled = frozenset(collected.settled.task.tolist())
    for row in np.flatnonzero(scored.report != "").tolist():
        report = str(scored.report[row])
        proposal = proposed.get(row)
        shown = _shown(collected, scored, row, report, proposal)
        task = int(scored.classifications.task[row])
        explained = report in EXPLAINED and shown["control"]
        why = _why(collected, scored, row, proposal, decided=task in settled) if explained else ()
        name = int(collected.votes.task_names[task])
        yield Entry(task=name, report=report, kind=collected.control.kind, why=why, **shown)


def _proposed(collected: Collected, scored: Scored) -> dict[int, Proposal]:
    """Return what may be right in the place of each label that is called wrong or doubted, by row."""
    if collected.control.kind == "verification":
        return {}
    rows, doubted = scored.classifications, np.flatnonzero(np.isin(scored.report, DOUBTED))
    one_of_many = collected.votes.choice == "single"
    listed = proposals(rows.task, rows.label, scored.posterior, doubted, one_of_many=one_of_many)
    return {
        row: proposal
        for row, proposal in zip(doubted.tolist(), listed, strict=True)
        if scored.report[row] != UNDECIDED or _is_behind(scored.posterior[row], proposal, one_of_many=one_of_many)
    }


def _is_behind(posterior: float, proposal: Proposal, *, one_of_many: bool) -> bool:
    """Whether a label is not the likeliest of a single choice, or more likely wrong than right."""
    return posterior < proposal.posterior if one_of_many else posterior <= EVEN


def _shown(
    collected: Collected, scored: Scored, row: int, report: str, proposal: Proposal | None
) -> dict[str, Any]:
    """Return the choices of an entry, the confidence that they are right, and which label is wrong."""
    control, name, confidence = collected.control, collected.control.tag.name, float(scored.confidence[row])
    label = _label(collected, scored, row)
    accusation = Accusation(label, round(confidence, 6)) if report in DOUBTED else None
    if control.kind == "verification":
        verdict = VERDICTS.get(report)
        choice = next((answer for answer, says in control.answers.items() if says == verdict), "")
        score = 1 - float(scored.upper[row]) if accusation else confidence
        return {
            "control": name if choice else "", "choice": choice, "score": round(score, 6),
            "accusation": accusation if choice else None,
        }  # fmt: skip
    if proposal is None:
        return {"control": name, "choice": label, "score": round(confidence, 6)}
    first, *others = [_label(collected, scored, other) for other in proposal.rows] or [""]
    score = min((float(scored.confidence[other]) for other in proposal.rows), default=0.0)
    shown = {"control": name, "choice": first, "others": tuple(others), "score": round(score, 6)}
    return {**shown, "accusation": accusation}


def _why(
    collected: Collected, scored: Scored, row: int, proposal: Proposal | None, *, decided: bool
) -> tuple[str, ...]:
    """Say what the votes on a classification are, and what they weigh.

    The first sentence changes with the votes alone, so that not every new vote on some task rewrites all others.
    """
    label, counts = _label(collected, scored, row), scored.counts
    answered = int(counts.yes[row] + counts.no[row])
    given = "given " if scored.classifications.given[row] else ""
    if decided:
        return (f"{given}{label}: somebody has decided",)
    named = [(other, _label(collected, scored, other)) for other in (*(proposal.rows if proposal else ()), row)]
    votes = [f"{int(counts.yes[other])} say {name}" for other, name in named]
    if collected.control.kind == "verification":
        votes = [f"{int(counts.no[row])} say no"]
    weights = [f"{name} {scored.posterior[other]:.2f}" for other, name in named]
    return (
        f"{given}{label}; of {answered} votes {', '.join(votes)}",
        f"weighted by trust: {', '.join(weights)}",
    )


def _label(collected: Collected, scored: Scored, row: int) -> str:
    return str(collected.votes.label_names[scored.classifications.label[row]])
