"""How often somebody may try to sign in."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil

from werkzeug.exceptions import TooManyRequests

FEW, MANY, WITHIN_S = 8, 40, 900.0
"""So many attempts within so many seconds for one account, and from one address."""
KEPT = 10_000
"""Names whose attempts are remembered."""


class Attempts:
    """Counts attempts under a name within a time.

    Parameters
    ----------
    most : int
        So many within `seconds`.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._at: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, name: str) -> float:
        """Count an attempt, and return 0; or return after how many seconds the next one is allowed."""
        now = self._clock()
        with self._lock:
            times = self._at.setdefault(name, deque(maxlen=self._most))
            self._at.move_to_end(name)
            while len(self._at) > KEPT:
                self._at.popitem(last=False)
            if len(times) == self._most and now - times[0] < self._seconds:
                return self._seconds - (now - times[0])
            times.append(now)
        return 0.0

    def take_back(self, name: str) -> None:
        """Let go the last attempt under a name, which many share."""
        with self._lock:
            if times := self._at.get(name):
                times.pop()

    def forget(self, name: str) -> None:
        """Let go the attempts under a name: one was right."""
        with self._lock:
            self._at.pop(name, None)


class Door:
    """What remembers who knocked how often."""

    def __init__(self) -> None:
        self.accounts, self.places = Attempts(FEW, WITHIN_S), Attempts(MANY, WITHIN_S)

    def check(self, account: str, place: str) -> None:
        """Count an attempt.

        Raises
        ------
        TooManyRequests
            With the seconds to wait.
        """
        wait = max(self.places.wait(place), self.accounts.wait(account))
        if wait:
            raise TooManyRequests(
                f"Too many attempts to sign in: try again in {ceil(wait / 60)} minutes.", retry_after=ceil(wait)
            )

    def admit(self, account: str, place: str) -> None:
        """Forget the attempts of an account that is let in; those of others at its address count on."""
        self.accounts.forget(account)
        self.places.take_back(place)
