"""Short codes that say why an image has no embedding: they go to logs and metrics, and name no address."""

from collections import Counter
from collections.abc import Mapping

from common.errors import FetchError, ImageRejectedError, SuiteError
from ml_backend.errors import EmbeddingError, ModelLoadingError, StoppingError

DEADLINE, OVERLOADED, NO_URL = "deadline", "overloaded", "no_url"
COSTLY = ("too_slow", "too_much_memory", "decoder_crashed")  # to find out

_REASONS = {
    ModelLoadingError: "model_loading",
    EmbeddingError: "embedding_failed",
    StoppingError: "stopping",
    SuiteError: "model_unavailable",
}
_LONGEST_URL = 16_384  # characters


def reason_of(error: BaseException) -> str:
    """Return the reason for an error.

    Examples
    --------
    >>> reason_of(FetchError("missing")), reason_of(ZeroDivisionError())
    ('missing', 'unexpected_ZeroDivisionError')
    """
    if isinstance(error, FetchError | ImageRejectedError):
        return error.reason
    reasons = (reason for kind, reason in _REASONS.items() if isinstance(error, kind))
    return next(reasons, f"unexpected_{type(error).__name__}")


def counted(reasons: Mapping[str, int]) -> str:
    """Return how often each reason was met, in words.

    Examples
    --------
    >>> counted({"private_address": 12, "timeout": 1})
    'private_address 12 times, timeout once'
    """
    return ", ".join(
        f"{reason} {'once' if count == 1 else f'{count} times'}"
        for reason, count in Counter(reasons).most_common()
    )


def fault_of(url: str | None) -> str | None:
    """Return the reason why a text cannot be an address; None if one has to look closer.

    Examples
    --------
    >>> fault_of(" "), fault_of("http://x/a.png")
    ('no_url', None)
    """
    if not url or not url.strip():
        return NO_URL
    if url.lstrip()[:5].lower() == "data:":  # the picture itself: neither looked up nor fetched
        return "data_url"
    if len(url) > _LONGEST_URL:
        return "url_too_long"
    try:
        return "unsupported_url" if b"\0" in url.encode() else None
    except UnicodeEncodeError:  # half of a character, which JSON can hold
        return "unsupported_url"
