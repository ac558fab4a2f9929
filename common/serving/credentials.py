"""Who may call: HTTP basic, which Label Studio can send, or a bearer token (RFC 7617 and 6750)."""

import base64
import contextlib
import hmac
from dataclasses import dataclass, field
from enum import Enum


class Access(Enum):
    """What a request has shown."""

    OPEN = "everybody may call"
    GRANTED = "right credentials"
    MISSING = "no credentials"
    DENIED = "wrong credentials"


@dataclass(frozen=True)
class Credentials:
    """A user with a password, a token, or both; where neither is set, everybody may call.

    Parameters
    ----------
    realm : str
        What is called, as a browser shows it.
    """

    realm: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.user or self.token)

    def access(self, authorization: str | None) -> Access:
        """Judge a request by its ``Authorization`` header.

        Examples
        --------
        >>> ours = Credentials("service", token="a-token")
        >>> [ours.access(header).name for header in ("Bearer a-token", "Bearer another", None)]
        ['GRANTED', 'DENIED', 'MISSING']
        """
        if not self:
            return Access.OPEN
        if not authorization:
            return Access.MISSING
        scheme, _, value = authorization.partition(" ")
        sent = value.strip().encode("utf-8", "surrogatepass")
        # All are compared, each in constant time: how long it takes tells nothing of how near a guess is.
        right = [
            hmac.compare_digest(sent, credentials) for credentials in self._accepted().get(scheme.lower(), ())
        ]
        return Access.GRANTED if any(right) else Access.DENIED

    def challenges(self) -> dict[str, dict[str, str | None]]:
        """Return what ``WWW-Authenticate`` says: the parameters of each scheme that is accepted."""
        realm: dict[str, str | None] = {"realm": self.realm}
        extra: dict[str, dict[str, str | None]] = {"basic": {"charset": "UTF-8"}}
        return {scheme: realm | extra.get(scheme, {}) for scheme in self._accepted()}

    def headers(self) -> dict[str, str]:
        """Return the headers with which a webhook of Label Studio is let in; none where everybody may call.

        Examples
        --------
        >>> Credentials("service", token="a-token").headers()
        {'Authorization': 'Bearer a-token'}
        """
        accepted = self._accepted()
        scheme = next((scheme for scheme in ("bearer", "basic") if scheme in accepted), None)
        return {"Authorization": f"{scheme.title()} {accepted[scheme][0].decode()}"} if scheme else {}

    def _accepted(self) -> dict[str, list[bytes]]:
        """List what is right by scheme; a password beyond ASCII comes as UTF-8, from Label Studio as Latin-1."""
        accepted: dict[str, list[bytes]] = {}
        if self.user:
            pair = f"{self.user}:{self.password}"
            accepted["basic"] = [base64.b64encode(pair.encode())]
            with contextlib.suppress(UnicodeEncodeError):
                accepted["basic"].append(base64.b64encode(pair.encode("latin-1")))
        if self.token:
            accepted["bearer"] = [self.token.encode()]
        return accepted
