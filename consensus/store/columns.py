"""Rows of a table as columns of numpy, and what differs between those that are stored and those that are new."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Boolean, Column, ColumnElement, Connection, Float, Integer, Table, select

Row = dict[str, Any]
Columns = dict[str, NDArray[Any]]
Positions = NDArray[np.intp]
READ_AT_ONCE = 50_000
TOLERANCE = 1e-4
"""A number that moved by less stays as it is stored: each new vote moves everybody's trust, and so every score, a
little, and nobody sees it."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What leads from the stored rows to the new ones.

    Attributes
    ----------
    new, changed : (n,) intp
        Positions among the new rows.
    before : (n_changed,) intp
        Positions of the changed ones among the stored rows.
    same, same_before : (n,) intp
        Positions of those that stay as they are, among the new and the stored rows.
    gone : (n,) intp
        Positions among the stored rows.
    """

    new: Positions
    changed: Positions
    before: Positions
    same: Positions
    same_before: Positions
    gone: Positions


def read_columns(
    connection: Connection,
    table: Table,
    where: ColumnElement[bool],
    names: Sequence[str],
    parameters: Sequence[Mapping[str, object]] = ({},),
    order: Sequence[ColumnElement[Any]] = (),
) -> Columns:
    """Read rows of a table as columns; an unknown number is NaN, anything else unknown is None.

    With several sets of parameters the rows of each, one after the other.
    """
    chosen = [table.c[name] for name in names]
    query = select(*chosen).where(where).order_by(*order).execution_options(yield_per=READ_AT_ONCE)
    blocks: list[list[NDArray[Any]]] = [[_array(column, ())] for column in chosen]
    shared: dict[object, object] = {}  # one object for each text, however many rows have it
    for each in parameters:
        for rows in connection.execute(query, each).partitions():
            for column, block, values in zip(chosen, blocks, zip(*rows, strict=True), strict=True):
                texts = [shared.setdefault(value, value) for value in values] if _is_text(column) else values
                block.append(_array(column, texts))
    return {column.name: np.concatenate(block) for column, block in zip(chosen, blocks, strict=True)}


def as_columns(table: Table, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Lay rows out in the columns of a table, but for the project; what a row does not name is unknown."""
    columns = [column for column in table.c if column.name not in ("project", "since")]
    return {column.name: _array(column, [row.get(column.name) for row in rows]) for column in columns}


def as_rows(columns: Columns, at: Positions | slice = slice(None)) -> list[Row]:
    """Turn columns, or some of their rows, into rows; NaN is None."""
    values = [values_of(column[at]) for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def chosen(columns: Columns, at: Positions | NDArray[np.bool_]) -> Columns:
    """Return some rows."""
    return {name: column[at] for name, column in columns.items()}


def compare(stored: Columns, new: Columns, key: Sequence[str], values: Sequence[str]) -> Changes:
    """Find what is new, changed and gone.

    Parameters
    ----------
    key : sequence of str
        Columns that name a row.
    values : sequence of str
        The others that count.
    """
    stored_code, new_code = codes(stored, new, key)
    order = np.argsort(stored_code, kind="stable")
    place = np.searchsorted(stored_code, new_code, sorter=order)
    there = place < len(order)
    there[there] = stored_code[order[place[there]]] == new_code[there]
    at, before = np.flatnonzero(there), order[place[there]]
    changed = differs(stored, before, new, at, values)
    gone = np.flatnonzero(~np.isin(stored_code, new_code))
    return Changes(np.flatnonzero(~there), at[changed], before[changed], at[~changed], before[~changed], gone)


def number_values(column: NDArray[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Number the different values of a column; return each row's number, and the values by their numbers."""
    if column.dtype != object:
        values, number = np.unique(column, return_inverse=True)
        return number.astype(np.int64), values.tolist()
    listed = column.tolist()
    numbers = {value: number for number, value in enumerate(dict.fromkeys(listed))}
    return np.fromiter(map(numbers.__getitem__, listed), np.int64, len(listed)), list(numbers)


def codes(first: Columns, second: Columns, key: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the rows of two tables so that two rows have one number where their keys are equal."""
    n = len(first[key[0]])
    code: NDArray[np.int64] = np.zeros(n + len(second[key[0]]), dtype=np.int64)
    for name in key:
        column, _ = number_values(np.concatenate([first[name], second[name]]))
        size = int(column.max(initial=0)) + 1
        if int(code.max(initial=0)) > np.iinfo(np.int64).max // size - 1:
            code = np.asarray(np.unique(code, return_inverse=True)[1], dtype=np.int64)
        code = np.asarray(code * size + column)
    return code[:n], code[n:]


def differs(
    stored: Columns, before: Positions, new: Columns, at: Positions, names: Iterable[str]
) -> NDArray[np.bool_]:
    """Whether rows differ in any of some columns; numbers by more than TOLERANCE."""
    result = np.zeros(len(at), dtype=bool)
    for name in names:
        old, now = stored[name][before], new[name][at]
        if now.dtype == np.float64:
            result |= has_moved(old, now)
        else:
            result |= np.asarray(old != now, dtype=bool)
    return result


def has_moved(old: NDArray[np.floating[Any]], now: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Whether numbers moved by more than TOLERANCE."""
    return np.asarray(~((np.abs(old - now) <= TOLERANCE) | (np.isnan(old) & np.isnan(now))), dtype=bool)


def _is_text(column: Column[Any]) -> bool:
    return not isinstance(column.type, (Integer, Float, Boolean))


def _array(column: Column[Any], values: Sequence[Any]) -> NDArray[Any]:
    if isinstance(column.type, Float):
        return np.array(values, dtype=np.float64)
    if not column.nullable and isinstance(column.type, (Integer, Boolean)):
        return np.array(values, dtype=bool if isinstance(column.type, Boolean) else np.int64)
    result = np.empty(len(values), dtype=object)
    result[:] = values
    return result


def values_of(column: NDArray[Any]) -> list[Any]:
    """Return the values of a column; NaN is None."""
    values: list[Any] = column.tolist()
    if column.dtype == np.float64 and np.isnan(column).any():
        return [None if value != value else value for value in values]  # noqa: PLR0124  # NaN
    return values
