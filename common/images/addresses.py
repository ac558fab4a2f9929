"""Which hosts and network addresses images may come from, so that no task reaches into a private network."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

import idna

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_WITH_PORT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:]*)(:(?P<port>[^:]*))?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_LONGEST_NAME = 253
_LAST_PORT = 65535

# https://www.iana.org/assignments/iana-ipv4-special-registry, multicast and reserved; and Azure's own services,
# which have an address that looks public and give secrets to whoever asks from inside.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet.

    An IPv6 address that stands for an IPv4 address (mapped, 6to4, NAT64) is judged as that one.

    Examples
    --------
    >>> is_public(ipaddress.ip_address("1.1.1.1"))
    True
    >>> is_public(ipaddress.ip_address("::ffff:169.254.169.254"))
    False
    """
    address = _plain(address)
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return isinstance(address, ipaddress.IPv4Address) or address in _GLOBAL_UNICAST


def ip_literal(host: str) -> Address | None:
    """Read a host that is an address; None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@dataclass(frozen=True)
class AllowedHosts:
    """A list of hosts that may be asked. A port of None stands for every port.

    Parameters
    ----------
    names : frozenset of (str, int or None)
        Whatever address they have.
    domains : tuple of (str, int or None)
        Endings such as ``.example.org``, as long as the address is public.
    networks : tuple of (Network, int or None)
        Whatever name leads there.
    any_public : bool
        Also every other host with a public address.
    """

    names: frozenset[tuple[str, int | None]] = frozenset()
    domains: tuple[tuple[str, int | None], ...] = ()
    networks: tuple[tuple[Network, int | None], ...] = ()
    any_public: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a comma-separated list.

        Parameters
        ----------
        text : str
            Entries such as ``images.example.org``, ``images.example.org:8080``, ``*.example.org`` (the hosts below
            it), ``10.0.0.5``, ``[fd00::5]:8080``, ``10.1.0.0/16`` and ``*`` (every public host).

        Raises
        ------
        ValueError
            Naming the entry that is none of these.

        Examples
        --------
        >>> AllowedHosts.parse("images.example.org, *.example.net:8080").domains
        (('.example.net', 8080),)
        """
        names: set[tuple[str, int | None]] = set()
        domains: list[tuple[str, int | None]] = []
        networks: list[tuple[Network, int | None]] = []
        any_public = False
        for entry in filter(None, (entry.strip() for entry in text.split(","))):
            if entry == "*":
                any_public = True
                continue
            host, port = _host_and_port(entry)
            if network := _network(host, entry):
                networks.append((network, port))
            elif host.startswith("*."):
                domains.append(("." + _name(host[2:], entry), port))
            else:
                names.add((_name(host, entry), port))
        return cls(frozenset(names), tuple(domains), tuple(networks), any_public)

    @classmethod
    def exactly(cls, host: str, port: int) -> Self:
        """Allow one host at one port, whatever its address."""
        if address := ip_literal(host):
            return cls(networks=((ipaddress.ip_network(address), port),))
        return cls(names=frozenset({(_normal(host), port)}))

    def with_any_public(self) -> "AllowedHosts":
        """Allow every public host as well."""
        return AllowedHosts(self.names, self.domains, self.networks, any_public=True)

    def refusal_before_lookup(self, host: str, port: int) -> str | None:
        """Return why a host can be refused without asking for its addresses, which by itself can tell secrets."""
        if address := ip_literal(host):
            return self.refusal(host, port, address)
        if self.any_public or self._names(host, port) or self._domains(host, port):
            return None
        return None if any(only in (None, port) for _, only in self.networks) else "host_not_allowed"

    def refusal(self, host: str, port: int, address: Address) -> str | None:
        """Return why a host must not be asked at one of its addresses.

        Returns
        -------
        str or None
            ``private_address``, ``host_not_allowed``, or None if it may.
        """
        if self._names(host, port) or self._networks(address, port):
            return None
        if not is_public(address):
            return "private_address"
        return None if self.any_public or self._domains(host, port) else "host_not_allowed"

    def _names(self, host: str, port: int) -> bool:
        name = _normal(host)
        return (name, None) in self.names or (name, port) in self.names

    def _domains(self, host: str, port: int) -> bool:
        name = _normal(host)
        return any(name.endswith(domain) and only in (None, port) for domain, only in self.domains)

    def _networks(self, address: Address, port: int) -> bool:
        forms = {address, _plain(address)}
        return any(
            only in (None, port) and any(form in network for form in forms) for network, only in self.networks
        )


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _normal(host: str) -> str:
    return host.lower().removesuffix(".")


def _host_and_port(entry: str) -> tuple[str, int | None]:
    """Split off a port. What has several colons and no brackets is an IPv6 address without one."""
    split = _WITH_PORT.fullmatch(entry)
    if split is None:
        return entry, None
    host, port = split["host"].removeprefix("[").removesuffix("]"), split["port"]
    if port is None:
        return host, None
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _LAST_PORT):
        raise ValueError(f"{entry!r} has no port between 1 and {_LAST_PORT} after its colon; write the host alone")
    return host, int(port)


def _network(host: str, entry: str) -> Network | None:
    """Read an address or a range of them; None if it is a name."""
    try:
        return ipaddress.ip_network(host)
    except ValueError as error:
        if "/" in host or ":" in host:
            raise ValueError(f"{entry!r} is neither a host nor a range of addresses ({error})") from None
        return None


def _name(name: str, entry: str) -> str:
    """Check a name and write it as it goes over the network."""
    try:
        wire = _normal(name) if name.isascii() else idna.encode(_normal(name)).decode("ascii")
    except idna.IDNAError:
        wire = ""
    in_disguise = _NUMBER.fullmatch(wire.rsplit(".", 1)[-1])  # 127.1 and 0x7f.1 are addresses
    if len(wire) > _LONGEST_NAME or in_disguise or not _NAME.fullmatch(wire):
        raise ValueError(
            f"{entry!r} is no host: write names such as images.example.org, *.example.org or "
            "images.example.org:8080, an address such as 10.0.0.5, a range such as 10.1.0.0/16, or * for every "
            "public host"
        )
    return wire
