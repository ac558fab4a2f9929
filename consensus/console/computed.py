"""What takes too long for a page: it is worked out behind it, one at a time, and kept for those who ask again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from common.errors import SuiteError
from common.logs import fault

LOG = structlog.get_logger()
Value = TypeVar("Value")
MOST = 16
"""So many results are kept; the one that was longest not asked for goes first."""
PATIENCE_S = 0.1
"""So long a page waits: what a small project needs is there at once."""


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What has come of it so far.

    Parameters
    ----------
    value : object or None
    error : str or None
        Why there is none; the next who asks has it tried again.
    """

    value: Value | None = None
    error: str | None = None

    @property
    def is_working(self) -> bool:
        """Whether one has to ask again."""
        return self.value is None and self.error is None


class Computed:
    """Results by what they depend on, as the id of a run."""

    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._results = OrderedDict[Hashable, Future[Any]]()

    def of(
        self, key: Hashable, work: Callable[[], Value], is_fresh: Callable[[Value], bool] = lambda _: True
    ) -> Outcome[Value]:
        """Return what is there; the first who asks has it begun.

        Parameters
        ----------
        key : hashable
            All that the result depends on.
        is_fresh : callable
            Whether a result that is there will do; else it is worked out anew.
        """
        with self._lock:
            future = self._results.get(key)
            if future is None or (_is_there(future) and not is_fresh(future.result())):
                future = self._results[key] = Future()
                threading.Thread(target=self._do, args=(future, work), name="computing", daemon=True).start()
            self._results.move_to_end(key)
            while len(self._results) > MOST:
                self._results.popitem(last=False)
        try:
            return Outcome(future.result(PATIENCE_S))
        except NotYetError:
            return Outcome()
        except SuiteError as error:
            self._forget(key)
            return Outcome(error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever the work met
            self._forget(key)
            LOG.error("computing_failed", **fault(error))
            return Outcome(error="Something went wrong here; the log of consensus serve says more.")

    def _do(self, future: Future[Any], work: Callable[[], object]) -> None:
        with self._turn:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - told to whoever asks
                future.set_exception(error)

    def _forget(self, key: Hashable) -> None:
        with self._lock:
            self._results.pop(key, None)


def _is_there(future: Future[Any]) -> bool:
    return future.done() and future.exception() is None
