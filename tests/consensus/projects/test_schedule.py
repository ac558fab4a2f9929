"""Consensus by cron."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consensus.errors import ConfigError
from consensus.projects.schedule import trigger_of

SUNDAY = datetime(2026, 2, 1, tzinfo=UTC)


def fires(cron: str, start: datetime, times: int) -> list[datetime]:
    """The next times of an expression."""
    moments: list[datetime] = []
    for _ in range(times):
        after = moments[-1] + timedelta(seconds=1) if moments else start
        moments.append(trigger_of(cron).get_next_fire_time(None, after))
    return moments


def test_minutes_and_hours_are_utc() -> None:
    """An expression names times of UTC."""
    assert fires("*/15 * * * *", SUNDAY, 2) == [SUNDAY, SUNDAY.replace(minute=15)]
    assert fires("30 4 * * *", SUNDAY, 1) == [SUNDAY.replace(hour=4, minute=30)]


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", [1, 8]),
        ("7", [1, 8]),
        ("1", [2, 9]),
        ("1-5", [2, 3, 4, 5, 6, 9]),
        ("5-7", [1, 6, 7, 8]),
        ("0-6", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("1,3", [2, 4, 9]),
        ("*/2", [1, 3, 5, 7, 8]),
        ("1/2", [2, 4, 6, 9]),
        ("1-5/2", [2, 4, 6, 9]),
        ("mon-fri", [2, 3, 4, 5, 6, 9]),
        ("sun,3", [1, 4, 8]),
        ("*", [1, 2, 3]),
    ],
)
def test_days_of_the_week_are_crons(field: str, days: list[int]) -> None:
    """0 and 7 are Sunday, 1 is Monday; the first of February 2026 is a Sunday."""
    assert [moment.day for moment in fires(f"0 0 * * {field}", SUNDAY, len(days))] == days


@pytest.mark.parametrize("cron", ["", "x", "* * * *", "* * * * * *", "61 * * * *", "0 0 * * 8", "0 0 * * 5-2"])
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    """The message names it and shows how one looks."""
    with pytest.raises(ConfigError, match=r"cannot be understood .*; use five fields, as in '\*/15 \* \* \* \*'"):
        trigger_of(cron)


PROGRAM = """
import consensus.projects.schedule as schedule, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from apscheduler.triggers.interval import IntervalTrigger
schedule.trigger_of = lambda cron: IntervalTrigger(seconds=0.01)
shutdown = schedule.BackgroundScheduler.shutdown
def stop(scheduler, wait):
    scheduler.pause()
    print("stopping", flush=True)
    shutdown(scheduler, wait)
schedule.BackgroundScheduler.shutdown = stop
def work():
    print("begin", flush=True)
    input()
    print("end", flush=True)
schedule.run_by_cron("* * * * *", work)
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_a_signal_and_lets_work_finish(number: signal.Signals) -> None:
    """Work is done again and again, one piece at a time; a signal ends it after the piece at work."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "begin\n"
            process.stdin.write("go on\n")
            process.stdin.flush()
            assert [process.stdout.readline() for _ in range(2)] == ["end\n", "begin\n"]
            process.send_signal(number)
            assert process.stdout.readline() == "stopping\n"
            rest, _ = process.communicate("go on\n", timeout=60)
        finally:
            process.kill()
    assert rest == "end\nstopped\n"
    assert process.returncode == 0
