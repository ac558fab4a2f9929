"""Who or what decided a label: batches of writes, the log of decisions, and the queues of review."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from consensus.core.review.names import Queue
from consensus.errors import ConfigError
from consensus.store import sent
from consensus.store.columns import TOLERANCE, Row
from consensus.store.questions import Questions
from consensus.store.tables import BATCH, BATCH_ITEM, DECISION, REVIEW_ITEM

BatchKind = Literal["accept", "auto", "review", "gold", "ask", "close", "send", "undo"]
STREAM_KINDS: tuple[BatchKind, ...] = ("gold", "ask", "close")
"""Batches that write no annotation: they decide to how many annotators tasks are shown."""
ItemState = Literal["planned", "written", "left", "undone", "kept"]
"""Of a batch's item: to be written, written, not written; then taken back, or not, by an undo."""
Verdict = Literal["accepted", "confirmed", "corrected", "rejected", "unusable", "asked", "undone"]
"""What was decided: a suggestion or proposal holds; the given label does; another; the work on it; no label can be
told; one more vote is asked for; an earlier decision is taken back."""
Source = Literal["suggestion", "prediction", "consensus", "review", "undo"]

QUEUES: tuple[Queue, ...] = get_args(Queue)
"""All of them: the index of what waits begins with the queue."""
AT_ONCE = 500
"""Rows of which one statement speaks."""


class DecisionReader(Questions):
    """Questions about decisions."""

    def batch(self, batch: str) -> Row:
        """Return a batch by its id, or by the beginning of it.

        Raises
        ------
        ConfigError
            Where there is none, or more than one begins so.
        """
        rows = self._rows(select(BATCH).where(BATCH.c.id.startswith(batch, autoescape=True)).limit(2))
        if len(rows) != 1 or not batch:
            fault = "names no batch" if not rows else "is the beginning of more than one batch's id"
            raise ConfigError(f"{batch!r} {fault} of this store; `consensus batches --project ID` lists them")
        return rows[0]

    def batches(self, project: int, *, after: Mapping[str, object] | None = None, limit: int = 100) -> list[Row]:
        """Return a project's batches, the latest first; a page begins after the last row of the one before."""
        query = select(BATCH).where(BATCH.c.project == project)
        if after is not None:
            query = query.where(tuple_(BATCH.c.made_at, BATCH.c.id) < tuple_(after["made_at"], after["id"]))
        return self._rows(query.order_by(BATCH.c.made_at.desc(), BATCH.c.id.desc()).limit(limit))

    def unfinished(self, project: int) -> list[Row]:
        """Return the batches that were cut off, the oldest first."""
        query = select(BATCH).where(BATCH.c.project == project, BATCH.c.finished_at.is_(None))
        return self._rows(query.order_by(BATCH.c.made_at, BATCH.c.id))

    def items(self, batch: str, states: Collection[ItemState] = ()) -> list[Row]:
        """Return a batch's items, those of some states alone where states are named."""
        query = select(BATCH_ITEM).where(BATCH_ITEM.c.batch == batch)
        query = query.where(BATCH_ITEM.c.state.in_(states)) if states else query
        return self._rows(query.order_by(BATCH_ITEM.c.task, BATCH_ITEM.c.control))

    def audited(self, project: int) -> list[Row]:
        """Return the written items of batches that people judge blind, with their batch's `kind` and `params`."""
        batch = [BATCH.c.kind, BATCH.c.params, BATCH.c.made_at]
        query = select(BATCH_ITEM, *batch).join(BATCH, BATCH.c.id == BATCH_ITEM.c.batch)
        query = query.where(
            BATCH.c.project == project,
            BATCH_ITEM.c.state == "written",
            BATCH_ITEM.c.evidence["audit"].as_boolean(),
        )
        return self._rows(query.order_by(BATCH.c.made_at, BATCH.c.id, BATCH_ITEM.c.task))

    def passed_over(self, project: int) -> set[tuple[int, str, tuple[str, ...]]]:
        """Return task, control and labels of what machines could not write, or people have taken back."""
        query = select(BATCH_ITEM.c.task, BATCH_ITEM.c.control, BATCH_ITEM.c.labels).join(
            BATCH, BATCH.c.id == BATCH_ITEM.c.batch
        )
        by_machine = BATCH.c.kind.in_(("accept", "auto"))
        query = query.where(BATCH.c.project == project, by_machine, BATCH_ITEM.c.state.in_(("left", "undone")))
        return {(row["task"], row["control"], tuple(row["labels"])) for row in self._rows(query)}

    def first_batch(self, project: int, kind: BatchKind) -> Row | None:
        """Return a project's first batch of a kind; None where there is none."""
        query = select(BATCH).where(BATCH.c.project == project, BATCH.c.kind == kind)
        return next(iter(self._rows(query.order_by(BATCH.c.made_at).limit(1))), None)

    def shown_by(self, project: int, kind: BatchKind) -> set[int]:
        """Return the tasks that batches of a kind have written to and no undo has taken back."""
        of_kind = select(BATCH.c.id).where(BATCH.c.project == project, BATCH.c.kind == kind)
        query = select(BATCH_ITEM.c.task).where(BATCH_ITEM.c.state == "written", BATCH_ITEM.c.batch.in_(of_kind))
        return {row["task"] for row in self._rows(query.distinct())}

    def item_counts(self, batch: str) -> dict[str, int]:
        """Count a batch's items by their state."""
        query = select(BATCH_ITEM.c.state, func.count().label("n")).where(BATCH_ITEM.c.batch == batch)
        return {row["state"]: row["n"] for row in self._rows(query.group_by(BATCH_ITEM.c.state))}

    def decisions(
        self,
        project: int,
        *,
        task: int | None = None,
        batch: str | None = None,
        verdict: Verdict | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[Row]:
        """Return what was decided in a project, of a task or in a batch, in the order in which it was."""
        table = DECISION.c
        query = select(DECISION).where(table.project == project, table.id > after)
        for column, value in ((table.task, task), (table.batch, batch), (table.verdict, verdict)):
            query = query if value is None else query.where(column == value)
        return self._rows(query.order_by(table.id).limit(limit))

    def standing(self, project: int, tasks: Collection[int] = ()) -> list[Row]:
        """Return the decisions that nothing has taken back, the latest on each task and control.

        Of a decision for several labels there is a row for each.

        Parameters
        ----------
        tasks : collection of int
            Only on these, at most `AT_ONCE`; none: on all.
        """
        undoes = DECISION.alias()
        table = DECISION.c
        undone = select(undoes.c.undoes).where(undoes.c.project == project, undoes.c.undoes.is_not(None))
        here, few = table.project == project, sorted(tasks)
        if few:  # what takes a decision back is on the same task
            undone, here = undone.where(undoes.c.task.in_(few)), and_(here, table.task.in_(few))
        stands = and_(here, table.verdict.not_in(("undone", "asked")), table.id.not_in(undone))
        latest = select(table.task, table.control, func.max(table.id).label("id")).where(stands)
        last_ids, last = latest.group_by(table.task, table.control).subquery(), DECISION.alias()
        same = and_(table.task == last_ids.c.task, table.control == last_ids.c.control)
        together = and_(table.batch == last.c.batch, table.annotation == last.c.annotation)
        query = select(DECISION).join(last_ids, same).join(last, last.c.id == last_ids.c.id)
        query = query.where(stands, or_(table.id == last.c.id, together))
        return self._rows(query.order_by(table.task, table.control, table.id))

    def queue(
        self,
        project: int,
        queue: Queue | None = None,
        *,
        after: Mapping[str, object] | None = None,
        limit: int | None = None,
        closed: bool = False,
    ) -> list[Row]:
        """Return what waits in a queue, or in all, in the order in which it is to be looked at.

        Parameters
        ----------
        after : mapping, optional
            The last row of the page before.
        closed : bool
            Return instead what no longer waits.
        """
        table = REVIEW_ITEM.c
        query = select(REVIEW_ITEM).where(
            table.project == project, table.closed_at.is_not(None) if closed else table.closed_at.is_(None)
        )
        query = query if queue is None else query.where(table.queue == queue)
        place = (table.priority, table.queue, table.task, table.control)
        if after is not None:
            query = query.where(tuple_(*place) > tuple_(*(after[column.name] for column in place)))
        return self._rows(query.order_by(*place).limit(limit))

    def entries(self, project: int, task: int) -> list[Row]:
        """Return where a task waits or has waited, the earliest first."""
        table = REVIEW_ITEM.c
        query = select(REVIEW_ITEM).where(table.project == project, table.queue.in_(QUEUES), table.task == task)
        return self._rows(query.order_by(table.entered_at, table.queue, table.control))

    def entries_of(self, project: int, tasks: Collection[int]) -> list[Row]:
        """Return where some tasks wait or have waited."""
        rows, numbers, table = list[Row](), sorted(tasks), REVIEW_ITEM.c
        for start in range(0, len(numbers), AT_ONCE):
            among = table.queue.in_(QUEUES), table.task.in_(numbers[start : start + AT_ONCE])
            rows += self._rows(select(REVIEW_ITEM).where(table.project == project, *among))
        return rows

    def last_decisions(self, project: int, tasks: Collection[int]) -> dict[int, int]:
        """Return the id of the latest entry of the log about each of some tasks."""
        table, last, numbers = DECISION.c, dict[int, int](), sorted(tasks)
        for start in range(0, len(numbers), AT_ONCE):
            among = table.task.in_(numbers[start : start + AT_ONCE])
            query = select(table.task, func.max(table.id).label("id")).where(table.project == project, among)
            last |= {row["task"]: row["id"] for row in self._rows(query.group_by(table.task))}
        return last

    def queue_counts(self, project: int) -> dict[str, int]:
        """Count what waits in each queue."""
        table = REVIEW_ITEM.c
        query = select(table.queue, func.count().label("n")).where(
            table.project == project, table.closed_at.is_(None)
        )
        return {row["queue"]: row["n"] for row in self._rows(query.group_by(table.queue))}


class Decisions(DecisionReader):
    """The same, and the writes; each is one transaction.

    Parameters
    ----------
    reading, writing : callable
        Open a transaction.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Connection]],
        writing: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        super().__init__(reading)
        self._writing = writing

    def open_batch(
        self,
        project: int,
        kind: BatchKind,
        key: str,
        *,
        made_by: str,
        made_at: datetime,
        items: Sequence[Row] = (),
        filtered: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
    ) -> Row:
        """Keep what is to be written before anything is sent.

        Parameters
        ----------
        key : str
            Where the project has a batch with this key already, that one is returned, and nothing is added.
        items : sequence of dict
            Columns `task`, `control`, `labels` and, if known, `before` and `evidence`.
        filtered, params : mapping
            What the items were chosen by; model version, thresholds and what was expected.
        """
        with self._writing() as connection:
            there = connection.execute(select(BATCH).where(BATCH.c.project == project, BATCH.c.key == key))
            row = there.mappings().first()
            if row is not None:
                return dict(row)
            batch = {
                "id": uuid.uuid4().hex[:12],
                "project": project,
                "kind": kind,
                "key": key,
                "made_by": made_by,
                "made_at": made_at,
                "finished_at": None,
                "undone_by": None,
                "filter": dict(filtered or {}),
                "params": dict(params or {}),
            }
            connection.execute(insert(BATCH).values(batch))
            for start in range(0, len(items), AT_ONCE):
                rows = [
                    {
                        "before": None,
                        "evidence": None,
                        **item,
                        "batch": batch["id"],
                        "state": "planned",
                        "annotation": None,
                        "note": None,
                    }
                    for item in items[start : start + AT_ONCE]
                ]
                connection.execute(insert(BATCH_ITEM), rows)
            return batch

    def settle_items(self, batch: str, changed: Sequence[Row], decisions: Sequence[Row] = ()) -> None:
        """Note what became of items, and log what was decided by that, all or nothing.

        Parameters
        ----------
        changed : sequence of dict
            `task` and `control` of an item, and the columns that change.
        decisions : sequence of dict
            Columns of table `decision` without `id`.
        """
        with self._writing() as connection:
            for row in changed:
                here = and_(
                    BATCH_ITEM.c.batch == batch,
                    BATCH_ITEM.c.task == row["task"],
                    BATCH_ITEM.c.control == row["control"],
                )
                values = {name: value for name, value in row.items() if name not in ("task", "control")}
                connection.execute(update(BATCH_ITEM).where(here).values(values))
            if decisions:
                connection.execute(insert(DECISION), [_whole(decision) for decision in decisions])

    def finish_batch(self, batch: str, at: datetime) -> None:
        """Note that nothing of a batch is left to be done."""
        self._change_batch(batch, {"finished_at": at})

    def mark_undone(self, batch: str, by: str) -> None:
        """Note which batch took another back."""
        self._change_batch(batch, {"undone_by": by})

    def _change_batch(self, batch: str, values: Row) -> None:
        with self._writing() as connection:
            connection.execute(update(BATCH).where(BATCH.c.id == batch).values(values))

    def log(self, decisions: Sequence[Row]) -> None:
        """Add decisions to the log: columns of table `decision` without `id`; missing ones are unknown."""
        if decisions:
            with self._writing() as connection:
                connection.execute(insert(DECISION), [_whole(decision) for decision in decisions])

    def refill(self, project: int, queue: Queue, entries: Sequence[Row], at: datetime, because: str) -> None:
        """Let a queue hold these entries: the new are added, the others are closed.

        What waits stays with whom it is assigned to. What was closed by a decision is not opened again: `reopen`
        does that.

        Parameters
        ----------
        entries : sequence of dict
            Columns `task`, `control`, `priority` and `detail`.
        because : str
            Why others are closed.
        """
        table = REVIEW_ITEM
        with self._writing() as connection:
            there = {
                (row["task"], row["control"]): row
                for row in connection.execute(
                    select(table).where(table.c.project == project, table.c.queue == queue)
                ).mappings()
            }
            keys = {(row["task"], row["control"]) for row in entries}
            gone = [key for key, row in there.items() if key not in keys and row["closed_at"] is None]
            for task, control in gone:
                connection.execute(
                    update(table)
                    .where(_at(project, queue, task, control))
                    .values(closed_at=at, closed_because=because)
                )
            fresh = []
            for row in entries:
                before = there.get((row["task"], row["control"]))
                values = {"priority": row["priority"], "detail": row["detail"]}
                if before is None:
                    fresh.append({**_EMPTY_ITEM, **row, "project": project, "queue": queue, "entered_at": at})
                elif before["closed_because"] == because:  # left by itself, and back again
                    opened = {**values, "closed_at": None, "closed_because": None, "entered_at": at}
                    connection.execute(
                        update(table).where(_at(project, queue, row["task"], row["control"])).values(opened)
                    )
                elif before["closed_at"] is None and (
                    abs(before["priority"] - row["priority"]) > TOLERANCE or before["detail"] != row["detail"]
                ):
                    connection.execute(
                        update(table).where(_at(project, queue, row["task"], row["control"])).values(values)
                    )
            for start in range(0, len(fresh), AT_ONCE):
                connection.execute(insert(table), fresh[start : start + AT_ONCE])

    def enter(self, project: int, queue: Queue, entries: Sequence[Row], at: datetime) -> None:
        """Let tasks wait in a queue beside what is there already; what was closed waits again.

        Parameters
        ----------
        entries : sequence of dict
            Columns `task`, `control`, `priority` and `detail`.
        """
        with self._writing() as connection:
            for row in entries:
                opened = {"priority": row["priority"], "detail": row["detail"], "closed_at": None}
                here = update(REVIEW_ITEM).where(_at(project, queue, row["task"], row["control"]))
                if not connection.execute(here.values(**opened, closed_because=None)).rowcount:
                    made = {**_EMPTY_ITEM, **row, "project": project, "queue": queue, "entered_at": at}
                    connection.execute(insert(REVIEW_ITEM).values(made))

    def send(self, batch: Row, items: Sequence[Row], at: datetime) -> None:
        """Let items of a batch wait for a reviewer."""
        with self._writing() as connection:
            sent.send(connection, batch, items, at)

    def sent_notes(self, batch: Row, items: Sequence[Row]) -> dict[sent.Place, str | None]:
        """Return why an undo leaves what was sent; None of what it takes back."""
        with self._reading() as connection:
            return sent.notes_on(connection, batch, items)

    def take_sent_back(self, batch: Row, undo: str, items: Sequence[Row]) -> None:
        """Let items of a batch wait no more."""
        with self._writing() as connection:
            sent.take_back(connection, batch, undo, items)

    def close_many(
        self,
        project: int,
        places: Sequence[tuple[int, str]],
        at: datetime,
        because: str,
        queue: Queue | None = None,
        besides: Queue | None = None,
    ) -> None:
        """Take tasks, each with a control, off all queues, off one, or off all besides one."""
        table = REVIEW_ITEM.c
        with self._writing() as connection:
            for start in range(0, len(places), AT_ONCE):
                among = tuple_(table.task, table.control).in_(places[start : start + AT_ONCE])
                query = update(REVIEW_ITEM).where(table.project == project, table.closed_at.is_(None), among)
                query = query if queue is None else query.where(table.queue == queue)
                query = query if besides is None else query.where(table.queue != besides)
                connection.execute(query.values(closed_at=at, closed_because=because))

    def reopen_many(self, project: int, places: Sequence[tuple[int, str]], because: str) -> None:
        """Let tasks, each with a control, wait again where they were closed for a reason."""
        table = REVIEW_ITEM.c
        with self._writing() as connection:
            for start in range(0, len(places), AT_ONCE):
                among = tuple_(table.task, table.control).in_(places[start : start + AT_ONCE])
                query = update(REVIEW_ITEM).where(table.project == project, table.closed_because == because, among)
                connection.execute(query.values(closed_at=None, closed_because=None))

    def assign_many(self, project: int, assigned: Sequence[Row], at: datetime) -> None:
        """Give what waits to reviewers, all or nothing.

        Parameters
        ----------
        assigned : sequence of dict
            Columns queue, task, control and assigned_to.
        """
        table = REVIEW_ITEM.c
        names = "queue", "task", "control"
        here = and_(*(table[name] == bindparam(f"of_{name}") for name in names))
        query = update(REVIEW_ITEM).where(table.project == project, table.closed_at.is_(None), here)
        values = [
            {f"of_{name}": row[name] for name in names} | {"assigned_to": row["assigned_to"], "assigned_at": at}
            for row in assigned
        ]
        with self._writing() as connection:
            for start in range(0, len(values), AT_ONCE):
                connection.execute(query, values[start : start + AT_ONCE])


_EMPTY_ITEM: Row = {"assigned_to": None, "assigned_at": None, "closed_at": None, "closed_because": None}


def _at(project: int, queue: str, task: int, control: str) -> ColumnElement[bool]:
    table = REVIEW_ITEM.c
    return and_(table.project == project, table.queue == queue, table.task == task, table.control == control)


def _whole(decision: Row) -> Row:
    return {**{column.name: None for column in DECISION.c if column.name != "id"}, **decision}
