"""What a run found, as rows and columns of the store's tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table

from common.label_studio.annotations import moment_of
from consensus.core.arrays import Keys, Names
from consensus.core.decide.scoring import Scored
from consensus.core.people.suspicion import assess
from consensus.core.votes.accepted_suggestions import accepted
from consensus.core.votes.from_annotations import Annotation, Collected, Task
from consensus.core.votes.votes import STANDS, encode
from consensus.files.start_files import packed
from consensus.store.columns import Columns, Row, as_columns
from consensus.store.tables import CLASSIFICATION, VOTE
from consensus.store.vote_history import Coverage

STAND_WORDS = np.array(
    [word for _, word in sorted((stand % 3, word) for word, stand in STANDS.items())], dtype=object
)
"""Word of each stand: unsure (0), yes (1) and no (-1, the last)."""


def annotator_rows(collected: Collected, scored: Scored) -> Iterator[Row]:
    """Yield the trust of each annotator of a control."""
    for position, name in enumerate(collected.votes.annotator_names):
        yield {
            "control": collected.control.tag.name,
            "annotator": str(name),
            "votes": int(scored.votes_by_annotator[position]),
            "trust": float(scored.trust[position]),
        }


def assessment_rows(collected: Collected, scored: Scored, tasks: Sequence[Task]) -> Iterator[Row]:
    """Yield the same, with what makes an annotator suspicious: what the store keeps of each run."""
    annotations = {annotation.id: annotation for task in tasks for annotation in task.annotations}
    votes = collected.votes
    times = moments(annotations[number].updated_at for number in collected.annotations.tolist())
    numbers, first = np.unique(collected.annotations, return_index=True)
    lead_times = [annotations[number].lead_time for number in numbers.tolist()]
    seconds = np.array([np.nan if time is None else time for time in lead_times], dtype=np.float64)
    assessment = assess(votes, scored.trust, votes.annotator[first], seconds, times)
    bounds = zip(scored.trust_low.tolist(), scored.trust_high.tolist(), strict=True)
    intervals = ({"trust_low": _number(low), "trust_high": _number(high)} for low, high in bounds)
    rows = annotator_rows(collected, scored)
    for row, interval, suspicions in zip(rows, intervals, assessment.suspicions, strict=True):
        yield {**row, **interval, "suspicions": [asdict(suspicion) for suspicion in suspicions]}


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
            "kind": collected.control.kind,
            "choice": collected.votes.choice,
            "labels": [str(name) for name in collected.votes.label_names],
            "learned": packed(scored.start),
        }
        for collected, scored in pairs
    ]


def coverage_of(pairs: Sequence[tuple[Collected, Scored]], tasks: Sequence[Task]) -> Coverage:
    """Say what a run looked at, so that a vote that is missing can be told from one that could not be seen."""
    return Coverage(
        tasks=frozenset(task.id for task in tasks),
        controls=frozenset(collected.control.tag.name for collected, _ in pairs),
        unreadable=frozenset(
            (collected.control.tag.name, problem.task) for collected, _ in pairs for problem in collected.problems
        ),
        gold=frozenset(
            annotation.id for task in tasks for annotation in task.annotations if annotation.ground_truth
        ),
    )


def classification_columns(pairs: Sequence[tuple[Collected, Scored]]) -> Columns:
    """Return all classifications of a project, in columns."""
    return _joined(CLASSIFICATION, [_classifications(collected, scored) for collected, scored in pairs])


def _classifications(collected: Collected, scored: Scored) -> Columns:
    votes, rows, size = collected.votes, scored.classifications, len(scored.classifications)
    of_model = scored.model_share if scored.model_share.any() else np.full(size, np.nan)
    return {
        "control": _repeated(collected.control.tag.name, size),
        "task": votes.task_names.astype(np.int64)[rows.task],
        "label": votes.label_names[rows.label],
        "given": rows.given,
        "yes": scored.counts.yes.astype(np.int64),
        "no": scored.counts.no.astype(np.int64),
        "unsure": scored.counts.unsure.astype(np.int64),
        "confidence": scored.confidence,
        "upper": scored.upper,
        "posterior": scored.posterior,
        "report": scored.report,
        "model_share": of_model,
    }


def vote_columns(pairs: Sequence[tuple[Collected, Scored]], tasks: Sequence[Task]) -> Columns:
    """Return all votes of a project, in columns."""
    annotations = {annotation.id: annotation for task in tasks for annotation in task.annotations}
    return _joined(VOTE, [_votes(collected, annotations) for collected, _ in pairs])


def _votes(collected: Collected, annotations: Mapping[int, Annotation]) -> Columns:
    votes = collected.votes
    numbers, of_row = np.unique(collected.annotations, return_inverse=True)
    behind = [annotations[number] for number in numbers.tolist()]
    names = np.append(votes.label_names, "")  # the last one, at -1, is where none was chosen
    return {
        "control": _repeated(collected.control.tag.name, len(votes)),
        "task": votes.task_names.astype(np.int64)[votes.task],
        "annotator": votes.annotator_names[votes.annotator],
        "label": np.asarray(names, dtype=object)[votes.label],
        "vote": STAND_WORDS[votes.vote.astype(np.int64)],
        "annotation": collected.annotations,
        "voted_at": _objects(annotation.updated_at for annotation in behind)[of_row],
        "lead_time": _objects(annotation.lead_time for annotation in behind).astype(np.float64)[of_row],
        "from_prediction": _objects(annotation.from_prediction for annotation in behind)[of_row],
        "accepted": _objects(accepted(annotation, collected.control) for annotation in behind)[of_row],
    }


def _joined(table: Table, blocks: Sequence[Columns]) -> Columns:
    return {
        name: np.concatenate([empty, *(block[name] for block in blocks)])
        for name, empty in as_columns(table, []).items()
    }


def _repeated(name: str, size: int) -> Names:
    column = np.empty(size, dtype=object)
    column[:] = name
    return column


def _objects(values: Iterable[object]) -> NDArray[np.object_]:
    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    column[:] = listed
    return column
