import gzip
import zlib
from collections.abc import Iterator

import httpx
import pytest

from common.errors import FetchError
from common.images.bodies import read_body


def read(*chunks: bytes, max_bytes: int = 100, **headers: str) -> bytes:
    """The body of an answer."""
    raw = [(name.replace("_", "-").title().encode(), value.encode()) for name, value in headers.items()]
    return read_body(httpx.Response(200, headers=raw, content=iter(chunks)), max_bytes)


def refused(*chunks: bytes, **headers: str) -> str:
    """Why there is none."""
    with pytest.raises(FetchError) as error:
        read(*chunks, **headers)
    return error.value.reason


def test_chunks_are_joined() -> None:
    """A body is all of its parts; the encoding that means none is none."""
    assert read(b"ab", b"", b"c") == b"abc"
    assert read(b"abc", content_encoding=" Identity ") == b"abc"
    assert read() == b""


@pytest.mark.parametrize("length", ["101", "9" * 5000])
def test_a_body_that_is_announced_too_large_is_not_read(length: str) -> None:
    """The length in the head is enough to refuse a body."""

    def unread() -> Iterator[bytes]:
        pytest.fail("read")
        yield b""

    with pytest.raises(FetchError, match="too_many_bytes"):
        read_body(httpx.Response(200, headers={"Content-Length": length}, content=unread()), 100)


@pytest.mark.parametrize("length", ["", "-1", "many", "1", "²"])
def test_a_length_that_makes_no_sense_is_not_believed(length: str) -> None:
    """A small or odd length does not hide a large body."""
    assert read(b"x" * 100, content_length=length) == b"x" * 100
    assert refused(b"x" * 100, b"x", content_length=length) == "too_many_bytes"


def test_packed_bodies_are_unpacked() -> None:
    """Files of gzip and zlib come in parts of any size, and what follows their end is left."""
    body = b"picture" * 10
    packed = gzip.compress(body)
    assert read(*(packed[i : i + 1] for i in range(len(packed))), content_encoding="gzip") == body
    assert read(packed + b"rest", content_encoding="X-GZIP") == body
    assert read(zlib.compress(body), content_encoding="deflate") == body


def test_packed_bodies_are_small_when_unpacked() -> None:
    """One hundred bytes are one hundred bytes however they are packed."""
    assert read(gzip.compress(bytes(100)), content_encoding="gzip") == bytes(100)
    assert refused(gzip.compress(bytes(101)), content_encoding="gzip") == "too_many_bytes"
    assert refused(gzip.compress(bytes(10_000)), content_encoding="gzip") == "too_many_bytes"


def test_nothing_is_read_behind_the_end_of_what_is_packed() -> None:
    """A body without end behind a packed one is not gathered."""

    def endless() -> Iterator[bytes]:
        yield gzip.compress(b"picture", mtime=0)
        pytest.fail("read on")

    assert (
        read_body(httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=endless()), 100) == b"picture"
    )


@pytest.mark.parametrize("body", [b"", b"hello", gzip.compress(b"x", mtime=0)[:-4], b"\x1f\x8b" + b"\xff" * 20])
def test_a_body_that_is_not_packed_as_it_says_is_broken(body: bytes) -> None:
    """Text that is called gzip, half of a file, and damage."""
    assert refused(body, content_encoding="gzip") == "broken_answer"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x"])
def test_an_unknown_encoding_is_named(encoding: str) -> None:
    """What was not asked for and is not known is refused."""
    assert refused(b"hello", content_encoding=encoding) == "content_encoding"
