"""Whether every part works: the store, Label Studio, the runs, the ML backend."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from common.doctor import Finding, fine, problem, warning
from common.errors import SuiteError
from consensus.console.pages import ago, moment
from consensus.diagnosis.connection_checks import connections
from consensus.projects.schedule import trigger_of
from consensus.serving.service import Service
from consensus.store.columns import Row

FRESH_S = 30.0
UNKNOWN = {"Label Studio": [warning("it is being asked", "", "")]}

Parts = dict[str, list[Finding]]


@dataclass(frozen=True)
class Schedule:
    """When runs are made, as the settings say.

    Parameters
    ----------
    cron : str
        Empty: it is not said.
    projects : collection of int
        Empty: all.
    """

    cron: str = ""
    projects: Collection[int] = ()


class Health:
    """What Label Studio says of a project and its ML backends, asked for once in a while."""

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service, self._clock, self._lock = service, clock, threading.Lock()
        self._seen: dict[int, tuple[float, Parts]] = {}

    def of(self, project: int) -> Parts:
        """Return it as it was a moment ago; whoever comes while it is asked for gets what was seen before."""
        with self._lock:
            ends_at, seen = self._seen.get(project, (self._clock(), UNKNOWN))
            if self._clock() < ends_at:
                return seen
            self._seen[project] = self._clock() + FRESH_S, seen
        try:
            with self._service.studio() as studio:
                _, account = studio.client.own_account()
                answers: Parts = {"Label Studio": [fine(f"answers, as {account}")]}
                answers["ML backend"] = list(connections(studio.client.connections(project), project))
        except SuiteError as error:
            answers = {
                "Label Studio": [problem(str(error), "nothing can be read or written", "start it, or wait")]
            }
        self._seen[project] = self._clock() + FRESH_S, answers
        return answers


def run_part(project: int, run: Row, schedule: Schedule, now: datetime) -> Finding:
    """Tell whether the last run was finished, and when the next one is due.

    Examples
    --------
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> run = {"started_at": noon, "finished_at": noon}
    >>> run_part(7, run, Schedule("0 * * * *"), noon + timedelta(minutes=5)).seen
    'finished 5 minutes ago; the next one is due at 2026-01-01 13:00 UTC'
    >>> run_part(7, run, Schedule("0 * * * *"), noon + timedelta(hours=5)).level.name
    'WARNING'
    """
    began: datetime = run["started_at"]
    began = began if began.tzinfo else began.replace(tzinfo=UTC)
    at_work = "it is at work, or was cut off: the next run finishes what it left"
    seen = f"finished {ago(run['finished_at'], now)}" if run["finished_at"] else f"began {ago(began, now)}"
    if not schedule.cron or (schedule.projects and project not in schedule.projects):
        by_hand = f"{seen}; the schedule leaves this project out"
        return fine(by_hand) if run["finished_at"] else warning(by_hand, at_work, "run it again")
    try:
        trigger = trigger_of(schedule.cron)
    except SuiteError as error:
        return problem(str(error), "no run is made", "correct CONSENSUS_CRON")
    step = timedelta(seconds=1)
    due = trigger.get_next_fire_time(None, now)
    missed = trigger.get_next_fire_time(None, trigger.get_next_fire_time(None, began + step) + step)
    if missed < now:
        why = f"one was due at {moment(missed)}, and none has begun since"
        return warning(seen, why, "see that `consensus schedule` is at work; Run now makes one")
    seen = f"{seen}; the next one is due at {moment(due)}"
    return fine(seen) if run["finished_at"] else warning(seen, at_work)
