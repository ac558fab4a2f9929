"""Who may call the backend: HTTP basic, which Label Studio can send, or a bearer token (RFC 7617 and 6750)."""

import base64
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
    accepted = _accepted(settings)
    if not accepted:
        return Access.OPEN
    if not authorization:
        return Access.MISSING
    scheme, _, value = authorization.partition(" ")
    sent = value.strip().encode("utf-8", "surrogatepass")
    # All are compared, each in constant time: how long it takes tells nothing of how near a guess is.
    right = [hmac.compare_digest(sent, credentials) for credentials in accepted.get(scheme.lower(), ())]
    return Access.GRANTED if any(right) else Access.DENIED


def asks_for_credentials(settings: Settings) -> bool:
    """Return whether the settings name credentials."""
    return bool(_accepted(settings))


def challenges(settings: Settings) -> dict[str, dict[str, str | None]]:
    """Return what ``WWW-Authenticate`` says: the parameters of each scheme that is accepted."""
    realm: dict[str, str | None] = {"realm": "ML backend"}
    extra: dict[str, dict[str, str | None]] = {"basic": {"charset": "UTF-8"}}
    return {scheme: realm | extra.get(scheme, {}) for scheme in _accepted(settings)}


def webhook_headers(settings: Settings) -> dict[str, str]:
    """Return the headers with which a webhook of Label Studio is let in; none where everybody may call.

    Examples
    --------
    >>> webhook_headers(Settings(token="a-token", _env_file=None))
    {'Authorization': 'Bearer a-token'}
    """
    accepted = _accepted(settings)
    scheme = next((scheme for scheme in ("bearer", "basic") if scheme in accepted), None)
    return {"Authorization": f"{scheme.title()} {accepted[scheme][0].decode()}"} if scheme else {}


def _accepted(settings: Settings) -> dict[str, list[bytes]]:
    """List what is right by scheme; a password beyond ASCII comes as UTF-8 or, from Label Studio, as Latin-1."""
    accepted: dict[str, list[bytes]] = {}
    if settings.basic_user:
        pair = f"{settings.basic_user}:{settings.basic_password.get_secret_value()}"
        accepted["basic"] = [base64.b64encode(pair.encode())]
        with contextlib.suppress(UnicodeEncodeError):
            accepted["basic"].append(base64.b64encode(pair.encode("latin-1")))
    if token := settings.token.get_secret_value():
        accepted["bearer"] = [token.encode()]
    return accepted
