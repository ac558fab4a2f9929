"""Batches of writes, the log of decisions and the queues of review, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consensus.errors import ConfigError, StoreError
from consensus.store.columns import Row
from consensus.store.decisions import Decisions, Verdict
from consensus.store.store import Store

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def decisions(request: pytest.FixtureRequest, tmp_path: Path) -> Decisions:
    """Of an empty store."""
    if request.param == "sqlite":
        return Store.migrated(f"sqlite:///{tmp_path}/store.db").decisions
    return Store.migrated(str(request.getfixturevalue("postgres_database_url"))).decisions


def opened(decisions: Decisions, key: str = "k", project: int = 7, tasks: tuple[int, ...] = (1, 2)) -> Row:
    """A batch that labels tasks."""
    items = [{"task": task, "control": "kind", "labels": ["cat"]} for task in tasks]
    return decisions.open_batch(project, "accept", key, made_by="a@example.com", made_at=MOMENT, items=items)


def decision(task: int, verdict: Verdict = "accepted", **more: object) -> Row:
    """A decision."""
    where = {"project": 7, "task": task, "control": "kind", "label": "cat"}
    return {**where, "verdict": verdict, "decided_by": "a@example.com", "source": "review", "at": MOMENT, **more}


def entry(task: int, priority: float = 0.5) -> Row:
    """Something to be looked at."""
    return {"task": task, "control": "kind", "priority": priority, "detail": {"given": ["cat"]}}


def test_a_batch_is_opened_once(decisions: Decisions) -> None:
    """With the key of another it is that one, and gets no items; of another project it is another one."""
    first = opened(decisions)
    assert opened(decisions, tasks=(3,))["id"] == first["id"]
    assert opened(decisions, project=8)["id"] != first["id"]
    assert [item["task"] for item in decisions.items(first["id"])] == [1, 2]
    assert [batch["id"] for batch in decisions.batches(7)] == [first["id"]]


def test_a_batch_is_named_by_the_beginning_of_its_id(decisions: Decisions) -> None:
    """Where that is one batch's alone, and says something."""
    batch = opened(decisions)
    assert decisions.batch(batch["id"][:6])["id"] == batch["id"]
    for name in ("", "%", "nothing"):
        with pytest.raises(ConfigError, match="batch"):
            decisions.batch(name)


def test_what_became_of_items_is_noted_with_the_decision(decisions: Decisions) -> None:
    """One is written and decided, the other left; a batch is unfinished until it is finished."""
    batch = opened(decisions)["id"]
    written = {"task": 1, "control": "kind", "state": "written", "annotation": 11}
    left = {"task": 2, "control": "kind", "state": "left", "note": "somebody has annotated it"}
    decisions.settle_items(batch, [written, left], [decision(1, batch=batch, annotation=11)])
    assert decisions.item_counts(batch) == {"written": 1, "left": 1}
    assert [item["annotation"] for item in decisions.items(batch, ["written"])] == [11]
    assert [row["annotation"] for row in decisions.decisions(7, batch=batch)] == [11]
    assert [row["id"] for row in decisions.unfinished(7)] == [batch]
    decisions.finish_batch(batch, MOMENT)
    assert decisions.unfinished(7) == []


def test_a_decision_stands_until_it_is_taken_back(decisions: Decisions) -> None:
    """The later of two stands; taken back, the earlier one stands again; asking for a vote decides nothing."""
    decisions.log(
        [decision(1, label="cat"), decision(1, "corrected", label="dog"), decision(1, "asked", label="")]
    )
    latest = decisions.standing(7)
    assert [row["label"] for row in latest] == ["dog"]
    decisions.log([decision(1, "undone", undoes=latest[0]["id"])])
    assert [row["label"] for row in decisions.standing(7, [1])] == ["cat"]
    assert [row["verdict"] for row in decisions.decisions(7, task=1)] == [
        "accepted",
        "corrected",
        "asked",
        "undone",
    ]
    assert decisions.standing(8) == []


def test_a_queue_is_filled_and_emptied(decisions: Decisions) -> None:
    """By priority, a page at a time; what is wanted no more is closed, and opened when it is wanted again."""
    decisions.refill(
        7, "misclassified", [entry(1, 0.25), entry(2, 0.125), entry(3, 0.25)], MOMENT, "decided by votes"
    )
    first = decisions.queue(7, "misclassified", limit=2)
    assert [row["task"] for row in first] == [2, 1]
    assert [row["task"] for row in decisions.queue(7, "misclassified", after=first[-1])] == [3]
    later = MOMENT + timedelta(days=1)
    decisions.refill(7, "misclassified", [entry(3, 0.0625)], later, "decided by votes")
    assert decisions.queue_counts(7) == {"misclassified": 1}
    assert sorted(row["task"] for row in decisions.queue(7, closed=True)) == [1, 2]
    decisions.refill(7, "misclassified", [entry(1), entry(3, 0.0625)], later, "decided by votes")
    assert [row["task"] for row in decisions.queue(7)] == [3, 1]


def test_what_a_person_closed_stays_closed(decisions: Decisions) -> None:
    """A run does not open it again; an undo does, in every queue."""
    for queue in ("misclassified", "spot"):
        decisions.refill(7, queue, [entry(1)], MOMENT, "run")
    decisions.close_many(7, [(1, "kind")], MOMENT, "decision 5")
    decisions.refill(7, "misclassified", [entry(1)], MOMENT, "run")
    assert decisions.queue(7) == []
    decisions.reopen_many(7, [(1, "kind")], "decision 5")
    assert decisions.queue_counts(7) == {"misclassified": 1, "spot": 1}


def test_an_assignment_outlives_a_run(decisions: Decisions) -> None:
    """Whoever was given an item keeps it while it waits."""
    decisions.refill(7, "controversial", [entry(1)], MOMENT, "run")
    decisions.assign_many(
        7, [{"queue": "controversial", "task": 1, "control": "kind", "assigned_to": "r@example.com"}], MOMENT
    )
    decisions.refill(7, "controversial", [entry(1, 0.125)], MOMENT, "run")
    assert [(row["assigned_to"], row["priority"]) for row in decisions.queue(7)] == [("r@example.com", 0.125)]


def test_a_decision_for_several_labels_stands_with_all_of_them(decisions: Decisions) -> None:
    """They are of one annotation; an earlier decision and another annotation's are not among them."""
    first, both = {"batch": "a", "annotation": 10}, {"batch": "b", "annotation": 11}
    decisions.log([decision(1, label="owl", **first)])
    decisions.log([decision(1, label=label, **both) for label in ("cat", "dog")])
    assert [row["label"] for row in decisions.standing(7)] == ["cat", "dog"]


def test_many_entries_are_closed_and_opened_at_once(decisions: Decisions) -> None:
    """Only those named, and only those that were closed for that reason."""
    decisions.refill(7, "spot", [entry(task) for task in range(1, 5)], MOMENT, "run")
    decisions.close_many(7, [(3, "kind")], MOMENT, "decision 5")
    decisions.close_many(7, [(1, "kind"), (2, "kind"), (3, "kind"), (4, "color")], MOMENT, "batch b")
    assert [row["task"] for row in decisions.queue(7)] == [4]
    decisions.reopen_many(7, [(2, "kind"), (3, "kind")], "batch b")
    assert [row["task"] for row in decisions.queue(7)] == [2, 4]


@pytest.mark.parametrize("place", ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def test_batches_of_one_account_take_turns(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The machine's are refused beside one another, and a run does not keep them away."""
    of_server = place == "postgresql"
    url = request.getfixturevalue("postgres_database_url") if of_server else f"sqlite:///{tmp_path}/store.db"
    store, other = Store.migrated(url), Store(url)
    with store.lock(7), store.lock_batches(7, None) as check, store.lock_batches(7, 3), other.lock_batches(7, 4):
        check()
        with pytest.raises(StoreError, match="another batch"), other.lock_batches(7, None):
            pass
    with other.lock_batches(7, None):
        pass


def test_what_waits_is_given_to_reviewers_at_once(decisions: Decisions) -> None:
    """Each row of a queue of its own; what no longer waits stays as it is."""
    decisions.refill(7, "spot", [entry(1), entry(2), entry(3)], MOMENT, "of a test")
    decisions.refill(7, "audit", [entry(1)], MOMENT, "of a test")
    decisions.close_many(7, [(3, "kind")], MOMENT, "decided")
    given = [{"queue": "spot", "task": task, "control": "kind", "assigned_to": "a@example.com"} for task in (1, 3)]
    decisions.assign_many(7, given, MOMENT)
    decisions.assign_many(7, [], MOMENT)
    rows = {(row["queue"], row["task"]): row["assigned_to"] for row in decisions.entries_of(7, [1, 2, 3])}
    nobody = dict.fromkeys([("spot", 2), ("spot", 3), ("audit", 1)])
    assert rows == {("spot", 1): "a@example.com", **nobody}


def test_the_log_is_asked_for_a_verdict_and_for_the_latest(decisions: Decisions) -> None:
    """Of tasks without an entry it knows none."""
    decisions.log([decision(1, "asked"), decision(1), decision(2), decision(2, project=8)])
    assert [row["task"] for row in decisions.decisions(7, verdict="asked")] == [1]
    first, second, third = (row["id"] for row in decisions.decisions(7))
    assert first < second < third
    assert decisions.last_decisions(7, [1, 2, 3]) == {1: second, 2: third}


def test_what_people_judge_blind_is_known(decisions: Decisions) -> None:
    """Written items that are marked so, with what their batch was promised."""
    evidence = [{"audit": True, "score": 0.9}, {"score": 0.9}, {"audit": True}, None]
    items: list[Row] = [
        {"task": task, "control": "kind", "labels": ["cat"], "evidence": each}
        for task, each in enumerate(evidence, start=1)
    ]
    params = {"target_precision": 0.9}
    batch = decisions.open_batch(7, "accept", "k", made_by="a", made_at=MOMENT, items=items, params=params)["id"]
    written = [{"task": task, "control": "kind", "state": "written"} for task in (1, 2, 4)]
    decisions.settle_items(batch, [*written, {"task": 3, "control": "kind", "state": "left"}])
    (audited,) = decisions.audited(7)
    assert (audited["task"], audited["kind"], audited["params"]) == (1, "accept", params)
    assert decisions.audited(8) == []
    assert decisions.passed_over(7) == {(3, "kind", ("cat",))}


def test_what_comes_waits_beside_what_is_there(decisions: Decisions) -> None:
    """What was closed waits again; where a task waits and has waited is known."""
    decisions.refill(7, "pending", [entry(1), entry(2)], MOMENT, "run")
    decisions.close_many(7, [(1, "kind")], MOMENT, "batch b")
    decisions.enter(7, "pending", [entry(1, 0.25), entry(3)], MOMENT)
    assert [(row["task"], row["priority"]) for row in decisions.queue(7, "pending")] == [
        (1, 0.25),
        (2, 0.5),
        (3, 0.5),
    ]
    assert [row["queue"] for row in decisions.entries(7, 1)] == ["pending"]
