"""Who may call the backend: HTTP basic, which Label Studio can send, or a bearer token (RFC 7617 and 6750)."""

import base64
import binascii
import contextlib
import hmac
from enum import Enum

from ml_backend.settings import Settings


class Access(Enum):
    """What a request has shown."""

    OPEN = "everybody may call"
    GRANTED = "right credentials"
    MISSING = "no credentials"
    DENIED = "wrong credentials"


def access(settings: Settings, authorization: str | None) -> Access:
    """Judge a request by its ``Authorization`` header.

    Parameters
    ----------
    settings : Settings
        User and password, token, or both; where neither is set, everybody may call.
    authorization : str or None
        The header's value.

    Examples
    --------
    >>> ours = Settings(token="a-token", _env_file=None)
    >>> [access(ours, header).name for header in ("Bearer a-token", "Bearer another", None)]
    ['GRANTED', 'DENIED', 'MISSING']
    """
    if not asks_for_credentials(settings):
        return Access.OPEN
    if not authorization:
        return Access.MISSING
    scheme, _, value = authorization.partition(" ")
    sent = _sent(scheme.lower(), value.strip())
    # All are compared, each in constant time: how long it takes tells nothing of how near a guess is.
    right = [hmac.compare_digest(sent, known) for known in _accepted(settings).get(scheme.lower(), ())]
    return Access.GRANTED if any(right) else Access.DENIED


def asks_for_credentials(settings: Settings) -> bool:
    """Tell whether the settings name credentials."""
    return bool(_accepted(settings))


def challenges(settings: Settings) -> dict[str, dict[str, str | None]]:
    """Give what ``WWW-Authenticate`` says: the parameters of each scheme that is accepted."""
    realm: dict[str, str | None] = {"realm": "ML backend"}
    extra: dict[str, dict[str, str | None]] = {"basic": {"charset": "UTF-8"}}
    return {scheme: realm | extra.get(scheme, {}) for scheme in _accepted(settings)}


def webhook_headers(settings: Settings) -> dict[str, str]:
    """Give the headers with which a webhook of Label Studio is let in; none where everybody may call.

    Examples
    --------
    >>> webhook_headers(Settings(token="a-token", _env_file=None))
    {'Authorization': 'Bearer a-token'}
    """
    token = settings.token.get_secret_value()
    if token:
        return {"Authorization": f"Bearer {token}"}
    if settings.basic_user:
        return {"Authorization": "Basic " + base64.b64encode(_pair(settings).encode()).decode()}
    return {}


def _accepted(settings: Settings) -> dict[str, list[bytes]]:
    """List what is right by scheme; a password beyond ASCII comes as UTF-8 or as Latin-1, as the client likes."""
    found: dict[str, list[bytes]] = {}
    if settings.basic_user:
        pair = _pair(settings)
        found["basic"] = [pair.encode()]
        with contextlib.suppress(UnicodeEncodeError):
            found["basic"].append(pair.encode("latin-1"))
    if token := settings.token.get_secret_value():
        found["bearer"] = [token.encode()]
    return found


def _sent(scheme: str, value: str) -> bytes:
    if scheme != "basic":
        return value.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _pair(settings: Settings) -> str:
    return f"{settings.basic_user}:{settings.basic_password.get_secret_value()}"
