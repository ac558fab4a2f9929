import threading
from collections.abc import Iterator
from functools import partial

import pytest
from structlog.testing import capture_logs

from ml_backend.embedding.lanes import Lane, Lanes

LIMIT_S = 60


class Order:
    """Jobs that write down their names, once the first of them is let go."""

    def __init__(self, lanes: Lanes) -> None:
        self.names: list[str] = []
        self.lanes = lanes
        self._go, self._waits = threading.Event(), threading.Event()
        self._all = threading.Semaphore(0)
        self._expected = 0
        lanes.add(Lane(), self._hold)
        assert self._waits.wait(LIMIT_S)

    def _hold(self) -> None:
        self._waits.set()
        self._go.wait(LIMIT_S)

    def add(self, lane: Lane, names: str) -> None:
        """Queue a job for each letter."""
        for name in names:
            self._expected += 1
            self.lanes.add(lane, lambda name=name: self.done(name))

    def done(self, name: str) -> None:
        """Write a name down."""
        self.names.append(name)
        self._all.release()

    def result(self) -> str:
        """Let the jobs go, and tell in which order they came."""
        self._go.set()
        for _ in range(self._expected):
            assert self._all.acquire(timeout=LIMIT_S)
        return "".join(self.names)


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    """One thread."""
    made = Lanes(1, "test")
    yield made
    made.stop()
    made.join(LIMIT_S)


def test_requests_take_turns(lanes: Lanes) -> None:
    """A request of one image comes after one image of a request of many, and not after all of them."""
    order = Order(lanes)
    order.add(Lane(), "aaaa")
    order.add(Lane(), "b")
    assert order.result() == "abaaa"


def test_what_was_put_off_comes_last(lanes: Lanes) -> None:
    """Jobs that nobody waits for come after those of a request that began later."""
    order = Order(lanes)
    late = Lane()
    order.add(late, "aa")
    lanes.put_off(late)
    order.add(Lane(), "bb")
    assert order.result() == "bbaa"


def test_what_is_asked_for_again_is_not_put_off_any_more(lanes: Lanes) -> None:
    """A job moves from a lane that was put off to that of the request that needs it now, and is done once."""
    order = Order(lanes)
    late, now = Lane(), Lane()
    order.add(late, "ab")
    again = list(late.jobs)[1]
    lanes.put_off(late)
    lanes.add(now, again)
    assert (len(late.jobs), len(now.jobs), lanes.waiting) == (1, 1, 2)
    assert order.result() == "ba"


def test_one_project_leaves_threads_to_the_others() -> None:
    """Four slow jobs of a project take three of four threads, so that another project's job is done at once."""
    lanes, go, slow = Lanes(4, "test"), threading.Event(), Lane("slow")
    begun, done = threading.Semaphore(0), threading.Semaphore(0)

    def wait() -> None:
        begun.release()
        go.wait(LIMIT_S)

    for _ in range(4):
        lanes.add(slow, partial(wait))  # a job each
    for _ in range(3):
        assert begun.acquire(timeout=LIMIT_S)
    for _ in range(2):
        lanes.add(Lane("other"), done.release)
        assert done.acquire(timeout=LIMIT_S)
    assert list(slow.jobs) != []  # the thread that did the others has passed it over
    go.set()
    lanes.stop()
    lanes.join(LIMIT_S)


def test_a_job_that_fails_costs_no_thread(lanes: Lanes) -> None:
    """After an error the thread goes on with the next job."""

    def fail() -> None:
        raise ZeroDivisionError

    with capture_logs() as lines:
        order = Order(lanes)
        lanes.add(Lane(), fail)
        order.add(Lane(), "a")
        assert order.result() == "a"
    assert [(line["event"], line["error"]) for line in lines] == [("job_failed", "ZeroDivisionError")]


def test_what_was_not_begun_is_given_back(lanes: Lanes) -> None:
    """At the end the waiting jobs come back to who added them, and nothing is accepted any more."""
    order = Order(lanes)
    order.add(Lane(), "abc")
    left = lanes.stop()
    assert (len(left), lanes.waiting, lanes.add(Lane(), print)) == (3, 0, False)
    for job in left:
        job()
    assert order.result() == "abc"
