import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.images.addresses import AllowedHosts, ip_literal, is_public

PUBLIC = ipaddress.ip_address("1.1.1.1")
PRIVATE = ipaddress.ip_address("10.1.2.3")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::10.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:a00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_private_addresses(address: str) -> None:
    """Own networks, shared and reserved ones, those of metadata services, and IPv6 forms of all these."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::"],
)
def test_public_addresses(address: str) -> None:
    """The public internet, also as IPv6 forms of its IPv4 addresses."""
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_no_public_address_is_unknown_to_python(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """What counts as public here is global for Python's own table too."""
    if is_public(address) and not getattr(address, "ipv4_mapped", None):
        assert address.is_global
        assert not address.is_multicast


def refusal(entries: str, host: str, port: int = 80, address: object = PUBLIC) -> str | None:
    """Why a list refuses a host."""
    return AllowedHosts.parse(entries).refusal(host, port, address)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "host", "port", "allowed"),
    [
        ("", "a.example", 80, False),
        ("a.example", "a.example", 80, True),
        ("a.example", "A.Example.", 8080, True),
        ("A.EXAMPLE.", "a.example", 80, True),
        ("a.example:8080", "a.example", 8080, True),
        ("a.example:8080", "a.example", 80, False),
        ("a.example", "b.a.example", 80, False),
        ("a.example", "xa.example", 80, False),
        ("*.a.example", "b.a.example", 80, True),
        ("*.a.example", "c.b.a.example", 80, True),
        ("*.a.example", "a.example", 80, False),
        ("*.a.example", "xa.example", 80, False),
        ("*.a.example:443", "b.a.example", 80, False),
        ("*", "a.example", 12345, True),
        (" b.example , a.example,", "a.example", 80, True),
        ("bücher.example", "xn--bcher-kva.example", 80, True),
        ("1.1.1.0/24", "a.example", 80, True),
        ("1.1.1.1:443", "a.example", 80, False),
    ],
)
def test_public_hosts(entries: str, host: str, port: int, allowed: bool) -> None:  # noqa: FBT001
    """A host is allowed by its name, its domain, its address or a star; a port in the list is the only one."""
    assert refusal(entries, host, port) == (None if allowed else "host_not_allowed")


@pytest.mark.parametrize(
    ("entries", "host", "address", "allowed"),
    [
        ("*", "a.example", "10.1.2.3", False),
        ("*.example", "a.example", "10.1.2.3", False),
        ("a.example", "a.example", "10.1.2.3", True),
        ("10.1.2.3", "a.example", "10.1.2.3", True),
        ("10.1.2.3", "a.example", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "a.example", "10.1.2.3", True),
        ("10.2.0.0/16", "a.example", "10.1.2.3", False),
        ("[fd00::5]:80", "a.example", "fd00::5", True),
        ("fd00::/8", "a.example", "fd12::1", True),
        ("::1", "a.example", "127.0.0.1", False),
    ],
)
def test_private_hosts(entries: str, host: str, address: str, allowed: bool) -> None:  # noqa: FBT001
    """A private address is allowed only if the very host, the address or its range is in the list."""
    assert refusal(entries, host, 80, ipaddress.ip_address(address)) == (None if allowed else "private_address")


def test_a_host_that_cannot_pass_is_not_looked_up() -> None:
    """Asking a name server tells it the name; that is left out where no answer could help."""
    hosts = AllowedHosts.parse("a.example,10.0.0.5:8080")
    before = hosts.refusal_before_lookup
    assert before("a.example", 80) is None
    assert before("b.example", 80) == "host_not_allowed"
    assert before("b.example", 8080) is None  # it may be 10.0.0.5
    assert before("10.0.0.5", 8080) is None
    assert before("10.0.0.5", 80) == "private_address"
    assert before("1.1.1.1", 80) == "host_not_allowed"


def test_every_public_host_can_be_added() -> None:
    """With the public hosts the named ones stay as they are."""
    hosts = AllowedHosts.parse("a.example").with_any_public()
    assert hosts.refusal("b.example", 80, PUBLIC) is None
    assert hosts.refusal("b.example", 80, PRIVATE) == "private_address"
    assert hosts.refusal("a.example", 80, PRIVATE) is None


@pytest.mark.parametrize("host", ["label-studio", "127.0.0.1", "::1"])
def test_one_host_is_allowed_at_its_port(host: str) -> None:
    """Label Studio is asked wherever it is, at its port alone."""
    hosts, address = AllowedHosts.exactly(host, 8080), ip_literal(host) or PRIVATE
    assert hosts.refusal(host, 8080, address) is None
    assert hosts.refusal(host, 80, address) == "private_address"


@pytest.mark.parametrize(
    "entry",
    [
        "http://a.example",
        "https://a.example/",
        "a.example/path",
        "a.example:",
        "a.example:0",
        "a.example:70000",
        "a.example:http",
        "a.*.example",
        "*a.example",
        "*.",
        "**",
        "a..example",
        "-a.example",
        "user@a.example",
        "a b",
        "127.1",
        "0x7f000001",
        "10.0.0.256",
        "10.1.2.3/16",
        "[::1",
        "[::1]x",
        "a" * 64,
    ],
)
def test_a_wrong_entry_is_named(entry: str) -> None:
    """What is no host is refused, and the message names it among the right ones."""
    with pytest.raises(ValueError, match=r"no host|neither|port") as refused:
        AllowedHosts.parse(f"a.example, {entry}, b.example")
    assert repr(entry) in str(refused.value)


@given(st.text())
def test_any_text_is_a_list_or_an_error(text: str) -> None:
    """Nothing but a ValueError comes of a wrong list."""
    try:
        hosts = AllowedHosts.parse(text)
    except ValueError:
        return
    assert isinstance(hosts.refusal("a.example", 80, PUBLIC), str | None)
