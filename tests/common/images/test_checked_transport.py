import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from faulty_web import FaultyWeb, faulty_web, page

from common.errors import FetchError
from common.images import checked_transport as module
from common.images.addresses import AllowedHosts
from common.images.checked_transport import CheckedTransport
from common.images.resolver import Resolver

NAME = "images.example"


@pytest.fixture
def web() -> Iterator[FaultyWeb]:
    """A real server with a picture."""
    with faulty_web() as made:
        made.pages["/a.png"] = page(b"picture")
        yield made


class Names:
    """Answers with one list of addresses after the other, the last one again and again; counts the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, _: str) -> list[Any]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(None, None, None, "", (address, 0)) for address in addresses]


@contextmanager
def checked(hosts: str, names: Names) -> Iterator[CheckedTransport]:
    """Connections in a world where names lead to those addresses."""
    made = CheckedTransport(AllowedHosts.parse(hosts), Resolver(names), 100_000)
    try:
        yield made
    finally:
        made.close()


def get(connections: CheckedTransport, url: str, seconds: float = 10) -> bytes:
    """The body of a page."""
    request = httpx.Request("GET", url, extensions={"ends_at": time.monotonic() + seconds})
    with closing(connections.handle_request(request)) as response:
        return response.read()


def reason(connections: CheckedTransport, url: str, seconds: float = 10) -> str:
    """Why there is none."""
    with pytest.raises(FetchError) as refused:
        get(connections, url, seconds)
    return refused.value.reason


def test_the_connection_goes_to_the_address_that_was_checked(
    web: FaultyWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to a private address the second time is asked for once a connection, and refused then."""
    monkeypatch.setattr("common.images.resolver._KEPT_S", 0)
    names, url = Names(["127.0.0.1"], ["10.0.0.1"]), f"http://{NAME}:{web.port}/a.png"
    with checked("127.0.0.1", names) as connections:
        assert get(connections, url) == get(connections, url) == b"picture"
        assert names.asked == 1
        connections.close()  # idle connections; the next request makes another one
        assert reason(connections, url) == "private_address"
        assert names.asked == 2


def test_only_addresses_that_pass_are_asked(web: FaultyWeb) -> None:
    """Of several addresses of a name, private ones that are not listed are left out."""
    with checked("127.0.0.1", Names(["10.0.0.1", "::1", "127.0.0.1"])) as connections:
        assert get(connections, f"http://{NAME}:{web.port}/a.png") == b"picture"


def test_another_address_is_tried(web: FaultyWeb) -> None:
    """Where nobody answers at the first address of a name, the next one is asked."""
    with checked(NAME, Names(["127.0.0.2", "127.0.0.1"])) as connections:
        assert get(connections, f"http://{NAME}:{web.port}/a.png") == b"picture"


def test_a_public_address_needs_the_list_too() -> None:
    """A name is looked up only if it may pass, and its address must then be listed."""
    names = Names(["1.1.1.1"])
    with checked("other.example", names) as connections:
        assert reason(connections, f"http://{NAME}/a.png") == "host_not_allowed"
        assert names.asked == 0
    with checked("10.0.0.0/8", names) as connections:
        assert reason(connections, f"http://{NAME}/a.png") == "host_not_allowed"
        assert names.asked == 1


def test_a_name_without_addresses_is_unknown() -> None:
    """No address, no connection."""
    with checked(NAME, Names([])) as connections:
        assert reason(connections, f"http://{NAME}/a.png") == "unknown_host"


@contextmanager
def silent() -> Iterator[str]:
    """The address of a picture at a port that does not answer to a connection."""
    with ExitStack() as ending:
        full = ending.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # then the queue of connections is full
            client = ending.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(full.getsockname())
        yield f"http://{NAME}:{full.getsockname()[1]}/a.png"


def test_an_address_that_does_not_answer_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second task of a host behind a silent wall does not wait for it again; a later one tries it anew."""
    monkeypatch.setattr(module, "_AVOIDED", 1)
    with silent() as url, silent() as other, checked(NAME, Names(["127.0.0.1"])) as connections:
        assert reason(connections, url, 0.3) == "timeout"
        assert reason(connections, url, 60) == "unreachable"  # a connection that is tried ends with "timeout"
        assert reason(connections, other, 0.3) == "timeout"  # of more addresses than one none is remembered
        assert reason(connections, url, 0.3) == "timeout"


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[int]:
    """A server whose certificate, signed by itself, is for ``images.example``; yields its port."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on the PATH to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    made += ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(65536)
                    secured.sendall(page(b"picture"))
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_the_certificate_must_fit_the_name(
    tls_server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the connection goes to an address, the certificate is checked, and for the name."""
    hosts, names = f"{NAME},other.example", Names(["127.0.0.1"])
    with checked(hosts, names) as connections:
        assert reason(connections, f"https://{NAME}:{tls_server}/a.png") == "tls_failed"  # nobody vouches for it
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    module._tls.cache_clear()
    try:
        with checked(hosts, names) as connections:
            assert get(connections, f"https://{NAME}:{tls_server}/a.png") == b"picture"
            assert reason(connections, f"https://other.example:{tls_server}/a.png") == "tls_failed"
    finally:
        module._tls.cache_clear()


def test_what_does_not_speak_tls_fails_to() -> None:
    """A server of plain text is no server of HTTPS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with checked("127.0.0.1", Names([])) as connections:
            assert reason(connections, f"https://127.0.0.1:{listening.getsockname()[1]}/a.png") == "tls_failed"
        thread.join(10)
