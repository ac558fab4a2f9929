"""Consensus by cron: one process that runs all projects again and again."""

import signal
import threading
from collections.abc import Callable

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from consensus.errors import ConfigError

LOG = structlog.get_logger()


def trigger_of(cron: str) -> CronTrigger:
    """Understand a cron expression of five fields, in UTC.

    Raises
    ------
    ConfigError
        Where it is none.

    Examples
    --------
    >>> str(trigger_of("*/15 * * * *").fields[6])
    '*/15'
    """
    try:
        return CronTrigger.from_crontab(cron, timezone="UTC")
    except ValueError as error:
        raise ConfigError(
            f"cron expression {cron!r} cannot be understood ({error}); use five fields, as in '*/15 * * * *'"
        ) from None


def run_by_cron(cron: str, work: Callable[[], None]) -> None:
    """Work at every time that the expression names, one piece at a time, until SIGINT or SIGTERM.

    What is at work when the signal comes is let finish. A time that passes during work is skipped.

    Parameters
    ----------
    cron : str
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
