"""Threads that serve the requests in turn, one job of each, so that a large one does not hold up a small one."""

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator

import structlog

log = structlog.get_logger()

Job = Callable[[], None]


class Lane:
    """The jobs of one request that no thread has begun.

    Parameters
    ----------
    owner : hashable
        The project: its lanes together never hold all threads.
    """

    def __init__(self, owner: Hashable = None) -> None:
        self.owner = owner
        self.jobs: OrderedDict[Job, None] = OrderedDict()
        self.put_off = False


class Lanes:
    """A few threads that take a job from each lane in turn; lanes that were put off come after all others.

    One owner's jobs, should they all be slow, leave a fourth of the threads to the others.

    Parameters
    ----------
    name : str
        Of the threads, in stack traces.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads, self._name = threads, name
        self._for_one = threads - threads // 4
        self._changed = threading.Condition()
        self._urgent: deque[Lane] = deque()  # these two hold lanes with jobs alone
        self._later: deque[Lane] = deque()
        self._lane_of: dict[Job, Lane] = {}
        self._busy: Counter[Hashable] = Counter()  # threads by owner
        self._running: list[threading.Thread] = []
        self._stopped = False

    def add(self, lane: Lane, job: Job) -> bool:
        """Put a job at the end of a lane; one that waits where it would have to wait longer moves from there.

        Returns
        -------
        bool
            False if the threads were told to end, so that the job will not be done.
        """
        with self._changed:
            if self._stopped:
                return False
            old = self._lane_of.get(job)
            if old is None or (not lane.put_off and (old.put_off or len(lane.jobs) < len(old.jobs))):
                if old is not None:
                    self._take(old, job)
                self._enter(lane, job)
            self._start()
            return True

    def put_off(self, lane: Lane) -> None:
        """Let a lane's jobs wait until nothing else is to be done."""
        with self._changed:
            lane.put_off = True
            if lane.jobs:
                self._urgent.remove(lane)
                self._later.append(lane)

    @property
    def waiting(self) -> int:
        """Jobs that no thread has begun."""
        return len(self._lane_of)

    def stop(self) -> list[Job]:
        """Tell the threads to end after the job that each is at, and give back the jobs that were not begun."""
        with self._changed:
            self._stopped = True
            left = list(self._lane_of)
            self._lane_of.clear()
            for lane in (*self._urgent, *self._later):
                lane.jobs.clear()
            self._urgent.clear()
            self._later.clear()
            self._changed.notify_all()
        return left

    def join(self, timeout_s: float) -> None:
        """Wait for the threads to end."""
        ends_at = time.monotonic() + timeout_s
        for thread in self._running:
            thread.join(max(ends_at - time.monotonic(), 0))

    def _enter(self, lane: Lane, job: Job) -> None:
        if not lane.jobs:
            (self._later if lane.put_off else self._urgent).append(lane)
        lane.jobs[job] = None
        self._lane_of[job] = lane
        self._changed.notify()

    def _take(self, lane: Lane, job: Job) -> None:
        del lane.jobs[job], self._lane_of[job]
        if not lane.jobs:
            (self._later if lane.put_off else self._urgent).remove(lane)

    def _start(self) -> None:
        """Begin with the threads at the first job: those made before a fork would not be there after it."""
        if not self._running:
            self._running = [
                threading.Thread(target=self._run, name=f"{self._name}-{number}", daemon=True)
                for number in range(self._threads)
            ]
            for thread in self._running:
                thread.start()

    def _run(self) -> None:
        for job in self._jobs():
            try:
                job()
            except Exception as error:  # noqa: BLE001 - a thread that ended would be missed by all later jobs
                log.error("job_failed", error=type(error).__name__)

    def _jobs(self) -> Iterator[Job]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._next_lane() is not None)
                lane = self._next_lane()
                if self._stopped or lane is None:
                    return
                job = next(iter(lane.jobs))
                self._take(lane, job)
                if lane.jobs:  # to the end of the turns
                    lanes = self._later if lane.put_off else self._urgent
                    lanes.remove(lane)
                    lanes.append(lane)
                self._busy[lane.owner] += 1
            yield job
            with self._changed:
                self._busy[lane.owner] -= 1
                if not self._busy[lane.owner]:
                    del self._busy[lane.owner]
                self._changed.notify()

    def _next_lane(self) -> Lane | None:
        """Find the lane whose turn it is and whose owner may have one more thread."""
        for lanes in (self._urgent, self._later):
            for lane in lanes:
                if self._busy[lane.owner] < self._for_one:
                    return lane
        return None
