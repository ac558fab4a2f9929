"""The body of an answer, no larger than allowed, whatever its headers say."""

import zlib
from collections.abc import Iterable

from ml_backend.errors import FetchError
from ml_backend.images.connections import Answer

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def read_body(answer: Answer, max_bytes: int) -> bytes:
    """Read a body and undo its content encoding, which some storages have although none was asked for.

    Parameters
    ----------
    answer : Answer
    max_bytes : int
        Holds for what is received and for what it unpacks to.

    Raises
    ------
    FetchError
        With reason ``too_many_bytes``, ``content_encoding`` (one that is not known) or ``broken_answer``.

    Examples
    --------
    >>> read_body(Answer(200, [], [b"a", b"b"]), max_bytes=2)
    b'ab'
    """
    announced = answer.header(b"content-length")
    if announced.isdigit() and int(announced[:20]) > max_bytes:
        raise FetchError("too_many_bytes")
    encoding = answer.header(b"content-encoding").strip().lower()
    if encoding in (b"", b"identity"):
        return b"".join(_limited(answer.chunks, max_bytes))
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        raise FetchError("content_encoding")
    return _unpacked(_limited(answer.chunks, max_bytes), max_bytes)


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
