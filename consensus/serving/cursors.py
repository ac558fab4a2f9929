"""Cursors: where the next page begins, sealed, so that no one can make one up or use it for another question."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from werkzeug.exceptions import BadRequest

_SEAL = 16  # characters


class Cursors:
    """Makes and reads cursors.

    Parameters
    ----------
    secret : str
        The same after a restart, so that cursors stay good; without one they last as long as this service.
    """

    def __init__(self, secret: str) -> None:
        self._key = (secret or secrets.token_hex()).encode()

    def make(self, question: str, place: Mapping[str, Any]) -> str:
        """Return the cursor of a row.

        Parameters
        ----------
        question : str
            The route and its filters: another question has other cursors.
        place : mapping
            What names the row in its order.
        """
        plain = {
            name: {"at": value.isoformat()} if isinstance(value, datetime) else value
            for name, value in place.items()
        }
        content = base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")
        return self._seal(question, content) + content

    def read(self, question: str, cursor: str | None) -> dict[str, Any] | None:
        """Return the place that a cursor names; None without one.

        Raises
        ------
        BadRequest
            Where this service made no such cursor for this question.
        """
        if cursor is None:
            return None
        seal, content = cursor[:_SEAL], cursor[_SEAL:]
        try:
            right = hmac.compare_digest(seal.encode(), self._seal(question, content).encode())
            plain = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))) if right else None
        except (binascii.Error, ValueError):
            plain = None
        if not isinstance(plain, dict):
            raise BadRequest(
                "after is no cursor of this question: take `next` of the page before, and its filters"
            )
        return {
            name: datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value
            for name, value in plain.items()
        }

    def _seal(self, question: str, content: str) -> str:
        return hmac.new(self._key, f"{question}\n{content}".encode(), hashlib.sha256).hexdigest()[:_SEAL]
