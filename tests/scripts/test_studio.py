"""Accounts by the invite link, beside a Label Studio that has no time for one of them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from demonstration import studio
from demonstration.errors import DemoError


class Busy(BaseHTTPRequestHandler):
    """Answers 500 to those who ask for a token, as often as it was told to."""

    refusals = 0

    def do_GET(self) -> None:
        """Give a page, or a token."""
        busy = self.path == "/api/current-user/token" and Busy.refusals > 0
        Busy.refusals -= busy
        self._answer(500 if busy else 200, json.dumps({"token": "abc"}).encode())

    def do_POST(self) -> None:
        """Take the form."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where it answers; nobody waits between two attempts."""
    monkeypatch.setattr(studio, "TOKEN_PAUSES", (0.0, 0.0, 0.0))
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_token_is_asked_for_again(url: str) -> None:
    """Two answers of 500 cost no account; a third is told with the account's name."""
    Busy.refusals = 2
    assert studio.sign_up(url, "/user/signup/", "one@example.com") == "abc"
    Busy.refusals = 3
    with pytest.raises(DemoError, match=r"no account one@example.com \(500\)"):
        studio.sign_up(url, "/user/signup/", "one@example.com")
