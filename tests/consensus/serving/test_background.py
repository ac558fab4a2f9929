import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from structlog.testing import capture_logs

from common.errors import LabelStudioError
from consensus.serving.background import LONGEST, Background, BusyError, Job, progress

WAIT_S = 10.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = threading.Event()
    for _ in range(int(WAIT_S * 100)):
        if condition():
            return
        end.wait(0.01)
    raise AssertionError("it did not happen")


def test_jobs_of_a_project_are_done_in_turn_beside_those_of_others() -> None:
    """While the first is at work, the second waits, and another project's is done."""
    background, going, order = Background(), threading.Event(), []

    def first() -> dict[str, object]:
        going.wait(WAIT_S)
        order.append("first")
        return {"n": 1}

    jobs = [
        background.submit(7, "run", "a@x.org", first),
        background.submit(7, "undo", "a@x.org", lambda: order.append("second") or {}),
    ]
    other = background.submit(8, "run", "a@x.org", lambda: order.append("other") or {})
    until(lambda: other.state == "done")
    assert ([job.state for job in jobs], order) == (["running", "waiting"], ["other"])
    going.set()
    until(lambda: jobs[1].state == "done")
    assert order == ["other", "first", "second"]
    assert jobs[0].result == {"n": 1}
    assert [job.id for job in background.jobs(7)] == [jobs[1].id, jobs[0].id]
    assert background.job(8, jobs[0].id) is None


def test_what_waits_already_does_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is at work does not: what it reads may be older than the wish. Too many are refused."""
    background, going = Background(), threading.Event()
    at_work = background.submit(7, "run", "a@x.org", lambda: {"ended": going.wait(WAIT_S)}, joins=True)
    until(lambda: at_work.state == "running")
    waiting = background.submit(7, "run", "a@x.org", dict, joins=True)
    assert waiting.id != at_work.id
    assert background.submit(7, "run", "b@x.org", dict, joins=True) is waiting
    for _ in range(LONGEST - 1):
        background.submit(7, "undo", "a@x.org", dict)
    with pytest.raises(BusyError, match="100 jobs of project 7 wait"):
        background.submit(7, "undo", "a@x.org", dict)
    monkeypatch.setattr("consensus.serving.background.REMEMBERED", 3)
    going.set()
    until(
        lambda: (
            len({*background.jobs(7)} if False else [j for j in background.jobs(7) if j.state == "waiting"]) == 0
        )
    )
    last = background.submit(7, "undo", "a@x.org", dict)
    until(lambda: last.state == "done")
    assert len(background.jobs(7)) == 3


def test_a_job_that_fails_says_why_and_the_next_is_done() -> None:
    """What a person can mend is its sentence; anything else is in the log, by kind and place."""
    background = Background()

    def refused() -> dict[str, object]:
        raise LabelStudioError("Label Studio is away")

    def faulty() -> dict[str, object]:
        raise KeyError("a secret")

    with capture_logs() as logs:
        jobs = [background.submit(7, "run", "a@x.org", work) for work in (refused, faulty, dict)]
        until(lambda: all(job.finished_at for job in jobs))
    assert [(job.state, job.error) for job in jobs] == [
        ("failed", "Label Studio is away"),
        ("failed", "internal error: see the log of consensus serve"),
        ("done", None),
    ]
    assert "a secret" not in str(logs)
    assert "faulty" in str(logs)


def test_a_job_is_described_without_its_work() -> None:
    """As JSON holds it."""
    job = Job(7, "run", "a@x.org", datetime(2026, 1, 1, tzinfo=UTC), dict)
    assert {"state", "result", "error", "made_by"} <= job.described().keys()
    assert "work" not in job.described()


def test_a_job_says_how_far_it_is() -> None:
    """Each its own, by what its work tells; outside of a job there is nobody to tell."""
    background, going = Background(), threading.Event()

    def work(total: int) -> dict[str, object]:
        progress("writing", 3, total)
        going.wait(WAIT_S)
        return {}

    jobs = [background.submit(project, "decide", "a@x.org", partial(work, project)) for project in (7, 8)]
    until(lambda: all(job.total for job in jobs))
    assert [(job.step, job.done, job.total) for job in jobs] == [("writing", 3, 7), ("writing", 3, 8)]
    assert jobs[0].described()["done"] == 3
    progress("nothing", 1, 1)
    going.set()
    until(lambda: all(job.state == "done" for job in jobs))
