"""What is known of all annotators together, counted by hand."""

from pathlib import Path

import pytest
from made_store import classification, save, vote

from consensus.people.annotator_report import agreements, annotator_report
from consensus.people.crowd import Crowd, crowd_of
from consensus.store.store import Store

A, B = "a@example.com", "b@example.com"


@pytest.fixture
def crowd(tmp_path: Path) -> Crowd:
    """Two annotators on four tasks, of whom one says dog for cat once; one annotation votes on two controls."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    rows = [classification(task, label, "") for task in range(1, 5) for label in ("cat", "dog")]
    rows = [{**row, "posterior": 0.75 if row["label"] == "cat" else 0.25} for row in rows]
    votes = [
        {**vote(task, name, "dog" if (task, name) == (4, B) else "cat"), "annotation": 10 * task + (name == B)}
        for task in range(1, 5)
        for name in (A, B)
    ]
    colour = [{**vote(1, A, "red", "colour"), "annotation": 10}]
    times = {10: 30.0, 20: 12.0, 41: 6.0}
    voted = [{**row, "lead_time": times.get(row["annotation"])} for row in (*votes, *colour)]
    save(store, [*rows, classification(1, "red", "", "colour")], voted)
    with store.snapshot() as snapshot:
        made = crowd_of(snapshot, 7)
        report = annotator_report(snapshot, 7)
        pairs = agreements(snapshot, 7)[1]
    assert made.figures == [{key: row[key] for key in row if key != "history"} for row in report]
    assert [
        (control, A, other, questions, kappa and round(kappa, 6))
        for control in ("colour", "kind")
        for other, questions, kappa in made.partners(A, control)
    ] == [
        tuple(row[key] for key in ("control", "annotator", "other", "questions", "cohen_kappa"))
        for row in pairs
        if not row["label"]
    ]
    return made


def test_an_annotation_took_its_time_once(crowd: Crowd) -> None:
    """On however many controls it votes; what was not measured is not counted."""
    assert crowd.seconds == {A: 42.0, B: 6.0}


def test_the_matrix_counts_what_the_consensus_believes(crowd: Crowd) -> None:
    """Three answers cat and one dog, each of which is cat with three in four."""
    assert crowd.matrix(B, "kind") == (["cat", "dog"], [[2.25, 0.75], [0.75, 0.25]])
    assert crowd.matrix(A, "size") is None


def test_the_figures_of_an_annotator_are_by_control(crowd: Crowd) -> None:
    """Who did not vote on a control has none there."""
    assert (list(crowd.of(A)), list(crowd.of(B))) == (["colour", "kind"], ["kind"])
