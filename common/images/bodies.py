"""The body of an answer, no larger than allowed, whatever its headers say."""

import zlib
from collections.abc import Iterable

import httpx

from common.errors import FetchError

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """Read a body and undo its content encoding, which some storages have although none was asked for.

    httpx would unpack a chunk whole, however large it becomes, and take half of a packed file for a whole one.

    Parameters
    ----------
    response : httpx.Response
        Not read yet.
    max_bytes : int
        Holds for what is received and for what it unpacks to.

    Raises
    ------
    FetchError
        With reason ``too_many_bytes``, ``content_encoding`` (one that is not known) or ``broken_answer``.

    Examples
    --------
    >>> read_body(httpx.Response(200, content=iter([b"a", b"b"])), max_bytes=2)
    b'ab'
    """
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise FetchError("too_many_bytes")
    chunks = _limited(response.iter_raw(), max_bytes)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return b"".join(chunks)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FetchError("content_encoding")
    return _unpacked(chunks, max_bytes)


def _limited(chunks: Iterable[bytes], max_bytes: int) -> Iterable[bytes]:
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > max_bytes:
            raise FetchError("too_many_bytes")
        yield chunk


def _unpacked(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    body = bytearray()
    try:
        for chunk in chunks:
            body += unpacking.decompress(chunk, max_bytes + 1 - len(body))
            if len(body) > max_bytes:
                raise FetchError("too_many_bytes")
            if unpacking.eof:
                return bytes(body)
    except zlib.error:
        raise FetchError("broken_answer") from None
    raise FetchError("broken_answer")
