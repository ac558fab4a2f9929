"""One examination at a time, and what the last one of a project has found."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from werkzeug.exceptions import ServiceUnavailable

from common.doctor import Diagnosis

FRESH_S = 30.0


@dataclass(frozen=True)
class Examination:
    """Examines projects; it takes seconds, so whoever asks again soon gets what was found before."""

    look: Callable[[int], Sequence[Diagnosis]]
    clock: Callable[[], float] = time.monotonic
    _at_work: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _seen: dict[int, tuple[float, Sequence[Diagnosis]]] = field(default_factory=dict, repr=False)

    def of(self, project: int) -> Sequence[Diagnosis]:
        """Return what is found.

        Raises
        ------
        ServiceUnavailable
            While another examination is at work.
        """
        if not self._at_work.acquire(blocking=False):
            raise ServiceUnavailable("an examination is at work: ask again in a few seconds", retry_after=5)
        try:
            now = self.clock()
            for other, (ends_at, _) in list(self._seen.items()):
                if ends_at <= now:
                    del self._seen[other]
            if project not in self._seen:
                diagnoses = self.look(project)
                self._seen[project] = self.clock() + FRESH_S, diagnoses
            return self._seen[project][1]
        finally:
            self._at_work.release()
