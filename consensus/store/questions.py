"""What every part of the store that answers questions is made of."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Select

from consensus.store.columns import Row


class Questions:
    """Questions to the store.

    Parameters
    ----------
    reading : callable
        Opens the transaction of one question.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._reading = reading

    def _rows(self, query: Select[Any]) -> list[Row]:
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]
