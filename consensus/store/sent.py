"""What a batch of kind `send` puts into the queue `pending`, and how it is taken out again."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, insert, select, tuple_, update

from consensus.store.columns import Row
from consensus.store.tables import BATCH_ITEM, REVIEW_ITEM

QUEUE = "pending"
FIRST = -1.0
"""Before every priority that follows from a score."""
UNSENT = "taken back before it was sent"
Place = tuple[int, str]
"""Task and control."""


def place_of(row: Row) -> Place:
    """Return the task and control of a row."""
    return int(row["task"]), str(row["control"])


def send(connection: Connection, batch: Row, items: Sequence[Row], at: datetime) -> None:
    """Let items of a batch wait before all others, and note with each what waited there before."""
    before = _entries(connection, batch, items)
    places = [place_of(item) for item in items]
    detail = {"sent_by": batch["made_by"], "reason": batch["params"].get("reason") or "", "batch": batch["id"]}
    entry = {"priority": FIRST, "detail": detail, "closed_at": None, "closed_because": None}
    _change(connection, REVIEW_ITEM, _of_queue(batch), {place: entry for place in places if place in before})
    made = {"project": batch["project"], "queue": QUEUE, "entered_at": at, **entry}
    fresh = [
        {**made, "task": task, "control": control} for task, control in places if (task, control) not in before
    ]
    if fresh:
        connection.execute(insert(REVIEW_ITEM), fresh)
    noted: dict[Place, Row] = {place: {"state": "written", "before": before.get(place)} for place in places}
    _change(connection, BATCH_ITEM, {"batch": batch["id"]}, noted)


def notes_on(connection: Connection, batch: Row, items: Sequence[Row]) -> dict[Place, str | None]:
    """Return why an undo leaves items alone: they were decided or sent once more; None of those it takes back."""
    entries = _entries(connection, batch, items)
    return {
        place_of(item): UNSENT if item["state"] == "planned" else _why_kept(batch, entries.get(place_of(item)))
        for item in items
    }


def take_back(connection: Connection, batch: Row, undo: str, items: Sequence[Row]) -> None:
    """Let the queue be to items what it was before they were sent, where nothing has become of them since."""
    notes = notes_on(connection, batch, items)
    before = {place_of(item): item["before"] for item in items if notes[place_of(item)] is None}
    there = {place: row | {"closed_at": _moment(row["closed_at"])} for place, row in before.items() if row}
    _change(connection, REVIEW_ITEM, _of_queue(batch), there)
    gone = [_named(_of_queue(batch), place) for place in before if place not in there]
    if gone:
        connection.execute(delete(REVIEW_ITEM).where(_at(REVIEW_ITEM, _of_queue(batch))), gone)
    unsent = {place_of(item) for item in items if item["state"] == "planned"}
    for number, free in ((batch["id"], "undone"), (undo, "written")):
        stays = "kept" if number == batch["id"] else "left"
        states: dict[Place, Row] = {
            place: {"state": "left" if place in unsent else stays if note else free, "note": note}
            for place, note in notes.items()
        }
        _change(connection, BATCH_ITEM, {"batch": number}, states)


def _entries(connection: Connection, batch: Row, items: Iterable[Row]) -> dict[Place, Row]:
    """Return what waits, or has waited, at the places of items."""
    table = REVIEW_ITEM.c
    columns = (table.task, table.control, table.priority, table.detail, table.closed_at, table.closed_because)
    among = tuple_(table.task, table.control).in_([place_of(item) for item in items])
    here = table.project == batch["project"], table.queue == QUEUE, among
    rows = [dict(row) for row in connection.execute(select(*columns).where(*here)).mappings()]
    return {
        (row.pop("task"), row.pop("control")): row
        | {"closed_at": row["closed_at"] and row["closed_at"].isoformat()}
        for row in rows
    }


def _why_kept(batch: Row, entry: Row | None) -> str | None:
    if entry is None:
        return None
    if entry["closed_at"] is not None:
        return f"it waits no more: {entry['closed_because']}"
    return None if entry["detail"].get("batch") == batch["id"] else "it was sent once more"


def _moment(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def _of_queue(batch: Row) -> Row:
    return {"project": batch["project"], "queue": QUEUE}


def _named(shared: Row, place: Place) -> Row:
    return {f"of_{name}": value for name, value in ({"task": place[0], "control": place[1]} | shared).items()}


def _at(table: Table, shared: Row) -> ColumnElement[bool]:
    return and_(*(table.c[name] == bindparam(f"of_{name}") for name in ("task", "control", *shared)))


def _change(connection: Connection, table: Table, shared: Row, changed: Mapping[Place, Row]) -> None:
    if changed:
        rows = [_named(shared, place) | row for place, row in changed.items()]
        connection.execute(update(table).where(_at(table, shared)), rows)
