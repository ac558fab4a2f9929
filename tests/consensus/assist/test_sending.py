"""Tasks that are sent to review, and taken back."""

import pytest
from made_projects import OWNER, PROJECT, InMemoryProject

from consensus.assist import sending
from consensus.assist.batches import plan, resume
from consensus.assist.sending import send
from consensus.assist.undo import undo
from consensus.store.columns import Row
from consensus.store.store import Store


def waiting(store: Store, *, closed: bool = False) -> dict[int, Row]:
    """What waits, by its task: all that an undo could have changed of it."""
    rows = store.decisions.queue(PROJECT, "pending", closed=closed)
    return {row["task"]: {name: value for name, value in row.items() if name != "entered_at"} for row in rows}


def test_what_is_sent_waits_first_and_is_taken_back(
    made: InMemoryProject, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited already, what was closed and what was not there become what they were, some at a time."""
    monkeypatch.setattr(sending, "CHUNK", 2)
    first, second, third, fourth, *_ = made.tasks
    suggested = {"control": "kind", "priority": 0.25, "detail": {"score": 0.75}}
    store.decisions.enter(
        PROJECT, "pending", [{"task": task, **suggested} for task in (first, second)], made.now()
    )
    store.decisions.close_many(PROJECT, [(second, "kind")], made.now(), "batch 123")
    before = waiting(store), waiting(store, closed=True)
    steps = list[tuple[str, int, int]]()
    done = send(
        store,
        PROJECT,
        [(task, "kind") for task in (first, second, third, fourth)],
        OWNER,
        made.now,
        reason="look",
        progress=lambda *step: steps.append(step),
    )
    assert (done.counts, steps[-1]) == ({"written": 4}, ("sending to review", 4, 4))
    assert done.batch["finished_at"] is not None
    number = done.batch["id"]
    assert [(row["priority"], row["detail"]) for row in waiting(store).values()] == [
        (-1.0, {"sent_by": OWNER, "reason": "look", "batch": number})
    ] * 4
    store.decisions.close_many(PROJECT, [(fourth, "kind")], made.now(), "batch 456")
    assert (undo(made.studio, store, number, OWNER, made.now, dry_run=True).undone) == 3
    undone = undo(made.studio, store, number, OWNER, made.now)
    assert (undone.undone, [item["note"] for item in undone.kept]) == (3, ["it waits no more: batch 456"])
    after = waiting(store), waiting(store, closed=True)
    assert after[1].pop(fourth)["closed_because"] == "batch 456"
    assert after == before
    assert undone.undo is not None
    assert store.decisions.item_counts(undone.undo["id"]) == {"written": 3, "left": 1}
    assert store.decisions.batch(number)["undone_by"] == undone.undo["id"]


def test_what_was_sent_once_more_stays(made: InMemoryProject, store: Store) -> None:
    """The later batch is the one that takes it off, and then the first."""
    task = made.tasks[0]
    first, second = (send(store, PROJECT, [(task, "kind")], OWNER, made.now).batch["id"] for _ in range(2))
    assert undo(made.studio, store, first, OWNER, made.now).kept[0]["note"] == "it was sent once more"
    assert undo(made.studio, store, second, OWNER, made.now).undone == 1
    assert waiting(store)[task]["detail"]["batch"] == first
    assert undo(made.studio, store, first, OWNER, made.now).undone == 1
    assert waiting(store) == {}


def test_what_was_cut_off_is_gone_on_with(made: InMemoryProject, store: Store) -> None:
    """By the next one, once, and by none that writes annotations; or it is taken back unsent."""
    one, two, three = made.tasks[:3]
    batches = [
        plan(
            store,
            PROJECT,
            "send",
            [{"task": task, "control": "kind", "labels": []}],
            made_by=OWNER,
            now=made.now(),
            key=str(task),
        )
        for task in (one, two)
    ]
    assert resume(made.studio, store, PROJECT, made.now) == []
    undone = undo(made.studio, store, batches[1]["id"], OWNER, made.now)
    assert (undone.undone, undone.kept) == (0, [])
    send(store, PROJECT, [(three, "kind")], OWNER, made.now, key="once")
    send(store, PROJECT, [(three, "kind")], OWNER, made.now, key="once")
    assert sorted(waiting(store)) == [one, three]
    assert [row["kind"] for row in store.decisions.batches(PROJECT)].count("send") == 3
