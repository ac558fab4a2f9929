"""What a run found, as rows of the store's tables."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import numpy as np

from consensus.core.arrays import Keys
from consensus.core.decide.scoring import Scored
from consensus.core.people.suspicion import judge
from consensus.core.votes.accepted_suggestions import accepted
from consensus.core.votes.from_annotations import Collected, Task, moment_of
from consensus.core.votes.votes import NO_LABEL, STANDS, encode
from consensus.files.start_files import packed
from consensus.store.reader import Row
from consensus.store.vote_history import Seen

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


def judged_rows(collected: Collected, scored: Scored, tasks: Sequence[Task]) -> Iterator[Row]:
    """Yield the same, with what makes an annotator suspicious: what the store keeps of each run."""
    annotations = {one.id: one for task in tasks for one in task.annotations}
    votes = collected.votes
    times = moments(annotations[number].updated_at for number in collected.annotations.tolist())
    numbers, first = np.unique(collected.annotations, return_index=True)
    lead_times = [annotations[number].lead_time for number in numbers.tolist()]
    seconds = np.array([np.nan if time is None else time for time in lead_times], dtype=np.float64)
    judged = judge(votes, scored.trust, votes.annotator[first], seconds, times)
    bounds = zip(scored.trust_low.tolist(), scored.trust_high.tolist(), strict=True)
    intervals = ({"trust_low": _number(low), "trust_high": _number(high)} for low, high in bounds)
    rows = annotator_rows(collected, scored)
    for row, interval, suspicions in zip(rows, intervals, judged.suspicions, strict=True):
        yield {**row, **interval, "suspicions": [asdict(one) for one in suspicions]}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def moments(times: Iterable[str]) -> Keys:
    """Turn times (ISO 8601, UTC) into numbers that order like them."""
    codes, names = encode(list(times))
    rank = np.empty(len(names), dtype=np.int64)
    rank[sorted(range(len(names)), key=lambda code: moment_of(str(names[code])))] = np.arange(len(names))
    return rank[codes]


def control_rows(pairs: Sequence[tuple[Collected, Scored]]) -> list[Row]:
    """List the controls of a project."""
    return [
        {
            "control": collected.control.tag.name,
            "choice": collected.votes.choice,
            "labels": [str(name) for name in collected.votes.label_names],
            "learned": packed(scored.start),
        }
        for collected, scored in pairs
    ]


def seen_in(pairs: Sequence[tuple[Collected, Scored]], tasks: Sequence[Task]) -> Seen:
    """Say what a run looked at, so that a vote that is missing can be told from one that could not be seen."""
    return Seen(
        tasks=frozenset(task.id for task in tasks),
        controls=frozenset(collected.control.tag.name for collected, _ in pairs),
        unreadable=frozenset(
            (collected.control.tag.name, problem.task) for collected, _ in pairs for problem in collected.problems
        ),
        gold=frozenset(one.id for task in tasks for one in task.annotations if one.ground_truth),
    )


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
            "model_share": float(scored.model_share[row]) if heard else None,
        }
        for collected, scored in pairs
        for rows, heard in [(scored.classifications, bool(scored.model_share.any()))]
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
            "accepted": accepted(annotation, collected.control.tag.name),
        }
        for collected, _ in pairs
        for votes in [collected.votes]
        for row in range(len(votes))
        for annotation in [annotations[int(collected.annotations[row])]]
    ]
