"""Asking an address once, for whatever it answers; and reading what a token says of itself."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from common.errors import LostAnswerError
from common.label_studio.session import UNREADABLE, bounds
from ml_backend.diagnosis.state import Key, Reply

_TIMEOUT_S = 10.0
_LARGEST = 2**20  # bytes: Label Studio's version and what a backend says of itself are a few hundred
_JWT_PARTS = 3


def client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return connections for a few questions.

    Parameters
    ----------
    transport : httpx.BaseTransport, optional
        In place of the network.
    """
    hooks = bounds(_TIMEOUT_S, largest=_LARGEST)
    return httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True, event_hooks=hooks, transport=transport)


def ask(
    connections: httpx.Client,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    now: Callable[[], float] = time.time,
) -> Reply:
    """Ask an address; what goes wrong is part of the reply.

    Parameters
    ----------
    now : callable
        Seconds since the epoch.
    """
    began = now()
    try:
        answer = connections.get(url, headers=dict(headers or {}))
    except LostAnswerError:
        return Reply(url, error="its answer does not come to an end")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Reply(url, error=_reason(error))
    return Reply(str(answer.url), answer.status_code, _object(answer), ahead_s=_ahead(answer, (began + now()) / 2))


def read_key(token: str) -> Key:
    """Return the kind of a token of Label Studio, and how long it lives.

    Examples
    --------
    >>> read_key("0123456789abcdef0123456789abcdef01234567").kind
    'legacy'
    """
    if not token:
        return Key()
    segments = token.split(".")
    if len(segments) != _JWT_PARTS:
        return Key("legacy")
    try:
        claims = json.loads(base64.urlsafe_b64decode(segments[1] + "=" * (-len(segments[1]) % 4)))
        expires = claims.get("exp")
        return Key(
            "access" if claims.get("token_type") == "access" else "refresh",
            datetime.fromtimestamp(expires, UTC) if expires is not None else None,
        )
    except (ValueError, AttributeError, TypeError, OverflowError, OSError):
        return Key("legacy")


def moment(written: object) -> datetime | None:
    """Read a time in ISO 8601; None for anything else.

    Examples
    --------
    >>> moment("2026-01-31T12:00:00.5Z"), moment("soon"), moment(None)
    (datetime.datetime(2026, 1, 31, 12, 0, 0, 500000, tzinfo=datetime.timezone.utc), None, None)
    """
    if isinstance(written, datetime):
        return written
    try:
        time = datetime.fromisoformat(str(written))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _reason(error: Exception) -> str:
    """Name the cause in words; what httpx says may be empty."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ReadTimeout):
        return f"no answer within {_TIMEOUT_S:.0f} s"
    return str(error) or type(error).__name__


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except UNREADABLE:
        return None
    return body if isinstance(body, dict) else None


def _ahead(answer: httpx.Response, now: float) -> float | None:
    """Compare clocks by the Date header, whose seconds are whole."""
    try:
        their_time = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
    return their_time + 0.5 - now
