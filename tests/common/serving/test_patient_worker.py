"""A server with four threads whose clients are slow, silent, odd or many."""

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("serving_program.py")
LIMIT_S = 1.0  # for which Label Studio waits
CONNECTIONS = 700
HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    log = tmp_path_factory.mktemp("served") / "log"
    with log.open("w") as file:
        served = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(number), str(CONNECTIONS)], stdout=file, stderr=file
        )
        try:
            ends_at = time.monotonic() + 60
            while time.monotonic() < ends_at and served.poll() is None:
                with contextlib.suppress(OSError):
                    if seconds_of_health(number) < LIMIT_S:
                        break
                time.sleep(0.1)
            yield number
        finally:
            served.terminate()
            assert served.wait(30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def seconds_of_health(port: int) -> float:
    """How long the health page takes, over a connection of its own."""
    began = time.monotonic()
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    asked.request("GET", "/health")
    assert asked.getresponse().read() == b"UP"
    asked.close()
    return time.monotonic() - began


def answers_at_once(port: int, times: int = 10) -> bool:
    """Whether most of some answers come while Label Studio waits; this machine may have other work."""
    return sorted(seconds_of_health(port) for _ in range(times))[times // 2] < LIMIT_S


def opened(port: int, sent: bytes = b"") -> socket.socket:
    """A connection over which something was sent."""
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.sendall(sent)
    return made


def received(connection: socket.socket, until: Callable[[bytes], bool]) -> bytes:
    """What comes until it suffices or the other side closes."""
    body = b""
    while not until(body) and (piece := connection.recv(1 << 20)):
        body += piece
    return body


SLOW = {
    "nothing": b"",
    "half a line": b"GET /hea",
    "half a head": HEAD,
    "half a body": HEAD + b"Content-Length: 100\r\n\r\nhalf",
    "half a large body": HEAD + b"Content-Length: 50000000\r\n\r\n" + b"x" * 1000,
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\nhalf",
    "a strange length": HEAD + b"Content-Length: 0000000000000000000009\r\n\r\n",
    "a folded length": HEAD + b"Content-Length:\r\n 9\r\n\r\n",
    "a wish": HEAD + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    "a kept connection": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "one and a half": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea",
    "no HTTP": b"nonsense\r\n\r\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_five_hundred_slow_clients_keep_nobody_waiting(port: int, name: str) -> None:
    """Whatever they have sent of a request, others are answered."""
    slow = [opened(port, SLOW[name]) for _ in range(500)]
    assert answers_at_once(port)
    for client in slow:
        client.close()


def test_a_byte_now_and_then_keeps_nobody_waiting(port: int) -> None:
    """Bodies that come drop by drop, more than there are threads."""
    slow = [opened(port, SLOW["half a body"]) for _ in range(40)]
    slow += [opened(port, SLOW["half a chunk"]) for _ in range(40)]
    for _ in range(5):
        for client in slow:
            with contextlib.suppress(OSError):
                client.sendall(b"x")
        assert answers_at_once(port, times=3)
    for client in slow:
        client.close()


def test_more_connections_than_there_is_room_for_cost_the_oldest(port: int) -> None:
    """Who has sent nothing for longest is closed; who comes is answered."""
    silent = [opened(port) for _ in range(CONNECTIONS + 100)]
    assert answers_at_once(port)
    assert silent[0].recv(1) == b""
    for client in silent:
        client.close()


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 20, 5 << 20])
@pytest.mark.parametrize("way", ["at once", "in pieces", "in chunks", "after a wish"])
def test_requests_of_every_size_come_through(port: int, size: int, way: str) -> None:
    """Twice over one connection, and what was sent is what comes back."""
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    length = f"Content-Length: {size}\r\n".encode()
    with opened(port) as connection:
        for _ in range(2):
            if way == "in chunks":
                chunk = f"{size:x}\r\n".encode() + body + b"\r\n" if size else b""
                connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
            elif way == "after a wish":
                connection.sendall(HEAD + b"Expect: 100-continue\r\n" + length + b"\r\n")
                if size:
                    assert received(connection, lambda answer: answer.endswith(b"\r\n\r\n")).startswith(
                        b"HTTP/1.1 100"
                    )
                connection.sendall(body)
            elif way == "in pieces":
                for piece in (HEAD[:20], HEAD[20:], length, b"\r", b"\n", body[: size // 2], body[size // 2 :]):
                    connection.sendall(piece)
                    time.sleep(0.01)
            else:
                connection.sendall(HEAD + length + b"\r\n" + body)
            answer = received(connection, lambda answer: b"\r\n\r\n" in answer.partition(b"HTTP/1.1 200")[2])
            head, _, rest = answer.partition(b"HTTP/1.1 200")[2].partition(b"\r\n\r\n")
            assert b"Content-Length: %d" % size in head
            while len(rest) < size:
                rest += connection.recv(1 << 20)
            assert rest == body


def test_requests_that_come_together_are_answered_in_order(port: int) -> None:
    """Five in one piece, over one connection."""
    with opened(port) as connection:
        asked = b"".join(HEAD + b"Content-Length: 1\r\n\r\n%d" % number for number in range(5))
        connection.sendall(asked)
        answer = received(connection, lambda answer: answer.count(b"HTTP/1.1 200") == 5 and answer[-1:] == b"4")
    bodies = [part[-1:] for part in answer.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]
