"""Whether a session still holds: nobody has signed out since, and Label Studio still has the account."""

import threading
import time
from collections.abc import Callable

from common.errors import SuiteError
from consensus.serving.service import Service

FRESH_S = 180.0
"""So long what Label Studio said of its accounts holds."""


class Sessions:
    """The accounts of Label Studio, as it said a moment ago, and who has signed out when."""

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service, self._clock, self._lock = service, clock, threading.Lock()
        self._addresses: frozenset[str] | None = None
        self._owner = ""
        self._ends_at = clock()
        self._ended: dict[str, float] | None = None  # as the store has it, once that was read

    def end(self, email: str) -> None:
        """End all sessions of an account: a copy of the cookie opens nothing any more."""
        now = time.time()
        self._service.store.sign_out(email.lower(), now)
        self._sign_outs()[email.lower()] = now

    def holds(self, email: str, since: float) -> bool:
        """Tell whether a session that began then still holds; an account that nobody could ask about is there."""
        self._ask()
        name = email.lower()
        return since > self._sign_outs().get(name, 0.0) and (self._addresses is None or name in self._addresses)

    def is_owner(self, email: str) -> bool:
        """Tell whether the key of consensus belongs to an account; True where that could not be asked."""
        return self._owner in ("", email.lower())

    def _sign_outs(self) -> dict[str, float]:
        if self._ended is None:
            with self._service.store.snapshot() as snapshot:
                self._ended = snapshot.pages.sign_outs()
        return self._ended

    def _ask(self) -> None:
        with self._lock:
            if self._clock() < self._ends_at:
                return
            self._ends_at = self._clock() + FRESH_S  # the others go on with what is known
        try:
            with self._service.studio() as studio:
                addresses, (_, owner) = studio.accounts().values(), studio.client.own_account()
        except SuiteError:
            return
        self._addresses, self._owner = frozenset(map(str.lower, [*addresses, owner])), owner.lower()
