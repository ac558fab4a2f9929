"""What a run found, as rows of the store's tables."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from stored_rows import report_in, votes_in

from common.label_studio.label_config import ChoicesTag
from consensus.core.decide.scoring import Scored, score
from consensus.core.votes.collected import Collected, collect
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Annotation, Task
from consensus.store.columns import as_rows
from consensus.store.rows import annotator_rows, classification_columns, vote_columns
from consensus.store.store import Store

KIND = Control(ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog")), "choices", given="given")
TRAITS = Control(ChoicesTag("traits", "image", multiple=True, labels=("fur", "wings")), "choices")
TIME = "2026-01-01T00:00:00Z"


def annotation(number: int, who: str, kind: str | None, *traits: str) -> Annotation:
    """An annotation on both controls; without a kind it is skipped."""
    result = [
        {"from_name": "kind", "value": {"choices": [kind]}},
        {"from_name": "traits", "value": {"choices": list(traits)}},
    ]
    from_prediction = 50 if number == 1 else None
    return Annotation(number, who, TIME, kind is None, False, result if kind else [], number / 2, from_prediction)  # noqa: FBT003


TASKS = [
    Task(3, {"given": "cat"}, [annotation(1, "a1", "cat", "fur", "wings"), annotation(2, "a2", "dog")]),
    Task(4, {"given": "dog"}, [annotation(5, "a1", None)]),
]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Collected, Scored]]:
    """Both controls, collected and scored."""
    collected = [collect(TASKS, control) for control in (KIND, TRAITS)]
    return [(one, score(one.votes, one.listed, one.gold, np.full(2, np.nan))) for one in collected]


def test_annotators_have_the_votes_and_trust_of_a_control(pairs: list[tuple[Collected, Scored]]) -> None:
    """A row per annotator who has a vote on the control."""
    collected, scored = pairs[0]
    assert list(annotator_rows(collected, scored)) == [
        {"control": "kind", "annotator": "a1", "votes": 2, "trust": float(scored.trust[0])},
        {"control": "kind", "annotator": "a2", "votes": 1, "trust": float(scored.trust[1])},
    ]


def test_classifications_have_names_and_counts(pairs: list[tuple[Collected, Scored]]) -> None:
    """Codes are names again; the counts are the hand-counted ones, a skip is unsure of each label."""
    rows = as_rows(classification_columns(pairs))
    found = {
        (row["control"], row["task"], row["label"]): (row["given"], row["yes"], row["no"], row["unsure"])
        for row in rows
    }
    expected = {
        ("kind", 3, "cat"): (True, 1, 1, 0), ("kind", 3, "dog"): (False, 1, 1, 0),
        ("kind", 4, "dog"): (True, 0, 0, 1), ("traits", 3, "fur"): (False, 1, 1, 0),
        ("traits", 3, "wings"): (False, 1, 1, 0),
    }  # fmt: skip
    assert found.items() >= expected.items()
    scores = [(row["confidence"], row["posterior"], row["report"]) for row in rows]
    assert scores == [
        (scored.confidence[row], scored.posterior[row], scored.report[row])
        for _, scored in pairs
        for row in range(len(scored.report))
    ]


def test_votes_know_their_annotation(pairs: list[tuple[Collected, Scored]]) -> None:
    """A row per label that was spoken of; where none was, its name is empty."""
    first = {
        "voted_at": TIME,
        "annotation": 1,
        "lead_time": 0.5,
        "from_prediction": 50,
        "accepted": None,
        "task": 3,
        "annotator": "a1",
    }
    second = first | {"annotation": 2, "lead_time": 1.0, "from_prediction": None, "annotator": "a2"}
    skipped = first | {"annotation": 5, "lead_time": 2.5, "from_prediction": None, "task": 4}
    assert as_rows(vote_columns(pairs)) == [
        {**first, "control": "kind", "label": "cat", "vote": "yes"},
        {**second, "control": "kind", "label": "dog", "vote": "yes"},
        {**skipped, "control": "kind", "label": "", "vote": "unsure"},
        {**first, "control": "traits", "label": "fur", "vote": "yes"},
        {**first, "control": "traits", "label": "wings", "vote": "yes"},
        {**second, "control": "traits", "label": "", "vote": "no"},
        {**skipped, "control": "traits", "label": "", "vote": "unsure"},
    ]


def test_the_store_takes_the_rows_and_gives_them_back(
    pairs: list[tuple[Collected, Scored]], tmp_path: Path
) -> None:
    """Their columns are those of the tables."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    facts = {
        "project": 7,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "model_version": "",
        "policy": "default",
    }
    counts = {"thresholds": {}, "tasks": 2, "votes": 7, "problems": 0}
    annotators = [row for pair in pairs for row in annotator_rows(*pair)]
    run = store.save({**facts, **counts}, classification_columns(pairs), vote_columns(pairs), annotators)
    assert len(store.annotators(run)) == 4
    assert len(votes_in(store, 7)) == 7
    stored = [
        row
        for name in {row["report"] for row in as_rows(classification_columns(pairs))}
        for row in report_in(store, 7, name)
    ]
    assert sorted(stored, key=str) == sorted(as_rows(classification_columns(pairs)), key=str)
