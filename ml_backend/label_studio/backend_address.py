"""The address at which Label Studio knows the backend, and which hosts Label Studio makes webhooks for."""

import re
from urllib.parse import urlsplit

from common.images.addresses import ip_literal, is_public

_LABEL = re.compile(r"(?!-)[a-z0-9\u00a1-\uffff-]{1,63}(?<!-)")
_LAST_LABEL = re.compile(r"(?!-)([a-z\u00a1-\uffff-]{2,63}|xn--[a-z0-9]{1,59})(?<!-)")
_PORTS = {"http": 80, "https": 443}


def webhook_address(url: str) -> str:
    """Return the address to which Label Studio reports events of a backend.

    Examples
    --------
    >>> webhook_address("http://ml-backend.internal:9090/")
    'http://ml-backend.internal:9090/webhook'
    """
    return url.rstrip("/") + "/webhook"


def same_address(left: str, right: str) -> bool:
    """Return whether two addresses lead to the same place, however they are spelled.

    Examples
    --------
    >>> same_address("http://ML-Backend.internal:80/", "http://ml-backend.internal")
    True
    """
    return _canonical(left) == _canonical(right)


def same_server(left: str, right: str) -> bool:
    """Return whether two addresses name the same program, perhaps with other paths.

    Examples
    --------
    >>> same_server("http://ml-backend.internal:9090/health", "http://ml-backend.internal:9090")
    True
    """
    return _canonical(left)[:3] == _canonical(right)[:3]


def is_slip_of(left: str, right: str) -> bool:
    """Return whether one address is the other with steps of a path behind it, as a slip makes it.

    Other paths of a server may be other programs, behind one proxy.

    Examples
    --------
    >>> is_slip_of("http://ml.example.org/health", "http://ml.example.org")
    True
    >>> is_slip_of("http://ml.example.org/team", "http://ml.example.org/teams")
    False
    """
    shorter, longer = sorted((f"{_canonical(left)[3]}/", f"{_canonical(right)[3]}/"), key=len)
    return same_server(left, right) and longer.startswith(shorter)


def shorter_addresses(url: str) -> list[str]:
    """Return an address without the last steps of its path, the nearest first.

    Examples
    --------
    >>> shorter_addresses("http://ml.example.org/team/health")
    ['http://ml.example.org/team', 'http://ml.example.org']
    """
    address = urlsplit(url)
    steps = [step for step in address.path.split("/") if step]
    return [
        "/".join([f"{address.scheme}://{address.netloc}", *steps[:count]])
        for count in range(len(steps) - 1, -1, -1)
    ]


def without_password(url: str) -> str:
    """Return an address as it may be shown to anybody.

    Examples
    --------
    >>> without_password("http://me:secret@ml.example.org:9090")
    'http://ml.example.org:9090'
    """
    head, separator, tail = url.partition("://")
    place, slash, path = tail.partition("/")
    return head + separator + place.rpartition("@")[2] + slash + path if separator else url


def host_of(url: str) -> str:
    """Return the host of an address in lower case; empty where there is none.

    Examples
    --------
    >>> host_of("http://[FD00::5]:9090/x")
    'fd00::5'
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_private(url: str) -> bool | None:
    """Return whether the host is a private address or ``localhost``; None where only its name is known.

    Examples
    --------
    >>> is_private("http://10.0.0.5:9090"), is_private("http://1.1.1.1"), is_private("http://ml.example.org")
    (True, False, None)
    """
    host = host_of(url)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = ip_literal(host)
    return None if address is None else not is_public(address)


def webhook_refusal(url: str) -> str | None:
    """Return why Label Studio makes no webhook for an address; None where it does.

    Its webhooks take what Django's ``URLValidator`` takes: https://docs.djangoproject.com/en/5.1/ref/validators/

    Examples
    --------
    >>> webhook_refusal("http://ml-backend:9090")
    "its host name 'ml-backend' has no dot"
    >>> webhook_refusal("http://ml-backend.internal:9090") is None
    True
    """
    host = host_of(url)
    if not host:
        return "it has no host"
    if host == "localhost" or ip_literal(host) is not None:
        return None
    *firsts, last = host.removesuffix(".").split(".")
    if not firsts:
        return f"its host name {host!r} has no dot"
    if "_" in host:
        return f"its host name {host!r} has an underscore"
    if not all(_LABEL.fullmatch(label) for label in firsts) or not _LAST_LABEL.fullmatch(last):
        return f"its host name {host!r} does not end in two or more letters, as .internal does"
    return None


def _canonical(url: str) -> tuple[str, str, int | None, str]:
    try:
        parsed = urlsplit(url.strip())
        port = parsed.port
    except ValueError:
        return "", url.strip(), None, ""
    return parsed.scheme, parsed.hostname or "", port or _PORTS.get(parsed.scheme), parsed.path.rstrip("/")
