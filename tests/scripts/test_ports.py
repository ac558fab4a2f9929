"""Ports: the usual one, a free one where it is busy, and a clear refusal of a busy one that was asked for."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from demonstration.errors import DemoError
from demonstration.ports import choose
from servers import free_port, is_free

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[int]:
    """Listen on a port of a host."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        listener.listen()
        yield listener.getsockname()[1]


def unexpected(line: str) -> None:
    """Stand where nothing should be said."""
    pytest.fail(f"nothing was to be said, but: {line}")


def test_the_usual_port_is_taken_where_it_is_free() -> None:
    """Nothing is said when all is as usual."""
    port = free_port()
    assert choose("Label Studio", None, port, "--port", unexpected) == port


def test_a_busy_usual_port_is_replaced_and_said() -> None:
    """The line names the busy port and the new one."""
    sentences: list[str] = []
    with listening() as busy:
        chosen = choose("Label Studio", None, busy, "--port", sentences.append)
        assert sentences == [f"Port {busy} is busy: Label Studio gets port {chosen}."]
        assert is_free(chosen)


def test_a_busy_port_that_was_asked_for_is_refused() -> None:
    """The message names the port, the option and the remedy."""
    with listening() as busy, pytest.raises(DemoError, match=rf"Port {busy} for the ML backend.*--backend-port"):
        choose("the ML backend", busy, 9090, "--backend-port", unexpected)


def test_a_port_that_was_asked_for_is_taken() -> None:
    """The usual port does not matter then."""
    port = free_port()
    with listening() as busy:
        assert choose("Label Studio", port, busy, "--port", unexpected) == port


def test_a_listener_on_all_addresses_makes_a_port_busy() -> None:
    """A server on 0.0.0.0 would get the requests that are meant for ours."""
    with listening("0.0.0.0") as busy:
        assert not is_free(busy)
