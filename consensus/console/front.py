"""One address for both: programs reach the API, people the console."""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from flask import Flask

from consensus.errors import ConfigError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

API = frozenset({"api", "health", "metrics", "openapi.json", "webhook"})
"""First words of the paths that the API answers; all others are pages."""

Network = IPv4Network | IPv6Network


def proxies_in(text: str) -> tuple[Network, ...]:
    """Return the addresses and networks of a setting, which commas separate.

    Raises
    ------
    ConfigError
        Where one is none.
    """
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigError(f"CONSENSUS_PROXIES: {error}; name addresses or networks, as in 10.213.83.14") from None


def visitor_of(address: str, forwarded: str, proxies: Collection[Network]) -> str:
    """Return who asks: the last of those that a request was passed on for that is no proxy of ours.

    Parameters
    ----------
    address : str
        Where the request comes from.
    forwarded : str
        Its X-Forwarded-For, of which only what our own proxies have added is believed.

    Examples
    --------
    >>> ours = proxies_in("10.0.0.0/8")
    >>> visitor_of("10.0.0.7", "192.0.2.1, 198.51.100.9, 10.0.0.8", ours)
    '198.51.100.9'
    >>> visitor_of("203.0.113.5", "10.0.0.1", ours)
    '203.0.113.5'
    """
    hops = [hop.strip() for hop in forwarded.split(",")]
    while hops and any(ip in network for ip in _addresses(address) for network in proxies):
        if not _addresses(hop := hops.pop()):
            break
        address = hop
    return address


def _addresses(text: str) -> list[IPv4Address | IPv6Address]:
    try:
        return [ip_address(text)]
    except ValueError:
        return []


class Front:
    """The API and the console as one application.

    Parameters
    ----------
    prefix : str
        Path before the addresses of the pages, where a proxy puts them below one; as in "/consensus".
    https : bool
        Whether people come over TLS, which a proxy ends.
    proxies : collection of networks
        Of those that are believed who asks.
    """

    def __init__(
        self,
        api: Flask,
        console: Flask,
        prefix: str = "",
        *,
        https: bool = False,
        proxies: Collection[Network] = (),
    ) -> None:
        self._api, self._console, self._prefix, self._https = api, console, prefix, https
        self._proxies = proxies

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request, whether or not the proxy has taken the prefix off its path."""
        path = str(environ.get("PATH_INFO", ""))
        if path.lstrip("/").partition("/")[0] in API:
            return self._api(environ, start_response)
        if self._prefix:
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                path = path.removeprefix(self._prefix)
            environ = {**environ, "SCRIPT_NAME": self._prefix, "PATH_INFO": path or "/"}
        if self._https:
            environ = {**environ, "wsgi.url_scheme": "https"}
        if self._proxies:
            forwarded = str(environ.get("HTTP_X_FORWARDED_FOR", ""))
            address = visitor_of(str(environ.get("REMOTE_ADDR", "")), forwarded, self._proxies)
            environ = {**environ, "REMOTE_ADDR": address}
        return self._console(environ, start_response)
