from collections.abc import Iterator

import httpx
import pytest

from ml_backend.diagnosis.replies import ask, client, read_key
from ml_backend.diagnosis.state import Reply


def asked(answer: httpx.Response | Exception, now: float = 0.0) -> Reply:
    """The reply of an address that answers so."""

    def respond(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with httpx.Client(transport=httpx.MockTransport(respond)) as connections:
        return ask(connections, "http://x/", now=lambda: now)


def test_a_clock_is_compared_by_the_date_of_the_answer() -> None:
    """The header has whole seconds: the middle of the second is taken."""
    dated = httpx.Response(200, json={}, headers={"date": "Thu, 01 Jan 1970 00:02:00 GMT"})
    assert asked(dated, now=60).ahead_s == 60.5


def test_what_is_no_object_of_json_has_no_body() -> None:
    """A page, a list and a date that is none are told apart from an object."""
    assert asked(httpx.Response(200, text="<html>")).body is None
    assert asked(httpx.Response(200, json=[1])).body is None
    assert asked(httpx.Response(200, content=b"[" * 100_000)).body is None
    assert asked(httpx.Response(200, content=b"\xff{}")).body is None
    assert asked(httpx.Response(200, json={"a": 1}, headers={"date": "soon"})).body == {"a": 1}
    assert asked(httpx.Response(200, json={}, headers={"date": "soon"})).ahead_s is None


@pytest.mark.parametrize(
    "fault", [httpx.ConnectError("refused"), httpx.ReadTimeout(""), httpx.InvalidURL("no host")]
)
def test_no_answer_is_a_reply(fault: Exception) -> None:
    """Whatever goes wrong has words."""
    reply = asked(fault)
    assert not reply.answered
    assert reply.error


class Endless(httpx.SyncByteStream):
    """Bytes without end."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b" " * 1000


def test_an_answer_without_end_is_a_reply() -> None:
    """Nobody waits for the end of what is no version of Label Studio and no health of a backend."""
    with client(httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))) as connections:
        assert ask(connections, "http://x/").error == "its answer does not come to an end"


@pytest.mark.parametrize("token", ["a.b.c", "a.bnVsbA.c", "a.eyJleHAiOiAieCJ9.c", "not a token"])
def test_a_token_that_only_looks_like_one_is_legacy(token: str) -> None:
    """What cannot be read is left for Label Studio to judge."""
    assert read_key(token).kind == "legacy"
