"""A transport of httpx that connects only to allowed addresses, and whose every step ends in time."""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from common.errors import FetchError
from common.images.addresses import Address, AllowedHosts
from common.images.resolver import Resolver

_PORTS = {"http": 80, "https": 443}
_CONNECT_S = 5.0
_SILENT_S = 10.0  # without a byte
_ADDRESSES = 4  # of a host, until one answers
_AVOIDED_S = 5.0  # an address that did not answer to a connection
_AVOIDED = 1000  # addresses
_KEPT_S = 15.0
_KEPT = 16  # idle connections; each request looks at all of them
_AT_A_TIME = 100
_REST_BYTES = 65_536


class CheckedTransport(httpx.BaseTransport):
    """Connections to the hosts of a list, kept for the next request.

    A name is looked up here, its addresses are checked, and the connection goes to one that passed: a second
    lookup between check and connection could answer differently. TLS still checks that the certificate fits the
    name. The environment's proxies are not used, since they would connect for us, unchecked.

    Parameters
    ----------
    max_bytes : int
        Of a whole answer, with its head and whatever it has besides its body.
    """

    def __init__(self, hosts: AllowedHosts, resolver: Resolver, max_bytes: int) -> None:
        self._hosts = hosts
        self._network = _CheckedNetwork(hosts, resolver, max_bytes)
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(),
            max_connections=_AT_A_TIME,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_KEPT_S,
            network_backend=self._network,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a GET; its extension ``ends_at``, on the monotonic clock, holds for the body too.

        Raises
        ------
        FetchError
            With reason ``host_not_allowed``, ``private_address``, ``unknown_host``, ``timeout``, ``unreachable``,
            ``tls_failed``, ``too_many_bytes`` or ``broken_answer``; also while the body is read.
        """
        host, port = host_and_port(request.url)
        if refusal := self._hosts.refusal_before_lookup(host, port):
            raise FetchError(refusal)
        ends_at = request.extensions["ends_at"]
        # httpcore limits each step alone, so the end of them all is passed on, and the network counts back.
        timeouts = dict.fromkeys(("connect", "read", "write"), ends_at)
        ours = httpcore.Request(
            "GET",
            httpcore.URL(scheme=request.url.scheme, host=host, port=port, target=request.url.raw_path),
            headers=request.headers.raw,
            extensions={"timeout": timeouts | {"pool": max(ends_at - time.monotonic(), 0)}},
        )
        with _reasons():
            response = self._send(ours)
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _send(self, request: httpcore.Request) -> httpcore.Response:
        """Ask again, over a new connection, where a kept one was closed or holds the rest of a false answer."""
        try:
            return self._pool.handle_request(request)
        except (httpcore.RemoteProtocolError, httpcore.ReadError):
            request.headers.append((b"Connection", b"close"))
            fresh = httpcore.HTTPConnection(request.url.origin, _tls(), network_backend=self._network)
            return fresh.handle_request(request)


class _Body(httpx.SyncByteStream):
    """The body of an answer as it comes, still in its content encoding."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _reasons():
            yield from self._response.iter_stream()

    def close(self) -> None:
        """Return the connection back.

        The short page that comes with a redirect or a failure is read: only then can its connection be used again.
        """
        if self._response.status != httpx.codes.OK:
            with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
                read = 0
                for chunk in self._response.iter_stream():
                    read += len(chunk)
                    if read > _REST_BYTES:
                        break
        self._response.close()


class _CheckedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that passed. A timeout is a moment here: see ``CheckedTransport.handle_request``."""

    def __init__(self, hosts: AllowedHosts, resolver: Resolver, max_bytes: int) -> None:
        self._hosts, self._resolver, self._max_bytes = hosts, resolver, max_bytes
        self._sockets = httpcore.SyncBackend()
        self._avoided: dict[tuple[Address, int], float] = {}

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        ends_at = float("inf") if timeout is None else timeout
        addresses = self._resolver.addresses(host, min(ends_at, time.monotonic() + _CONNECT_S))
        refusals = {address: self._hosts.refusal(host, port, address) for address in addresses}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            raise FetchError(next(iter(refusals.values())) or "host_not_allowed")
        failed: Exception = httpcore.ConnectError("did not answer a moment ago")
        for address in allowed[:_ADDRESSES]:
            if time.monotonic() < self._avoided.get((address, port), 0):
                continue
            try:
                stream = self._sockets.connect_tcp(
                    str(address), port, _left(ends_at, _CONNECT_S), local_address, socket_options
                )
                return _EndingStream(stream, self._max_bytes)
            except httpcore.ConnectTimeout as error:
                failed = error
                self._avoid(address, port)
            except httpcore.ConnectError as error:
                failed = error
        raise failed

    def _avoid(self, address: Address, port: int) -> None:
        """Spend the time that the next tasks of the same host would wait in vain on other tasks."""
        if len(self._avoided) >= _AVOIDED:
            self._avoided.clear()
        self._avoided[address, port] = time.monotonic() + _AVOIDED_S


class _EndingStream(httpcore.NetworkStream):
    """A connection that ends a trickle in time, and a flood after so many bytes for each request."""

    def __init__(self, stream: httpcore.NetworkStream, max_bytes: int) -> None:
        self._stream, self._max_bytes = stream, max_bytes
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._received > self._max_bytes:
            raise FetchError("too_many_bytes")
        received = self._stream.read(max_bytes, _left(timeout, _SILENT_S))
        self._received += len(received)
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._received = 0
        self._stream.write(buffer, _left(timeout, _SILENT_S))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, _left(timeout, _CONNECT_S))
        except httpcore.ConnectError:  # above all a certificate that nobody vouches for, or for another name
            raise FetchError("tls_failed") from None
        return _EndingStream(stream, self._max_bytes)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's
        return self._stream.get_extra_info(info)


def host_and_port(url: httpx.URL) -> tuple[str, int]:
    """Return the host of an http address as it goes over the network, and its port."""
    return url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException:
        raise FetchError("timeout") from None
    except httpcore.NetworkError:
        raise FetchError("unreachable") from None
    except httpcore.ProtocolError:
        raise FetchError("broken_answer") from None


def _left(ends_at: float | None, at_most: float) -> float:
    """Return the time for one step.

    Raises
    ------
    httpcore.ReadTimeout
        If there is none left.
    """
    left = at_most if ends_at is None else min(ends_at - time.monotonic(), at_most)
    if left <= 0:
        raise httpcore.ReadTimeout("the time for the whole is over")
    return left


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Read the certificates, once: that takes longer than many downloads."""
    return httpx.create_ssl_context()
