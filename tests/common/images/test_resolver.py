import ipaddress
import threading
import time
from typing import Any

import pytest

from common.errors import FetchError
from common.images.resolver import Resolver


def rows(*addresses: str) -> list[Any]:
    """What the system answers."""
    return [(None, None, None, "", (address, 0)) for address in addresses]


def soon() -> float:
    """A moment that is no test's last."""
    return time.monotonic() + 10


def test_a_name_has_its_addresses() -> None:
    """The addresses come in the system's order, each once."""
    resolver = Resolver(lambda _: rows("::1", "127.0.0.1", "::1"))
    assert [str(address) for address in resolver.addresses("a.example", soon())] == ["::1", "127.0.0.1"]


def test_an_address_is_not_looked_up() -> None:
    """An address is its own answer."""
    resolver = Resolver(lambda _: pytest.fail("looked up"))
    assert resolver.addresses("10.0.0.1", soon()) == (ipaddress.ip_address("10.0.0.1"),)


def test_this_machine_is_known() -> None:
    """The system knows the name of this machine, and not one that cannot exist."""
    resolver = Resolver()
    assert all(address.is_loopback for address in resolver.addresses("localhost", soon()))
    with pytest.raises(FetchError, match="unknown_host"):
        resolver.addresses("a" * 64 + ".invalid", soon())


def test_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is asked for once within some seconds, also one that does not exist, and then again."""
    asked: list[str] = []

    def lookup(host: str) -> list[Any]:
        asked.append(host)
        return rows("127.0.0.1") if host == "a.example" else []

    resolver = Resolver(lookup)
    for _ in range(3):
        resolver.addresses("a.example", soon())
        with pytest.raises(FetchError, match="unknown_host"):
            resolver.addresses("b.example", soon())
    assert asked == ["a.example", "b.example"]
    monkeypatch.setattr("common.images.resolver._KEPT_S", 0)
    resolver = Resolver(lookup)
    for _ in range(2):
        resolver.addresses("a.example", soon())
    assert asked[2:] == ["a.example", "a.example"]


def test_few_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the names that tasks invent."""
    monkeypatch.setattr("common.images.resolver._KEPT", 3)
    asked: list[str] = []
    resolver = Resolver(lambda name: asked.append(name) or rows("127.0.0.1"))
    for number in (*range(10), 7, 8, 9, 6):
        resolver.addresses(f"{number}.example", soon())
    assert asked[10:] == ["6.example"]


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long"), ZeroDivisionError()])
def test_a_lookup_that_fails_is_an_unknown_host(error: Exception) -> None:
    """Whatever goes wrong, nobody waits for an answer that does not come."""

    def lookup(_: str) -> list[Any]:
        raise error

    with pytest.raises(FetchError, match="unknown_host"):
        Resolver(lookup).addresses("a.example", soon())


def test_a_lookup_that_hangs_costs_its_own_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that is silent is left in time, its threads are few, and other names wait for none of them."""
    monkeypatch.setattr("common.images.resolver._AT_A_TIME", 2)
    released = threading.Event()

    def lookup(host: str) -> list[Any]:
        if host != "good.example":
            released.wait(30)
        return rows("127.0.0.1")

    resolver, before = Resolver(lookup), threading.active_count()
    for _ in range(3):  # one thread: they wait for the same answer
        with pytest.raises(FetchError, match="timeout"):
            resolver.addresses("silent.example", time.monotonic())
    assert resolver.addresses("good.example", soon())
    for number in range(3):
        with pytest.raises(FetchError, match="timeout"):
            resolver.addresses(f"{number}.example", time.monotonic())
    assert threading.active_count() <= before + 2
    released.set()
    assert resolver.addresses("silent.example", soon())
