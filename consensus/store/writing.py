"""How a run is written: what it changed and no more, and what is forgotten of old ones."""

import io
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import numpy as np
from sqlalchemy import Column, Connection, MetaData, Table, bindparam, delete, exists, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from consensus.store.columns import (
    Changes,
    Columns,
    Positions,
    Row,
    as_columns,
    as_rows,
    chosen,
    codes,
    compare,
    differs,
    read_columns,
    values_of,
)
from consensus.store.digests import TASKS, Chunk, Digest, Unlike, drifting
from consensus.store.tables import (
    ANNOTATOR,
    CLASSIFICATION,
    CLASSIFICATION_HISTORY,
    DIGEST,
    LEDGER,
    REPORT_COUNT,
    RUN,
    VOTE,
    VOTE_HISTORY,
)
from consensus.store.vote_history import Coverage, ledger_changes

AT_ONCE = 20_000
MANY = 2_000
"""From so many rows on PostgreSQL gets them in one piece."""
HISTORY = {CLASSIFICATION: CLASSIFICATION_HISTORY, VOTE: VOTE_HISTORY}
PLACE = ("control", "task", "kind")
ENTRY = (*PLACE, "annotator")


ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""Characters that mean something in the text that COPY reads."""


def write_changes(
    connection: Connection,
    table: Table,
    project: int,
    run: int,
    columns: Columns,
    unlike: Unlike,
    unsettled: Collection[Chunk] = (),
) -> None:
    """Bring a project's rows of a table to those of a run, and keep what they were before.

    Parameters
    ----------
    table : Table
        One that has a history.
    columns : dict of str to (n,) array
        All columns of the table but `project` and `since`.
    unlike : Unlike
        Where they differ from what is stored.
    unsettled : collection of Chunk
        Those that the next run has to read, whatever it finds.
    """
    key = _key(table)
    values = [name for name in columns if name not in key]
    stored = unlike.read(connection, table, project, [*columns, "since"])
    new = chosen(columns, unlike.rows)
    changes = compare(stored, new, key, values)
    lasting = [name for name in values if name not in drifting(columns)]
    anew = differs(stored, changes.before, new, changes.changed, lasting)
    since = np.full(len(unlike.rows), run, dtype=object)
    since[changes.changed[~anew]] = stored["since"][changes.before[~anew]]
    past = np.concatenate([changes.before[anew], changes.gone])
    _insert(connection, HISTORY[table], stored, past, {"project": project, "until": run})
    _replace(connection, table, project, {**new, "since": since}, stored, changes)
    for name in drifting(columns):
        new[name][changes.same] = stored[name][changes.same_before]  # a copy: what the database holds from now on
    keep_digests(connection, table, project, unlike, new, unsettled)


def write_counts(connection: Connection, project: int, columns: Columns) -> None:
    """Bring the numbers of a project's classifications to those of a run."""
    stored = read_columns(connection, REPORT_COUNT, REPORT_COUNT.c.project == project, list(columns))
    changes = compare(stored, columns, _key(REPORT_COUNT), ("classifications",))
    _replace(connection, REPORT_COUNT, project, columns, stored, changes)


def keep_digests(
    connection: Connection,
    table: Table,
    project: int,
    unlike: Unlike,
    written: Columns,
    unsettled: Collection[Chunk],
) -> None:
    """Keep the digests of the chunks that a run wrote.

    Parameters
    ----------
    written : dict of str to (n,) array
        The rows of those chunks as they are stored now.
    """
    now = {
        chunk: Digest(b"" if chunk in unsettled else digest, scores)
        for chunk, digest, scores in unlike.digests_of(written)
    }
    now |= {chunk: Digest(b"", b"") for chunk in unsettled if chunk not in now}
    before = _digest_columns(
        table, {chunk: unlike.stored[chunk] for chunk in unlike.chunks & unlike.stored.keys()}
    )
    new = _digest_columns(table, now)
    _replace(connection, DIGEST, project, new, before, compare(before, new, _key(DIGEST), ("digest", "scores")))


def _digest_columns(table: Table, digests: Mapping[Chunk, Digest]) -> Columns:
    rows = [{"rows_of": table.name, **chunk._asdict(), **digest._asdict()} for chunk, digest in digests.items()]
    return as_columns(DIGEST, rows)


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key if column.name != "project"]


def _replace(
    connection: Connection, table: Table, project: int, new: Columns, stored: Columns, changes: Changes
) -> None:
    """Delete the rows that are gone, replace those that changed, and insert the new ones."""
    key, of_project = _key(table), table.c.project == project
    if len(changes.gone):
        same = [table.c[name] == bindparam(f"_{name}") for name in key]
        rows = as_rows({f"_{name}": stored[name] for name in key}, changes.gone)
        connection.execute(delete(table).where(of_project, *same), rows)
    _insert(connection, table, new, changes.changed, {"project": project}, key)
    _insert(connection, table, new, changes.new, {"project": project})


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
    elif is_postgres and len(at):
        connection.execute(statement, [{**row, **shared} for row in as_rows(columns, at)])
    elif len(at):
        _insert_at_once(
            connection,
            table,
            statement.compile(dialect=connection.dialect, column_keys=names),
            columns,
            at,
            shared,
        )


def _insert_at_once(
    connection: Connection,
    table: Table,
    statement: SQLCompiler,
    columns: Columns,
    at: Positions,
    shared: Row,
) -> None:
    """Send rows as tuples: a dict for each row takes SQLAlchemy as long as it takes SQLite to store them."""
    for name, value in shared.items():
        as_stored = table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        shared = {**shared, name: as_stored(value) if as_stored else value}
    for start in range(0, len(at), AT_ONCE):
        here = at[start : start + AT_ONCE]
        values = [
            repeat(shared[name], len(here)) if name in shared else values_of(columns[name][here])
            for name in statement.positiontup or ()
        ]
        connection.exec_driver_sql(str(statement), [*zip(*values, strict=True)])


def _copy(connection: Connection, table: Table, columns: Columns, at: Positions, shared: Row) -> None:
    """Send rows as PostgreSQL reads them fastest: text, a tab between values (its manual, COPY, "Text Format")."""
    texts = [[_as_text(value) for value in column[at].tolist()] for column in columns.values()]
    texts += [[_as_text(value)] * len(at) for value in shared.values()]
    lines = io.StringIO("".join("\t".join(row) + "\n" for row in zip(*texts, strict=True)))
    cursor: Any = connection.connection.cursor()
    cursor.copy_expert(f"COPY {table.name} FROM STDIN", lines)


def _as_text(value: Any) -> str:  # noqa: ANN401  # whatever a column holds
    r"""Write a value for COPY; None and NaN are missing.

    >>> print(_as_text(None), _as_text("a\tb"), _as_text(0.5), _as_text(b"\xff"))
    \N a\tb 0.5 \\xff
    """
    if value is None or value != value:  # noqa: PLR0124  # NaN is unlike itself
        return "\\N"
    if isinstance(value, bytes):
        return f"\\\\x{value.hex()}"
    return str(value).translate(ESCAPES)


def counted(classifications: Columns) -> Columns:
    """Count classifications by control, label and report: a page shows the number without reading them."""
    key = ("control", "label", "report")
    number, _ = codes(classifications, {name: classifications[name][:0] for name in key}, key)
    _, first, times = np.unique(number, return_index=True, return_counts=True)
    columns = {name: classifications[name][first] for name in key}
    return {**columns, "classifications": times.astype(np.int64)}


def keep_ledger(
    connection: Connection, run: Row, votes: Columns, unlike: Unlike, coverage: Coverage
) -> set[Chunk]:
    """Enter the votes that a run saw first, and end those that it missed.

    Returns
    -------
    set of Chunk
        Where an entry stays open although its vote is not there: the next run has to look again.
    """
    entries = unlike.read(
        connection, LEDGER, run["project"], [*ENTRY, "since", "annotation"], LEDGER.c.until.is_(None)
    )
    votes = chosen(votes, unlike.rows)
    votes["kind"] = np.where(votes["vote"] == "unsure", "unsure", "answer").astype(object)
    first, at_entry, at_vote = _differing(entries, votes)
    shared = {"project": run["project"], "since": run["started_at"], "until": None}
    _insert(connection, LEDGER, {name: votes[name] for name in (*ENTRY, "annotation")}, first, shared)
    change = ledger_changes(as_rows(entries, at_entry), as_rows(votes, at_vote), coverage)
    if change.ended:
        key = (*ENTRY, "since")
        same = [LEDGER.c[name] == bindparam(f"_{name}") for name in key]
        connection.execute(
            update(LEDGER).where(LEDGER.c.project == run["project"], *same).values(until=run["started_at"]),
            [{f"_{name}": entry[name] for name in key} for entry in change.ended],
        )
    if change.new:
        connection.execute(insert(LEDGER), [{**entry, **shared} for entry in change.new])
    return {Chunk(entry["control"], entry["task"] // TASKS) for entry in change.unseen}


def _differing(entries: Columns, votes: Columns) -> tuple[Positions, Positions, Positions]:
    """Find where entries and votes differ, by control, task and kind.

    Returns
    -------
    first : (n,) intp
        Votes, one an annotator, where there is no entry: they are entered as they are.
    entries, votes : (n,) intp
        Those of the places where there is an entry, and not each entry has its vote and each vote its entry.
    """
    entry, vote = codes(entries, votes, ENTRY)
    entry_place, vote_place = codes(entries, votes, PLACE)
    is_new, is_first = ~np.isin(vote, entry), ~np.isin(vote_place, entry_place)
    places = np.concatenate([entry_place[~np.isin(entry, vote)], vote_place[is_new]])
    return (
        np.flatnonzero(is_first)[np.unique(vote[is_first], return_index=True)[1]],
        np.flatnonzero(np.isin(entry_place, places)),
        np.flatnonzero(np.isin(vote_place, places) & ~is_first),
    )


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
