"""What is sent to review and taken back, on both databases."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from consensus.store.columns import Row
from consensus.store.store import Store

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store in whose queue task 1 waits, and task 2 waited."""
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if is_file else str(request.getfixturevalue("postgres_database_url"))
    made = Store.migrated(url)
    rows = [{"task": task, "control": "kind", "priority": 0.5, "detail": {"score": 0.5}} for task in (1, 2)]
    made.decisions.enter(7, "pending", rows, AT)
    made.decisions.close_many(7, [(2, "kind")], AT, "batch 123")
    return made


def waiting(store: Store) -> list[Row]:
    """What waits and waited, in every column but that of a moment without its zone."""
    rows = store.decisions.queue(7, "pending") + store.decisions.queue(7, "pending", closed=True)
    return [
        row | {name: row[name] and row[name].replace(tzinfo=UTC) for name in ("entered_at", "closed_at")}
        for row in rows
    ]


def test_the_queue_becomes_what_it_was(store: Store) -> None:
    """With the moments and reasons of what was closed; what was not there is gone again, decided ones stay."""
    before, decisions = waiting(store), store.decisions
    places = [(1, "kind"), (2, "kind"), (3, "colour"), (4, "kind")]
    items: list[Row] = [{"task": task, "control": control, "labels": []} for task, control in places]
    batch = decisions.open_batch(7, "send", "key", made_by="ann@example.com", made_at=AT, items=items)
    decisions.send(batch, decisions.items(batch["id"], ["planned"]), LATER)
    assert decisions.item_counts(batch["id"]) == {"written": 4}
    assert [(row["task"], row["priority"], row["closed_at"]) for row in decisions.queue(7, "pending")] == [
        (task, -1.0, None) for task in (1, 2, 3, 4)
    ]
    decisions.close_many(7, [(4, "kind")], LATER, "batch 456")
    sent = decisions.items(batch["id"])
    assert [note for note in decisions.sent_notes(batch, sent).values() if note] == ["it waits no more: batch 456"]
    undo = decisions.open_batch(7, "undo", "back", made_by="ann@example.com", made_at=AT, items=items)
    decisions.take_sent_back(batch, undo["id"], sent)
    assert [row for row in waiting(store) if row["task"] != 4] == before
    assert decisions.item_counts(batch["id"]) == {"undone": 3, "kept": 1}
    assert decisions.item_counts(undo["id"]) == {"written": 3, "left": 1}
