"""What is asked of the ML backend, and what it may answer."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from common.errors import SettingsError
from common.serving.credentials import Credentials
from common.settings import read
from consensus.errors import BackendError
from consensus.serving import ml_backend
from consensus.serving.ml_backend import MLBackend
from consensus.settings import Settings, ml_backend_credentials

OURS = "http://backend.example:9090"
BOTH = Credentials("", "ls", "pass:word", "tok-en")


def answering(answer: Callable[[httpx.Request], httpx.Response], credentials: Credentials = BOTH) -> MLBackend:
    """Ours, which answers so."""
    return MLBackend(OURS, credentials, httpx.MockTransport(answer))


def streamed(status: int, content: object, **headers: str) -> httpx.Response:
    """An answer as it comes over a network: not read yet."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.Response(status, content=iter([body]), headers=headers)


def refusal(answer: Callable[[httpx.Request], httpx.Response], timeout_s: float = ml_backend.TIMEOUT_S) -> str:
    """What an admin reads of an answer that cannot be used."""
    with pytest.raises(BackendError) as caught:
        answering(answer).ask("/clusters", timeout_s=timeout_s)
    return str(caught.value)


def test_it_is_asked_with_what_it_asks_for() -> None:
    """At its own address, with the project and the version."""
    asked = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return streamed(200, {"clusters": []})

    assert answering(answer).ask("/clusters", project="7.1", version="a&b") == {"clusters": []}
    account = Credentials("", "ls", "pass:word")
    answering(answer, account).ask("/clusters")
    assert str(asked[0].url) == f"{OURS}/clusters?project=7.1&version=a%26b"
    assert [request.headers["Authorization"] for request in asked] == [
        "Bearer tok-en",
        account.headers()["Authorization"],
    ]


def test_nothing_is_sent_where_a_redirect_leads() -> None:
    """It would take what lets into ours to another host."""
    hosts = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return streamed(302, b"", Location="http://elsewhere.example/")

    assert "answers 302" in refusal(answer)
    assert hosts == ["backend.example"]


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{", b"\xff\xfe", b"[" * 100_000, b"<!doctype html>"])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    """With the setting to look at."""
    said = refusal(lambda _: streamed(200, content))
    assert said == f"the ML backend at {OURS} answers what is no JSON object; is CONSENSUS_ML_BACKEND_URL right?"


def test_what_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it says so, comes in pieces, or is packed."""
    monkeypatch.setattr(ml_backend, "LARGEST", 1000)
    packed = gzip.compress(b" " * 100_000)
    in_pieces = httpx.Response(200, content=iter([b" " * 600] * 3))
    announced = httpx.Response(200, content=iter([b""]), headers={"Content-Length": "2000"})
    for answer in (in_pieces, announced, streamed(200, packed, **{"Content-Encoding": "gzip"})):
        assert "answers more than is read" in refusal(partial(given, answer))


def given(answer: httpx.Response, _: httpx.Request) -> httpx.Response:
    """Answer so, whatever is asked."""
    return answer


def test_what_trickles_is_left() -> None:
    """After a few of the longest silences."""

    def drops() -> Iterator[bytes]:
        pause = threading.Event()
        while True:
            pause.wait(0.01)
            yield b" "

    assert "does not come to an end" in refusal(lambda _: httpx.Response(200, content=drops()), timeout_s=0.02)


def test_what_cannot_be_reached_is_said() -> None:
    """In words, without a traceback."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    assert refusal(broken) == (
        f"the ML backend at {OURS} cannot be reached (no answer in time); is it running, and is the address right?"
    )
    with pytest.raises(BackendError, match="set CONSENSUS_ML_BACKEND_URL"):
        MLBackend().ask("/clusters")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (streamed(401, b""), "refuses what ML_BACKEND_BASIC_USER"),
        (streamed(404, {"error": "no\nsuch version" + 1000 * "!"}), "answers 404: no such version!!!"),
        (streamed(404, {"detail": 3}), "none of this kind, or an older one"),
        (streamed(500, b"Traceback"), "answers 500: it is none of this kind"),
    ],
)
def test_a_refusal_is_said_in_a_line(answer: httpx.Response, message: str) -> None:
    """Of what it says of itself no more than that."""
    said = refusal(partial(given, answer))
    assert message in said
    assert len(said) < 500
    assert "tok-en" not in said


def test_what_is_secret_goes_only_to_the_address_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file `.env` of some folder cannot send what the environment holds to an address of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_BACKEND_TOKEN", "tok-en")
    (tmp_path / ".env").write_text("CONSENSUS_ML_BACKEND_URL=http://elsewhere.example\n")
    with pytest.raises(SettingsError, match="ML_BACKEND_TOKEN from the environment"):
        ml_backend_credentials(read(Settings))
    monkeypatch.setenv("CONSENSUS_ML_BACKEND_URL", OURS)
    assert ml_backend_credentials(read(Settings)).token == "tok-en"


def test_an_address_holds_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages name it where nothing answers there."""
    monkeypatch.setenv("CONSENSUS_ML_BACKEND_URL", "http://ls:secret@backend.example")
    with pytest.raises(SettingsError, match="holds a login") as caught:
        read(Settings)
    assert "secret" not in str(caught.value)
