"""Names become addresses within a limit of time: the system's own lookup has none."""

import ipaddress
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from common.errors import FetchError
from common.images.addresses import Address, ip_literal

Lookup = Callable[[str], list[Any]]

_AT_A_TIME = 8  # lookups; one that hangs keeps its thread until the system gives up
_KEPT_S = 10.0
_KEPT = 1000  # names


def system_lookup(host: str) -> list[Any]:
    """Ask the system, as it is set up, with its hosts file and name servers."""
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


class Resolver:
    """Looks names up in threads of its own, and remembers the answers, also bad ones, for a few seconds.

    Parameters
    ----------
    lookup : callable
        Gives the rows of ``socket.getaddrinfo`` for a name.
    """

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._answers: OrderedDict[str, tuple[float, Future[tuple[Address, ...]]]] = OrderedDict()
        self._lock = threading.Lock()
        self._free = threading.Semaphore(_AT_A_TIME)

    def addresses(self, host: str, ends_at: float) -> tuple[Address, ...]:
        """Return the addresses of a host, in the system's order.

        Parameters
        ----------
        host : str
            A name or an address.
        ends_at : float
            On the monotonic clock.

        Raises
        ------
        FetchError
            With reason ``unknown_host`` or ``timeout``.
        """
        if address := ip_literal(host):
            return (address,)
        try:
            addresses = self._lookup_of(host, ends_at).result(max(ends_at - time.monotonic(), 0))
        except TimeoutError:
            raise FetchError("timeout") from None
        if not addresses:
            raise FetchError("unknown_host")
        return addresses

    def _lookup_of(self, host: str, ends_at: float) -> "Future[tuple[Address, ...]]":
        with self._lock:
            kept_until, answer = self._answers.get(host, (0.0, None))
            if answer is not None and (time.monotonic() < kept_until or not answer.done()):
                return answer
        if not self._free.acquire(timeout=max(ends_at - time.monotonic(), 0)):
            raise FetchError("timeout")
        pending: Future[tuple[Address, ...]] = Future()
        with self._lock:
            self._answers[host] = (time.monotonic() + _KEPT_S, pending)
            self._answers.move_to_end(host)
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        # Daemons: a name server that does not answer must not keep the program from ending.
        threading.Thread(target=self._ask, args=(host, pending), name="lookup", daemon=True).start()
        return pending

    def _ask(self, host: str, pending: "Future[tuple[Address, ...]]") -> None:
        try:
            rows = self._lookup(host)
            pending.set_result(tuple(dict.fromkeys(ipaddress.ip_address(row[4][0]) for row in rows)))
        except Exception:  # noqa: BLE001 - not found, or no name at all; whatever it is, nobody must wait for it
            pending.set_result(())
        finally:
            self._free.release()
