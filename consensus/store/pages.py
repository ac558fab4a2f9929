"""Pages of the store's tables: each begins after the last row of the one before, whatever is written meanwhile."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select, tuple_

from common.contract import REPORT_NAMES
from consensus.store.columns import Row
from consensus.store.questions import Questions
from consensus.store.tables import ANNOTATOR, BATCH_ITEM, DECISION, REPORT_COUNT, REVIEW_ITEM, RUN, SIGN_OUT, VOTE

VOTE_PLACE = ("control", "task", "annotator", "label")
ANNOTATOR_PLACE = ("control", "annotator")
ITEM_PLACE = ("task", "control")


class PageReader(Questions):
    """Questions that are answered a page at a time.

    `after` is always the last row of the page before, or what names it.
    """

    def votes(
        self,
        project: int,
        controls: Collection[str],
        *,
        task: int | None = None,
        annotator: str | None = None,
        label: str | None = None,
        after: Mapping[str, Any] | None = None,
        limit: int = 100,
    ) -> list[Row]:
        """Return votes of some controls, by control, task, annotator and label.

        The index of votes begins with their control: each is a question of its own.
        """
        shown = select(*(column for column in VOTE.c if column.name not in ("project", "since")))
        rows: list[Row] = []
        for control in sorted(controls):
            if len(rows) == limit:
                break
            if after is not None and control < after["control"]:
                continue
            query = shown.where(VOTE.c.project == project, VOTE.c.control == control)
            for column, value in ((VOTE.c.task, task), (VOTE.c.annotator, annotator), (VOTE.c.label, label)):
                query = query if value is None else query.where(column == value)
            behind = after if after is not None and control == after["control"] else None
            rows += self._page(query, VOTE, VOTE_PLACE[1:], behind, limit - len(rows))
        return rows

    def votes_among(
        self,
        project: int,
        control: str,
        annotator: str,
        *,
        after: Mapping[str, Any] | None = None,
        limit: int = 100,
        among: int = 50_000,
    ) -> tuple[list[Row], Row | None]:
        """Return so many of an annotator's votes on a control among the next votes of all, by task and label.

        The index of votes leads to tasks and not to annotators: to find somebody's few among millions takes longer
        than a page has, so they are looked for a stretch at a time.

        Returns
        -------
        list of dict
            The votes.
        dict or None
            Behind what to go on; None where all are read.
        """
        place = VOTE_PLACE[1:]
        columns = [VOTE.c[name] for name in place]
        here = VOTE.c.project == project, VOTE.c.control == control
        shown = select(*(column for column in VOTE.c if column.name not in ("project", "since")))
        query = shown.where(*here, VOTE.c.annotator == annotator)
        ends = self._page(select(*columns).where(*here).offset(among - 1), VOTE, place, after, 1)
        if ends:
            query = query.where(tuple_(*columns) <= tuple_(*ends[0].values()))
        rows = self._page(query, VOTE, place, after, limit + 1)
        if len(rows) > limit:
            return rows[:limit], {name: rows[limit - 1][name] for name in place}
        return rows, ends[0] if ends else None

    def annotators(self, run: int, *, after: Mapping[str, Any] | None = None, limit: int = 100) -> list[Row]:
        """Return the annotators of a run by control and name, with their trust and what is suspicious."""
        query = select(ANNOTATOR).where(ANNOTATOR.c.run == run)
        return self._page(query, ANNOTATOR, ANNOTATOR_PLACE, after, limit)

    def annotator_names(self, run: int, limit: int) -> list[str]:
        """Return so many annotators of a run, by name."""
        table = ANNOTATOR.c
        query = select(table.annotator).where(table.run == run).distinct().order_by(table.annotator).limit(limit)
        return [str(row["annotator"]) for row in self._rows(query)]

    def annotator(self, run: int, name: str) -> list[Row]:
        """Return what a run says of one annotator, by control."""
        table = ANNOTATOR.c
        query = select(ANNOTATOR).where(table.run == run, table.annotator == name)
        return self._rows(query.order_by(table.control))

    def trust_course(self, runs: Collection[int], annotators: Collection[str]) -> list[Row]:
        """Return the trust of some annotators in some runs, the oldest first."""
        names = "run", "control", "annotator", "votes", "trust", "trust_low", "trust_high"
        table = ANNOTATOR.c
        query = select(*(table[name] for name in names)).where(
            table.run.in_(runs), table.annotator.in_(annotators)
        )
        return self._rows(query.order_by(table.run, table.control, table.annotator))

    def projects_of(self, annotator: str) -> list[Row]:
        """Return the latest run of each project that has seen votes of an annotator."""
        latest = select(func.max(RUN.c.id)).group_by(RUN.c.project)
        seen = select(ANNOTATOR.c.run).where(ANNOTATOR.c.run.in_(latest), ANNOTATOR.c.annotator == annotator)
        query = select(RUN.c.project, RUN.c.started_at, RUN.c.finished_at).where(RUN.c.id.in_(seen))
        return self._rows(query.order_by(RUN.c.project))

    def runs(self, project: int, *, before: int | None = None, limit: int = 100) -> list[Row]:
        """Return a project's runs, the latest first."""
        query = select(RUN).where(RUN.c.project == project)
        query = query if before is None else query.where(RUN.c.id < before)
        return self._rows(query.order_by(RUN.c.id.desc()).limit(limit))

    def items(
        self, batch: str, *, state: str | None = None, after: Mapping[str, Any] | None = None, limit: int = 100
    ) -> list[Row]:
        """Return a batch's items by task and control, those of one state alone where it is named."""
        query = select(*(column for column in BATCH_ITEM.c if column.name != "batch"))
        query = query.where(BATCH_ITEM.c.batch == batch)
        query = query if state is None else query.where(BATCH_ITEM.c.state == state)
        return self._page(query, BATCH_ITEM, ITEM_PLACE, after, limit)

    def decisions(self, project: int, *, before: int | None = None, limit: int = 100) -> list[Row]:
        """Return what was decided in a project, the latest first."""
        query = select(DECISION).where(DECISION.c.project == project)
        query = query if before is None else query.where(DECISION.c.id < before)
        return self._rows(query.order_by(DECISION.c.id.desc()).limit(limit))

    def sign_outs(self) -> dict[str, float]:
        """Return when each account has signed out of the console, in seconds since 1970."""
        return {row["account"]: row["at"] for row in self._rows(select(SIGN_OUT))}

    def latest_runs(self) -> list[Row]:
        """Return the latest run of each project: `project`, `started_at`, `finished_at`."""
        latest = select(func.max(RUN.c.id)).group_by(RUN.c.project)
        query = select(RUN.c.project, RUN.c.started_at, RUN.c.finished_at).where(RUN.c.id.in_(latest))
        return self._rows(query.order_by(RUN.c.project))

    def queue_counts(self) -> list[Row]:
        """Return how much waits, by project and queue."""
        table = REVIEW_ITEM.c
        query = select(table.project, table.queue, func.count().label("waiting")).where(table.closed_at.is_(None))
        return self._rows(query.group_by(table.project, table.queue).order_by(table.project, table.queue))

    def report_counts(self, project: int) -> list[Row]:
        """Return how many classifications each report has, by control and label."""
        table = REPORT_COUNT.c
        query = select(table.control, table.label, table.report, table.classifications)
        return self._rows(query.where(table.project == project).order_by(table.control, table.label, table.report))

    def report_totals(self, project: int) -> dict[str, int]:
        """Return how many classifications each report has; 0 where it has none."""
        totals: dict[str, int] = dict.fromkeys(REPORT_NAMES, 0)
        for row in self.report_counts(project):
            if row["report"] in totals:  # what is in none has an empty name
                totals[row["report"]] += row["classifications"]
        return totals

    def _page(
        self,
        query: Select[Any],
        table: Table,
        place: Sequence[str],
        after: Mapping[str, Any] | None,
        limit: int,
    ) -> list[Row]:
        columns = [table.c[name] for name in place]
        if after is not None:
            query = query.where(tuple_(*columns) > tuple_(*(after[name] for name in place)))
        return self._rows(query.order_by(*columns).limit(limit))


def control_names(connection: Connection, table: Table, project: int) -> list[str]:
    """Return the controls of a project's rows, each by one look into the index that begins with them."""
    query = select(func.min(table.c.control)).where(table.c.project == project)
    names: list[str] = []
    name = connection.execute(query).scalar()
    while name is not None:
        names.append(str(name))
        name = connection.execute(query.where(table.c.control > name)).scalar()
    return names
