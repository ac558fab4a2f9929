"""`consensus schedule`: all projects, again and again."""

import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from common.errors import SuiteError
from common.logs import fault
from consensus.commands import output, schedule_metrics
from consensus.commands.connections import run_project, show_tabs, store, studio
from consensus.projects.schedule import run_by_cron, trigger_of
from consensus.settings import project_config, scheduled_projects, settings

if TYPE_CHECKING:
    from consensus.label_studio import Studio
    from consensus.projects.run import Outcome
    from consensus.settings import ProjectConfig
    from consensus.store.store import Store

LOG = structlog.get_logger()
NAMED = 5
"""Tasks that a warning names of those that were left out for one reason."""
_ANNOTATION = re.compile(r"\bannotation \d+")
_WARNED: dict[int, set[str]] = {}
"""What a schedule has warned of, by project."""


def run_on_schedule(cron: str | None, config: Path | None) -> None:
    """Run consensus by a cron expression, or that of the settings, until stopped."""
    expression = cron or settings().consensus_cron
    trigger_of(expression)
    path = config or settings().consensus_config
    for project in scheduled_projects() or [0]:
        project_config(path, project)  # a file that cannot be used as well
    store(migrate=True)  # a database that cannot be used is better known now than at the first run
    if address := settings().consensus_metrics_address:
        schedule_metrics.serve_metrics(address)
    run_by_cron(expression, lambda: _run_all(path))


def _run_all(config: Path | None) -> None:
    ok = False
    try:
        with closing(studio()) as label_studio:
            _run_each(label_studio, store(), config)
        ok = True
    except SuiteError as error:
        LOG.error("no project run", reason=str(error))
    except Exception as error:  # noqa: BLE001 - the next time must come whatever happened this time
        LOG.error("no project run", reason="unexpected", **fault(error))
    schedule_metrics.ended(ok=ok)


def _run_each(label_studio: "Studio", opened: "Store", config: Path | None) -> None:
    chosen = scheduled_projects()
    numbers = chosen or label_studio.project_numbers()
    schedule_metrics.PROJECT_OK.clear()  # of those that are gone nothing more is said
    for number in numbers:
        ok = False
        try:
            if not chosen and not label_studio.project(number).config.choices:
                continue
            chosen_config = project_config(config, number)
            outcome = run_project(label_studio, opened, chosen_config, number, now=_now)
            _decide(label_studio, opened, chosen_config, number)
            ok = not outcome.failures
        except SuiteError as error:
            LOG.error("project failed", project=number, reason=str(error))
        except Exception as error:  # noqa: BLE001  # the next project must run whatever this one did
            LOG.error("project failed", project=number, reason="unexpected", **fault(error))
        else:
            summary = output.outcome_json(outcome)
            for control in outcome.controls:
                LOG.info("control", project=number, about=control.about)
            LOG.info(
                "project done", project=number, votes=outcome.votes, **outcome.reports, writes=summary["writes"]
            )
            _warn(number, outcome)
            for line in outcome.failures:
                LOG.error("not done after the run", project=number, reason=line)
        schedule_metrics.PROJECT_OK.labels(str(number)).set(ok)


def _decide(label_studio: "Studio", opened: "Store", config: "ProjectConfig", project: int) -> None:
    """Go on with batches that were cut off, follow the project's rules of auto-annotation, and look at audits."""
    from consensus.assist.audits import audits, report_below  # noqa: PLC0415
    from consensus.assist.auto import auto  # noqa: PLC0415
    from consensus.assist.auto_rules import read_auto  # noqa: PLC0415
    from consensus.assist.batches import resume  # noqa: PLC0415

    performed = resume(label_studio, opened, project, _now)
    if config.auto is not None:
        outcome = auto(label_studio, opened, config, read_auto(config.auto), project, _now)
        performed += [outcome.performed] if outcome.performed else []
        LOG.info("auto-annotation", project=project, accepted=len(outcome.accepted), pending=len(outcome.pending))
    report_below(project, audits(label_studio, opened, config, project, _now()))
    for each in performed:
        LOG.info("batch written", project=project, batch=each.batch["id"], **each.counts)
    if config.auto is not None:
        show_tabs(label_studio, opened, project, config)


def _now() -> datetime:
    return datetime.now(UTC)


def _warn(project: int, outcome: "Outcome") -> None:
    """Log why tasks were left out, each reason once: hundreds may have chosen what has another name now."""
    left_out: dict[str, list[int]] = {}
    for problem in outcome.problems:
        left_out.setdefault(_ANNOTATION.sub("an annotation", problem.what), []).append(problem.task)
    logged_before = _WARNED.get(project, set())
    _WARNED[project] = {*left_out, *outcome.unused}
    for reason, tasks in left_out.items():
        if reason not in logged_before:
            LOG.warning("tasks left out", project=project, reason=reason, tasks=len(tasks), first=tasks[:NAMED])
    for line in outcome.unused:
        if line not in logged_before:
            LOG.warning("setting without effect", project=project, reason=line)
