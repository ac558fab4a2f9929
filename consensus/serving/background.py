"""Work that goes on after the answer: in turn for each project, and its state can be asked for."""

import threading
import uuid
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from common.errors import SuiteError
from common.logs import fault
from consensus.serving import metrics

LOG = structlog.get_logger()
State = Literal["waiting", "running", "done", "failed"]
Work = Callable[[], dict[str, Any]]
_AT_WORK: ContextVar["Job"] = ContextVar("_AT_WORK")
REMEMBERED = 1_000
"""Jobs whose end is told; older ones are forgotten."""
LONGEST = 100
"""So many jobs of a project wait at most."""


class BusyError(SuiteError):
    """Too much waits already."""


@dataclass
class Job:
    """A piece of work on a project.

    Parameters
    ----------
    kind : str
        What is done, as `run`.
    step : str
        What of it is at work, of which `done` of `total` are done; empty where that is not known.
    result : dict or None
        What came of it.
    error : str or None
        Why it failed.
    """

    project: int
    kind: str
    made_by: str
    asked_at: datetime
    work: Work = field(repr=False)
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    state: State = "waiting"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    error: str | None = None
    ended: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    def described(self) -> dict[str, Any]:
        """Return it as it is answered."""
        return {name: value for name, value in vars(self).items() if name not in ("work", "ended")}


def progress(step: str, done: int, total: int, /) -> None:
    """Note how far the job is whose work calls this."""
    job = _AT_WORK.get(None)
    if job is not None:
        job.step, job.done, job.total = step, done, total


class Background:
    """Does jobs, one at a time of each project; a thread lives as long as its project has some."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, deque[Job]] = {}
        self._jobs: dict[str, Job] = {}

    def submit(self, project: int, kind: str, made_by: str, work: Work, *, joins: bool = False) -> Job:
        """Let something be done, and return at once.

        Parameters
        ----------
        joins : bool
            Whether a job of this kind that waits already will do.

        Raises
        ------
        BusyError
            Where too many of the project wait.
        """
        with self._lock:
            queue = self._waiting.get(project)
            waiting = [job for job in queue or () if job.state == "waiting"]
            same = next((job for job in waiting if job.kind == kind), None)
            if joins and same is not None:
                return same
            if len(waiting) >= LONGEST:
                raise BusyError(f"{LONGEST} jobs of project {project} wait already; ask again later")
            job = Job(project, kind, made_by, datetime.now(UTC), work)
            self._jobs[job.id] = job
            self._forget()
            if queue is None:
                self._waiting[project] = deque([job])
                threading.Thread(target=self._do_all, args=(project,), name=f"jobs-{project}", daemon=True).start()
            else:
                queue.append(job)
            return job

    def job(self, project: int, name: str) -> Job | None:
        """Return a job of a project; None where there is none, or it is forgotten."""
        job = self._jobs.get(name)
        return job if job and job.project == project else None

    def jobs(self, project: int) -> list[Job]:
        """List the jobs of a project that are remembered, the latest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if job.project == project]

    def _do_all(self, project: int) -> None:
        while True:
            with self._lock:
                queue = self._waiting[project]
                if not queue:
                    del self._waiting[project]
                    return
                job = queue[0]
                job.state, job.started_at = "running", datetime.now(UTC)
            _do(job)
            with self._lock:
                queue.popleft()

    def _forget(self) -> None:
        ended = [name for name, job in self._jobs.items() if job.finished_at is not None]
        for name in ended[: max(0, len(self._jobs) - REMEMBERED)]:
            del self._jobs[name]


def _do(job: Job) -> None:
    error: str | None = None
    _AT_WORK.set(job)
    with structlog.contextvars.bound_contextvars(project=job.project, job=job.id, kind=job.kind):
        try:
            job.result = job.work()
        except SuiteError as failure:
            error = str(failure)
            LOG.error("job_failed", reason=error)
        except Exception as failure:  # noqa: BLE001 - the next job must be done whatever this one did
            error = "internal error: see the log of consensus serve"
            LOG.error("job_failed", reason="unexpected", **fault(failure))
        else:
            LOG.info("job_done", made_by=job.made_by)
    job.error, job.finished_at = error, datetime.now(UTC)
    job.state = "done" if error is None else "failed"
    metrics.JOBS.labels(job.kind, job.state).inc()
    job.ended.set()
