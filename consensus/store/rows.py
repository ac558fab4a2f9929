"""What a run found, as rows and columns of the store's tables."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict

import numpy as np
from sqlalchemy import Table

from common.label_studio.annotations import moment_of
from consensus.core.arrays import Keys, Names
from consensus.core.decide.scoring import Scored
from consensus.core.people.answers import Answers
from consensus.core.people.gold_answers import gold_answers
from consensus.core.people.suspicion import assess
from consensus.core.votes.collected import Collected
from consensus.core.votes.votes import STANDS, encode
from consensus.files.start_files import packed
from consensus.store.columns import Columns, Row, as_columns
from consensus.store.tables import CLASSIFICATION, VOTE
from consensus.store.vote_history import Coverage

STAND_WORDS = np.array(
    [word for _, word in sorted((stand % 3, word) for word, stand in STANDS.items())], dtype=object
)
"""Word of each stand: unsure (0), yes (1) and no (-1, the last)."""

_IN_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z").fullmatch


def annotator_rows(collected: Collected, scored: Scored) -> Iterator[Row]:
    """Yield the trust of each annotator of a control."""
    for position, name in enumerate(collected.votes.annotator_names):
        yield {
            "control": collected.control.tag.name,
            "annotator": str(name),
            "votes": int(scored.votes_by_annotator[position]),
            "trust": float(scored.trust[position]),
        }


def assessment_rows(collected: Collected, scored: Scored, answers: Answers) -> Iterator[Row]:
    """Yield the same, with what makes an annotator suspicious: what the store keeps of each run."""
    votes, submissions = collected.votes, collected.submissions
    _, first = np.unique(submissions.annotation, return_index=True)
    times = moments(submissions.voted_at.tolist())
    assessment = assess(votes, answers, scored.trust, votes.annotator[first], submissions.lead_time[first], times)
    bounds = zip(scored.trust_low.tolist(), scored.trust_high.tolist(), strict=True)
    intervals = ({"trust_low": _number(low), "trust_high": _number(high)} for low, high in bounds)
    counts = zip(*(column.tolist() for column in gold_answers(votes, collected.gold)), strict=True)
    on_gold = ({"gold_answered": answered, "gold_right": right} for answered, right in counts)
    rows = annotator_rows(collected, scored)
    for row, interval, suspicions, gold in zip(rows, intervals, assessment.suspicions, on_gold, strict=True):
        yield {**row, **interval, **gold, "suspicions": [asdict(suspicion) for suspicion in suspicions]}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def moments(times: Sequence[str]) -> Keys:
    """Turn times (ISO 8601, in UTC where they name no offset) into numbers that order like them."""
    if all(map(_IN_UTC, times)):
        with suppress(ValueError):  # of a month 13
            return np.array([time[:-1] for time in times], dtype="datetime64[us]").astype(np.int64)
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


def coverage_of(
    pairs: Sequence[tuple[Collected, Scored]], tasks: Iterable[int], ground_truths: Iterable[int]
) -> Coverage:
    """Say what a run looked at, so that a vote that is missing can be told from one that could not be seen.

    Parameters
    ----------
    ground_truths : iterable of int
        Annotations.
    """
    return Coverage(
        tasks=frozenset(tasks),
        controls=frozenset(collected.control.tag.name for collected, _ in pairs),
        unreadable=frozenset(
            (collected.control.tag.name, problem.task) for collected, _ in pairs for problem in collected.problems
        ),
        gold=frozenset(ground_truths),
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


def vote_columns(pairs: Sequence[tuple[Collected, Scored]]) -> Columns:
    """Return all votes of a project, in columns."""
    return _joined(VOTE, [_votes(collected) for collected, _ in pairs])


def _votes(collected: Collected) -> Columns:
    votes, submissions = collected.votes, collected.submissions
    names = np.append(votes.label_names, "")  # the last one, at -1, is where none was chosen
    return {
        "control": _repeated(collected.control.tag.name, len(votes)),
        "task": votes.task_names.astype(np.int64)[votes.task],
        "annotator": votes.annotator_names[votes.annotator],
        "label": np.asarray(names, dtype=object)[votes.label],
        "vote": STAND_WORDS[votes.vote.astype(np.int64)],
        "annotation": submissions.annotation,
        "voted_at": submissions.voted_at,
        "lead_time": submissions.lead_time,
        "from_prediction": submissions.from_prediction,
        "accepted": submissions.accepted,
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
