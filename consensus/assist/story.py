"""The whole story of a task: who voted what when, what each run made of it, what was decided and taken back."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from common.label_studio.annotations import moment_of
from consensus.store.columns import Row
from consensus.store.store import Store

WORDS = {"yes": "says yes to", "no": "says no to", "unsure": "is unsure of"}
VERDICTS = {
    "accepted": "accepts",
    "confirmed": "confirms",
    "corrected": "corrects it to",
    "rejected": "rejects",
    "unusable": "finds no label to be told",
    "asked": "asks for one more vote",
    "undone": "takes back",
}


def story_of(store: Store, project: int, task: int) -> list[Row]:
    """Return what is stored of a task, the oldest first; not of labels that nobody has named.

    Returns
    -------
    list of dict
        `at` (ISO 8601, UTC), `kind` (vote, run, decision, queue), `control`, `words`, and `row`, what is stored.
    """
    with store.snapshot() as snapshot:
        runs = snapshot.run_times(project)
        events = [
            *(event for row in snapshot.task_votes(project, task) for event in _vote(row, runs)),
            *(event for row in snapshot.task_classifications(project, task) for event in _version(row, runs)),
            *(_decision(row) for row in snapshot.decisions.decisions(project, task=task)),
            *(event for row in snapshot.decisions.entries(project, task) for event in _entry(row)),
        ]
    plain = [{**event, "row": {name: _plain(value) for name, value in event["row"].items()}} for event in events]
    return sorted(plain, key=lambda event: moment_of(event["at"]))


def _vote(row: Row, runs: Mapping[int, datetime]) -> Iterator[Row]:
    label = repr(row["label"]) if row["label"] else "any label"
    words = f"{row['annotator']} {WORDS[row['vote']]} {label}"
    yield {"at": _utc(row["voted_at"]), "kind": "vote", "control": row["control"], "words": words, "row": row}
    until = row["until"]
    if until is not None and until in runs:
        words = f"{row['annotator']} has changed or withdrawn the vote on {label}"
        yield {"at": _utc(runs[until]), "kind": "vote", "control": row["control"], "words": words, "row": row}


def _version(row: Row, runs: Mapping[int, datetime]) -> Iterator[Row]:
    is_told = row["given"] or row["yes"] or row["report"]  # of the others there is nothing to tell
    if row["since"] not in runs or not is_told:
        return
    given = ", the given label" if row["given"] else ""
    words = (
        f"run {row['since']}: {row['label']!r}{given} is in {row['report'] or 'no report'} "
        f"({row['yes']} yes, {row['no']} no, {row['unsure']} unsure; posterior {row['posterior']:.3f}, "
        f"confidence {row['confidence']:.3f})"
    )
    yield {"at": _utc(runs[row["since"]]), "kind": "run", "control": row["control"], "words": words, "row": row}


def _decision(row: Row) -> Row:
    label = repr(row["label"]) if row["label"] else ""
    version = f" of {row['model_version']}" if row["model_version"] else ""
    score = "" if row["score"] is None else f", score {row['score']:.3f}"
    batch = f", batch {row['batch']}" if row["batch"] else ""
    reason = f": {row['reason']}" if row["reason"] else ""
    words = f"{row['decided_by']} {VERDICTS[row['verdict']]} {label}".rstrip()
    words += f" ({row['source']}{version}{score}{batch}){reason}"
    return {"at": _utc(row["at"]), "kind": "decision", "control": row["control"], "words": words, "row": row}


def _entry(row: Row) -> Iterator[Row]:
    place = {"kind": "queue", "control": row["control"], "row": row}
    yield {"at": _utc(row["entered_at"]), "words": f"waits in the queue {row['queue']!r}", **place}
    if row["closed_at"] is not None:
        words = f"leaves the queue {row['queue']!r}: {row['closed_because']}"
        yield {"at": _utc(row["closed_at"]), "words": words, **place}


def _utc(value: Any) -> str:  # noqa: ANN401 - a moment or its text
    moment = value if isinstance(value, datetime) else moment_of(str(value))
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds")


def _plain(value: object) -> object:
    return _utc(value) if isinstance(value, datetime) else value
