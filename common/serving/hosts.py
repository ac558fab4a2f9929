"""Under which names a service answers: a web page could reach it under a name of its own (DNS rebinding)."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

# https://www.iana.org/assignments/special-use-domain-names, .internal, and what routers call their networks
_NEVER_PUBLIC = ("internal", "local", "localhost", "lan", "test", "home.arpa")
_EVERY = "*"


@dataclass(frozen=True)
class Hosts:
    """Names that requests may have in their Host header, besides those that nobody else can own.

    Addresses, names without a dot, as containers have, and endings such as ``.internal`` are always answered.

    Parameters
    ----------
    names : tuple of str
        Names, ``*.example.org`` for all names below one, ``*`` for any.
    setting : str
        What names them, for the refusal.
    """

    names: tuple[str, ...]
    setting: str

    @classmethod
    def parse(cls, text: str, setting: str, *others: str) -> "Hosts":
        """Read names with commas between them; others are added.

        Examples
        --------
        >>> Hosts.parse("ml.example.org, *.example.net", "HOSTS").names
        ('ml.example.org', '*.example.net')
        """
        return cls(tuple(name.strip().lower() for name in (*text.split(","), *others) if name.strip()), setting)

    def allow(self, host: str) -> bool:
        """Return whether requests with this Host header are answered; one without is of no browser.

        Examples
        --------
        >>> ours = Hosts(("ml.example.org", "*.example.net"), "HOSTS")
        >>> [ours.allow(host) for host in ("ML.example.org:9090", "a.example.net", "[::1]:9090", "ml-backend", "")]
        [True, True, True, True, True]
        >>> [ours.allow(host) for host in ("example.net", "evil.example", "10.0.0.1.evil.example", "[")]
        [False, False, False, False]
        """
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        return (
            "." not in name
            or _is_address(name)
            or name.endswith(tuple(f".{ending}" for ending in _NEVER_PUBLIC))
            or any(_fits(name, allowed) for allowed in self.names)
        )

    def refusal(self, host: str) -> str:
        """Say what helps."""
        return f"this service does not answer to the host {host[:100]!r}: name it in {self.setting}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _fits(name: str, allowed: str) -> bool:
    return allowed in (_EVERY, name) or (allowed.startswith("*.") and name.endswith(allowed[1:]))
