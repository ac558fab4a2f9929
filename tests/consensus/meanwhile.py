"""Something that happens while a command reads the store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy


@contextmanager
def after_the_first_question(happens: Callable[[], None]) -> Iterator[None]:
    """Once the latest run has been asked for, let something happen, as if in another process."""
    waiting = [happens]

    def asked(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if waiting and statement.startswith("SELECT run.id"):
            waiting.pop()()

    sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", asked)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", asked)
    assert not waiting
