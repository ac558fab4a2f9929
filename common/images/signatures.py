"""When the signature in an address of a storage expires, as the address itself says."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx

_FROM = {"x-amz-date": "x-amz-expires", "x-goog-date": "x-goog-expires"}  # S3 and Google, each with its seconds


def has_expired(url: httpx.URL, now: datetime) -> bool:
    """Return whether an address bears a signature whose time is over.

    Parameters
    ----------
    now : datetime
        Aware.

    Examples
    --------
    >>> now = datetime(2026, 1, 2, tzinfo=UTC)
    >>> has_expired(httpx.URL("https://b.s3.amazonaws.com/a?X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600"), now)
    True
    >>> has_expired(httpx.URL("https://a.blob.core.windows.net/c/a?se=2026-02-01T00%3A00%3A00Z&sig=x"), now)
    False
    """
    query = {name.lower(): value for name, value in url.params.multi_items()}
    with suppress(ValueError, OverflowError):  # what is no date says nothing
        end = _end(query)
        return end is not None and end < now
    return False


def _end(query: Mapping[str, str]) -> datetime | None:
    for since, seconds in _FROM.items():
        if since in query and seconds in query:
            return datetime.fromisoformat(query[since]) + timedelta(seconds=int(query[seconds]))
    if "expires" in query:  # S3 and Google before version 4, and CloudFront: seconds since 1970
        return datetime.fromtimestamp(int(query["expires"]), UTC)
    if "se" in query and "sig" in query:  # Azure
        end = datetime.fromisoformat(query["se"])
        return end if end.tzinfo else end.replace(tzinfo=UTC)
    return None
