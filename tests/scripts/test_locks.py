"""The lock file: one at a time, and the wait for it can be called off."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import locks

if TYPE_CHECKING:
    from pathlib import Path


def test_one_at_a_time(tmp_path: Path) -> None:
    """Who comes second is told to wait, and gets the lock when the first one is done."""
    path, order, waiting = tmp_path / "sub" / "lock", list[str](), threading.Event()

    def second() -> None:
        with locks.held(path, lambda line: (order.append(line), waiting.set())):
            order.append("second")

    thread = threading.Thread(target=second)
    with locks.held(path):
        thread.start()
        assert waiting.wait(20)
        order.append("first")
    thread.join(20)
    assert [line for line in order if line in {"first", "second"}] == ["first", "second"]
    assert order[0] == "another run is working on it; waiting"


def test_the_wait_can_be_called_off(tmp_path: Path) -> None:
    """An interrupt does not wait for the other run to end."""
    cancelled = threading.Event()
    path = tmp_path / "lock"
    with locks.held(path), locks.held(path, lambda _line: cancelled.set(), cancelled):
        entered = cancelled.is_set()
    assert entered
