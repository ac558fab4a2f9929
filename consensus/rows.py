"""What a run found, as rows of the store's tables."""

from collections.abc import Iterator, Sequence

from consensus.core.annotations import Collected, Task
from consensus.core.scoring import Scored
from consensus.core.votes import NO_LABEL, STANDS
from consensus.store import Row

WORDS = {int(stand): word for word, stand in STANDS.items()}


def annotator_rows(collected: Collected, scored: Scored) -> Iterator[Row]:
    """Yield the trust of each annotator of a control."""
    for position, name in enumerate(collected.votes.annotator_names):
        yield {
            "control": collected.control.tag.name,
            "annotator": str(name),
            "votes": int(scored.votes_by_annotator[position]),
            "trust": float(scored.trust[position]),
        }


def classification_rows(pairs: Sequence[tuple[Collected, Scored]]) -> list[Row]:
    """List all classifications of a project."""
    return [
        {
            "control": collected.control.tag.name,
            "task": int(collected.votes.task_names[rows.task[row]]),
            "label": str(collected.votes.label_names[rows.label[row]]),
            "given": bool(rows.given[row]),
            "yes": int(scored.counts.yes[row]),
            "no": int(scored.counts.no[row]),
            "unsure": int(scored.counts.unsure[row]),
            "confidence": float(scored.confidence[row]),
            "posterior": float(scored.posterior[row]),
            "report": str(scored.report[row]),
        }
        for collected, scored in pairs
        for rows in [scored.classifications]
        for row in range(len(rows))
    ]


def vote_rows(pairs: Sequence[tuple[Collected, Scored]], tasks: Sequence[Task]) -> list[Row]:
    """List all votes of a project."""
    annotations = {one.id: one for task in tasks for one in task.annotations}
    return [
        {
            "control": collected.control.tag.name,
            "task": int(votes.task_names[votes.task[row]]),
            "annotator": str(votes.annotator_names[votes.annotator[row]]),
            "label": "" if votes.label[row] == NO_LABEL else str(votes.label_names[votes.label[row]]),
            "vote": WORDS[int(votes.vote[row])],
            "annotation": annotation.id,
            "voted_at": annotation.updated_at,
            "lead_time": annotation.lead_time,
            "from_prediction": annotation.from_prediction,
        }
        for collected, _ in pairs
        for votes in [collected.votes]
        for row in range(len(votes))
        for annotation in [annotations[int(collected.annotations[row])]]
    ]
