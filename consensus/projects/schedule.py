"""Consensus by cron: one process that runs all projects again and again."""

import re
import signal
import threading
from collections.abc import Callable

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from consensus.errors import ConfigError

LOG = structlog.get_logger()
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NUMBERS = re.compile(r"(?:(?P<all>\*)|(?P<first>[0-7])(?:-(?P<last>[0-7]))?)(?:/(?P<step>[1-7]))?")


def trigger_of(cron: str) -> CronTrigger:
    """Understand a cron expression of five fields, in UTC.

    Days of the week are counted as cron does, from Sunday (0 or 7). Where both a day of the month and one of the
    week are named, both must hold.

    Raises
    ------
    ConfigError
        Where it is none.

    Examples
    --------
    >>> str(trigger_of("*/15 * * * *").fields[6])
    '*/15'
    >>> str(trigger_of("0 3 * * 1-5").fields[4])
    'mon,tue,wed,thu,fri'
    """
    try:
        *fields, days = cron.split() or [""]
        return CronTrigger.from_crontab(" ".join([*fields, _named_days(days)]), timezone="UTC")
    except ValueError as error:
        raise ConfigError(
            f"cron expression {cron!r} cannot be understood ({error}); use five fields, as in '*/15 * * * *'"
        ) from None


def _named_days(field: str) -> str:
    """Spell days of the week out: APScheduler counts them from Monday."""
    return ",".join(_spelled(day) for day in field.split(","))


def _spelled(span: str) -> str:
    match = DAY_NUMBERS.fullmatch(span)
    if not match or span == "*":
        return span
    first = int(match["first"] or 0)
    last = int(match["last"] or (first if match["first"] and not match["step"] else 6))
    if last < first:
        raise ValueError(f"the days {span} run backwards")
    return ",".join(dict.fromkeys(DAYS[day] for day in range(first, last + 1, int(match["step"] or 1))))


def run_by_cron(cron: str, work: Callable[[], None]) -> None:
    """Work at every time that the expression names, one piece at a time, until SIGINT or SIGTERM.

    What is at work when the signal comes is let finish. A time that passes during work is skipped.

    Parameters
    ----------
    work : callable
        Must not raise; it isolates its own failures.
    """
    trigger = trigger_of(cron)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
    scheduler.add_job(work, trigger, max_instances=1, coalesce=True, misfire_grace_time=60)
    scheduler.start()
    LOG.info("waiting", cron=cron)
    stop.wait()
    LOG.info("stopping")
    scheduler.shutdown(wait=True)
