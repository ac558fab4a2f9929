"""How a run is written: what it changed and no more, and what is forgotten of old ones."""

import io
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Column, Connection, MetaData, Table, and_, bindparam, delete, exists, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from consensus.store.columns import (
    Columns,
    Positions,
    Row,
    as_rows,
    codes,
    compare,
    differs,
    read_columns,
)
from consensus.store.tables import (
    ANNOTATOR,
    CLASSIFICATION,
    CLASSIFICATION_HISTORY,
    LEDGER,
    RUN,
    VOTE,
    VOTE_HISTORY,
)
from consensus.store.vote_history import Seen, turn

AT_ONCE = 20_000
MANY = 2_000
"""From so many rows on PostgreSQL gets them in one piece."""
HISTORY = {CLASSIFICATION: CLASSIFICATION_HISTORY, VOTE: VOTE_HISTORY}
DRIFTING = frozenset({"confidence", "upper", "posterior", "model_share"})
"""Columns of a classification that move with everybody's trust; no version is kept where nothing else changed."""
ENTRY = ("control", "task", "annotator", "kind", "since")


ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""Characters that mean something in the text that COPY reads."""


def write_changes(connection: Connection, table: Table, project: int, run: int, columns: Columns) -> None:
    """Bring a project's rows of a table to those of a run, and keep what they were before where it has a history.

    Parameters
    ----------
    connection : Connection
    table : Table
    project, run : int
    columns : dict of str to (n,) array
        All columns of the table but `project` and `since`.
    """
    of_project = table.c.project == project
    key = [column.name for column in table.primary_key if column.name != "project"]
    values = [name for name in columns if name not in key]
    names = [*columns, "since"] if table in HISTORY else list(columns)
    stored = read_columns(connection, table, of_project, names)
    changes = compare(stored, columns, key, values)
    if table in HISTORY:
        lasting = [name for name in values if table is VOTE or name not in DRIFTING]
        anew = differs(stored, changes.before, columns, changes.changed, lasting)
        since = np.full(len(columns[key[0]]), run, dtype=object)
        since[changes.changed[~anew]] = stored["since"][changes.before[~anew]]
        columns = {**columns, "since": since}
        past = np.concatenate([changes.before[anew], changes.gone])
        _insert(connection, HISTORY[table], stored, past, {"project": project, "until": run})
    if len(changes.gone) and len(changes.gone) == len(stored[key[0]]):
        connection.execute(delete(table).where(of_project))
    elif len(changes.gone):
        same = [table.c[name] == bindparam(f"_{name}") for name in key]
        rows = as_rows({f"_{name}": stored[name] for name in key}, changes.gone)
        connection.execute(delete(table).where(of_project, *same), rows)
    _insert(connection, table, columns, changes.changed, {"project": project}, key)
    _insert(connection, table, columns, changes.new, {"project": project})


def _insert(
    connection: Connection, table: Table, columns: Columns, at: Positions, shared: Row, key: Sequence[str] = ()
) -> None:
    """Insert rows; with a key, in the place of those that have the same."""
    is_postgres = connection.dialect.name == "postgresql"
    names = [*columns, *shared]
    statement: Any = (postgresql if is_postgres else sqlite).insert(table)
    if is_postgres and len(at) >= MANY:
        of_table = (Column(name, table.c[name].type) for name in names)
        staged = Table(f"staged_{table.name}", MetaData(), *of_table, prefixes=["TEMPORARY"])
        staged.create(connection)
        _copy(connection, staged, columns, at, shared)
        statement = statement.from_select(names, select(staged))
    if key:
        replaced = {name: statement.excluded[name] for name in columns if name not in key}
        statement = statement.on_conflict_do_update(index_elements=["project", *key], set_=replaced)
    if is_postgres and len(at) >= MANY:
        connection.execute(statement)
        staged.drop(connection)
        return
    for start in range(0, len(at), AT_ONCE):
        rows = as_rows(columns, at[start : start + AT_ONCE])
        connection.execute(statement, [{**row, **shared} for row in rows])


def _copy(connection: Connection, table: Table, columns: Columns, at: Positions, shared: Row) -> None:
    """Send rows as PostgreSQL reads them fastest: text, a tab between values (its manual, COPY, "Text Format")."""
    texts = [[_as_text(value) for value in column[at].tolist()] for column in columns.values()]
    texts += [[_as_text(value)] * len(at) for value in shared.values()]
    lines = io.StringIO("".join("\t".join(row) + "\n" for row in zip(*texts, strict=True)))
    cursor: Any = connection.connection.cursor()
    cursor.copy_expert(f"COPY {table.name} FROM STDIN", lines)


def _as_text(value: Any) -> str:  # noqa: ANN401  # whatever a column holds
    r"""Write a value for COPY; None and NaN are missing.

    >>> print(_as_text(None), _as_text("a\tb"), _as_text(0.5))
    \N a\tb 0.5
    """
    if value is None or value != value:  # noqa: PLR0124  # NaN is unlike itself
        return "\\N"
    return str(value).translate(ESCAPES)


def counted(classifications: Columns) -> Columns:
    """Count classifications by control, label and report: a page shows the number without reading them."""
    key = ("control", "label", "report")
    number, _ = codes(classifications, {name: classifications[name][:0] for name in key}, key)
    _, first, times = np.unique(number, return_index=True, return_counts=True)
    columns = {name: classifications[name][first] for name in key}
    return {**columns, "classifications": times.astype(np.int64)}


def keep_ledger(connection: Connection, run: Row, votes: Columns, seen: Seen) -> None:
    """Enter the votes that a run saw first, and end those that it missed."""
    project = LEDGER.c.project == run["project"]
    entries = read_columns(connection, LEDGER, and_(project, LEDGER.c.until.is_(None)), [*ENTRY, "annotation"])
    kinds = {**votes, "kind": np.where(votes["vote"] == "unsure", "unsure", "answer").astype(object)}
    at_entry, at_vote = _spots_that_differ(entries, kinds)
    change = turn(as_rows(entries, at_entry), as_rows(votes, at_vote), seen)
    if change.ended:
        same = [LEDGER.c[name] == bindparam(f"_{name}") for name in ENTRY]
        connection.execute(
            update(LEDGER).where(project, *same).values(until=run["started_at"]),
            [{f"_{name}": entry[name] for name in ENTRY} for entry in change.ended],
        )
    if change.new:
        shared = {"project": run["project"], "since": run["started_at"], "until": None}
        connection.execute(insert(LEDGER), [{**entry, **shared} for entry in change.new])


def _spots_that_differ(entries: Columns, votes: Columns) -> tuple[Positions, Positions]:
    """Rows of the places (control, task, kind) where not each entry has its vote and each vote its entry."""
    entry, vote = codes(entries, votes, ("control", "task", "kind", "annotator"))
    entry_spot, vote_spot = codes(entries, votes, ("control", "task", "kind"))
    spots = np.concatenate([entry_spot[~np.isin(entry, vote)], vote_spot[~np.isin(vote, entry)]])
    return np.flatnonzero(np.isin(entry_spot, spots)), np.flatnonzero(np.isin(vote_spot, spots))


def forget(connection: Connection, project: int, before: datetime) -> None:
    """Thin a project's history before a moment: versions go, and of each day the last of everything stays.

    A pay list is made from the ledger, which is kept, and from what the last run before a midnight (UTC) knew.
    """
    runs = connection.execute(select(RUN.c.id, RUN.c.started_at).where(RUN.c.project == project)).all()
    days = defaultdict[Any, list[int]](list)
    for run, started in runs:
        if _utc(started) < before:
            days[_utc(started).date()].append(run)
    if not days:
        return
    oldest_kept = max(run for of_day in days.values() for run in of_day)
    for history in HISTORY.values():
        connection.execute(delete(history).where(history.c.project == project, history.c.until <= oldest_kept))
    later = ANNOTATOR.alias()
    for of_day in days.values():
        if len(of_day) == 1:
            continue
        same = [later.c[name] == ANNOTATOR.c[name] for name in ("control", "annotator")]
        again = exists().where(later.c.run.in_(of_day), later.c.run > ANNOTATOR.c.run, *same)
        connection.execute(delete(ANNOTATOR).where(ANNOTATOR.c.run.in_(of_day), again))
        needed = exists().where(ANNOTATOR.c.run == RUN.c.id)
        connection.execute(delete(RUN).where(RUN.c.id.in_(of_day), RUN.c.id != max(of_day), ~needed))


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
