"""What the ML backend of the environment answers.

Members of Label Studio connect backends of their own to their projects: those addresses are asked for nothing, and
what lets into ours is sent to no other.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from common.errors import FetchError, LostAnswerError
from common.images.bodies import read_body
from common.label_studio.session import UNREADABLE, bounds
from common.serving.credentials import Credentials
from consensus.errors import BackendError

TIMEOUT_S = 5.0
"""Longest silence by default; an answer that trickles ends after five of it."""
EXAMINED_IN_S = 60.0
"""Its checks ask Label Studio and fetch images."""
LARGEST = 16 << 20
"""Bytes; 200,000 numbers of tasks are 2 MB."""
LONGEST_REASON = 300


@dataclass(frozen=True)
class MLBackend:
    """The ML backend that the environment names.

    Parameters
    ----------
    url : str
        Empty: none is named.
    credentials : Credentials
        What it asks for.
    transport : httpx.BaseTransport, optional
        In place of the network.
    """

    url: str = ""
    credentials: Credentials = field(default_factory=lambda: Credentials("ML backend"), repr=False)
    transport: httpx.BaseTransport | None = field(default=None, repr=False)

    def ask(self, path: str, *, timeout_s: float = TIMEOUT_S, **query: str) -> dict[str, Any]:
        """Return the object that a GET is answered with; a redirect is not followed.

        Parameters
        ----------
        timeout_s : float
            Longest silence.

        Raises
        ------
        BackendError
            Where none is named, or it cannot be reached, refuses, or answers what is no object.
        """
        if not self.url:
            raise BackendError(
                "no ML backend is named here: set CONSENSUS_ML_BACKEND_URL to the address of the one that is "
                "connected, and ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD to what it asks for"
            )
        hooks = bounds(timeout_s, largest=LARGEST)
        headers = {**self.credentials.headers(), "Accept-Encoding": "identity"}
        try:
            with (
                httpx.Client(timeout=timeout_s, event_hooks=hooks, transport=self.transport) as connections,
                connections.stream("GET", f"{self.url}{path}", params=query, headers=headers) as answer,
            ):
                body = read_body(answer, LARGEST)
        except (FetchError, LostAnswerError):
            raise self._fault("answers more than is read, or does not come to an end") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = "no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__
            raise self._fault(f"cannot be reached ({why}); is it running, and is the address right?") from None
        content = _object(body)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._fault(
                "refuses what ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD, or ML_BACKEND_TOKEN, say here",
                answer.status_code,
            )
        if answer.status_code != httpx.codes.OK:
            reason = _sentence((content or {}).get("error"))
            raise self._fault(f"answers {answer.status_code}: {reason}", answer.status_code)
        if content is None:
            raise self._fault("answers what is no JSON object; is CONSENSUS_ML_BACKEND_URL right?")
        return content

    def examined(self, project: int) -> dict[str, Any]:
        """Return what it finds of a project; see `ask`."""
        return self.ask("/doctor", timeout_s=EXAMINED_IN_S, project=str(project))

    def _fault(self, fault: str, http_status: int | None = None) -> BackendError:
        return BackendError(f"the ML backend at {self.url} {fault}", http_status)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except UNREADABLE:
        return None
    return content if isinstance(content, dict) else None


def _sentence(reason: object) -> str:
    if not isinstance(reason, str):
        return "it is none of this kind, or an older one"
    return "".join(letter if letter.isprintable() else " " for letter in reason)[:LONGEST_REASON]
