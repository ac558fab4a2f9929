"""What is asked of the store: each question is answered from one state of the database."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select

from consensus.errors import ConfigError
from consensus.store.tables import ANNOTATOR, CLASSIFICATION, CONTROL, LEDGER, RUN, VOTE

Row = dict[str, Any]


class Reader:
    """Questions to the store.

    Those of a `Snapshot` are all answered from the same state; those of a `Store` each from that of its moment.

    Parameters
    ----------
    reading : callable
        Opens the transaction of one question.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._reading = reading

    def last_run(self, project: int) -> Row | None:
        """The latest run of a project."""
        query = select(RUN).where(RUN.c.project == project).order_by(RUN.c.id.desc()).limit(1)
        rows = self._rows(query)
        return rows[0] if rows else None

    def needed_run(self, project: int) -> Row:
        """The latest run of a project, for what cannot do without one.

        Raises
        ------
        ConfigError
            Where there is none.
        """
        run = self.last_run(project)
        if run is None:
            raise ConfigError(
                f"project {project} has no run yet in this store; do `consensus run --project {project}`"
            )
        return run

    def report(self, project: int, name: str) -> list[Row]:
        """The classifications of one report, the most confident first."""
        columns = [column for column in CLASSIFICATION.c if column.name != "project"]
        table = CLASSIFICATION.c
        query = (
            select(*columns)
            .where(table.project == project, table.report == name)
            .order_by(table.confidence.desc(), table.task, table.control, table.label)
        )
        return self._rows(query)

    def classifications(self, project: int) -> list[Row]:
        """All classifications of a project's latest run."""
        columns = [column for column in CLASSIFICATION.c if column.name != "project"]
        table = CLASSIFICATION.c
        query = select(*columns).where(table.project == project)
        return self._rows(query.order_by(table.control, table.task, table.label))

    def annotators(self, run: int) -> list[Row]:
        """Trust and number of votes of each annotator in a run."""
        query = (
            select(ANNOTATOR).where(ANNOTATOR.c.run == run).order_by(ANNOTATOR.c.control, ANNOTATOR.c.trust.desc())
        )
        return self._rows(query)

    def votes(self, project: int) -> list[Row]:
        """The latest votes of a project."""
        table = VOTE.c
        query = select(VOTE).where(table.project == project)
        return self._rows(query.order_by(table.control, table.task, table.annotator, table.label))

    def controls(self, project: int) -> list[Row]:
        """How each control of a project's latest run asks, and its labels."""
        return self._rows(select(CONTROL).where(CONTROL.c.project == project).order_by(CONTROL.c.control))

    def trust_history(self, project: int) -> list[Row]:
        """Trust of every annotator in every run of a project, the oldest first."""
        columns = [ANNOTATOR.c[name] for name in ("run", "control", "annotator", "votes", "trust")]
        query = (
            select(*columns, ANNOTATOR.c.trust_low, ANNOTATOR.c.trust_high, RUN.c.started_at)
            .join(RUN, RUN.c.id == ANNOTATOR.c.run)
            .where(RUN.c.project == project)
            .order_by(ANNOTATOR.c.run, ANNOTATOR.c.control, ANNOTATOR.c.annotator)
        )
        return self._rows(query)

    def annotators_before(self, project: int, moment: datetime) -> list[Row]:
        """Trust and suspicions of each annotator and control in the last run before a moment that knows them."""
        latest = (
            select(func.max(ANNOTATOR.c.run).label("run"), ANNOTATOR.c.control, ANNOTATOR.c.annotator)
            .join(RUN, RUN.c.id == ANNOTATOR.c.run)
            .where(RUN.c.project == project, RUN.c.started_at < moment)
            .group_by(ANNOTATOR.c.control, ANNOTATOR.c.annotator)
            .subquery()
        )
        same = [ANNOTATOR.c[name] == latest.c[name] for name in ("run", "control", "annotator")]
        return self._rows(select(ANNOTATOR).join(latest, and_(*same)))

    def runs_between(self, project: int, since: datetime, until: datetime) -> int:
        """How many runs of a project started from a moment, inclusive, to another, exclusive."""
        started = RUN.c.started_at
        query = select(func.count().label("runs")).select_from(RUN)
        return int(self._rows(query.where(RUN.c.project == project, started >= since, started < until))[0]["runs"])

    def ledger(self, project: int, since: datetime, until: datetime) -> list[Row]:
        """Entries of the ledger of votes that began from a moment, inclusive, to another, exclusive."""
        begin = LEDGER.c.since
        return self._rows(select(LEDGER).where(LEDGER.c.project == project, begin >= since, begin < until))

    def ended_before(self, project: int, moment: datetime) -> list[Row]:
        """Entries of the ledger that began before a moment and have an end."""
        ended = LEDGER.c.until.is_not(None)
        return self._rows(select(LEDGER).where(LEDGER.c.project == project, LEDGER.c.since < moment, ended))

    def learned(self, project: int) -> dict[str, bytes]:
        """What the last run learned of each control, as it was stored."""
        columns = CONTROL.c.control, CONTROL.c.learned
        query = select(*columns).where(CONTROL.c.project == project, CONTROL.c.learned.is_not(None))
        return {row["control"]: row["learned"] for row in self._rows(query)}

    def _rows(self, query: Any) -> list[Row]:  # noqa: ANN401  # any select
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


class Snapshot(Reader):
    """One state of the store, as it was when the first question was asked."""
