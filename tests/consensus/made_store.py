"""A store made by hand: two controls, three annotators, and every report."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from consensus.core.decide.policies import POLICIES
from consensus.store.columns import Row, as_columns
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION, VOTE

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
REPORTS = ["AllConfirmed", "MisClassified", "Discovered", "Controversial", "NoVotes", ""]


def classification(task: int, label: str, report: str, control: str = "kind", confidence: float = 0.5) -> Row:
    """A classification with one vote."""
    counts = {"given": report in ("AllConfirmed", "MisClassified"), "yes": 1, "no": 0, "unsure": 0}
    posterior = {"MisClassified": 0.05, "Controversial": 0.5}.get(report, 0.9)
    scores = {"confidence": confidence, "upper": 0.9375, "posterior": posterior, "report": report}
    return {"control": control, "task": task, "label": label, **counts, **scores, "model_share": None}


def vote(task: int, annotator: str = "a1@example.com", label: str = "cat", control: str = "kind") -> Row:
    """A vote."""
    stand = {"control": control, "task": task, "annotator": annotator, "label": label, "vote": "yes"}
    origin = {"annotation": task, "voted_at": "2026-01-01T00:00:00Z", "lead_time": None, "from_prediction": None}
    return {**stand, **origin, "accepted": None}


def control(name: str, labels: Sequence[str]) -> Row:
    """A control with a single choice."""
    return {"control": name, "kind": "choices", "choice": "single", "labels": list(labels), "learned": None}


def annotator(name: str, trust: float = 0.8, where: str = "kind") -> Row:
    """An annotator."""
    suspicions = [{"kind": "speed", "p_value": 0.001, "reason": "answers in a second"}] if trust < 0.5 else []
    return {"control": where, "annotator": name, "votes": 2, "trust": trust, "suspicions": suspicions}


def save(store: Store, classifications: Sequence[Row], votes: Sequence[Row], project: int = 7) -> int:
    """Save a run with two controls, `kind` and `colour`, and the annotators of the votes."""
    run = {
        "project": project,
        "started_at": MOMENT,
        "model_version": "m1",
        "policy": "default",
        "thresholds": asdict(POLICIES["default"].thresholds),
        "tasks": len({row["task"] for row in classifications}),
        "votes": len(votes),
        "problems": 0,
    }
    names = sorted({(row["annotator"], row["control"]) for row in votes})
    return store.save(
        run,
        as_columns(CLASSIFICATION, classifications),
        as_columns(VOTE, votes),
        [annotator(name, 0.25 if name.startswith("bad") else 0.75, where) for name, where in names],
        [control("kind", ["cat", "dog"]), control("colour", ["red", "cat"])],
    )


def filled(url: str, tasks: int = 12) -> Store:
    """Return a store with one run of project 7: task 1 is in the first report, task 2 in the second, and so on."""
    store = Store.migrated(url)
    rows = [
        classification(task, "cat", REPORTS[(task - 1) % len(REPORTS)], confidence=task / (2 * tasks))
        for task in range(1, tasks + 1)
    ]
    rows.append(classification(1, "red", "Discovered", "colour"))
    votes = [vote(task, name) for task in range(1, tasks + 1) for name in ("a1@example.com", "bad@example.com")]
    save(store, rows, [*votes, vote(1, label="red", control="colour")])
    return store
