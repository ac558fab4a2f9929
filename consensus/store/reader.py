"""What is asked of the store: each question is answered from one state of the database."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    UnaryExpression,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.sql.operators import custom_op

from common.contract import UNDECIDED, ReportName
from common.label_studio.rows import stamp_of
from consensus.core.decide.proposals import Proposal, proposals
from consensus.core.votes.from_annotations import UNKNOWN_ACCOUNT
from consensus.core.votes.votes import encode
from consensus.errors import ConfigError, StoreError
from consensus.store.columns import Columns, Row, as_columns, chosen, read_columns
from consensus.store.decisions import DecisionReader
from consensus.store.pages import PageReader, control_names
from consensus.store.questions import Questions
from consensus.store.tables import (
    ANNOTATOR,
    CLASSIFICATION,
    CLASSIFICATION_HISTORY,
    CONTROL,
    DOUBT,
    LEDGER,
    PROJECT,
    REPORT_COUNT,
    RUN,
    VOTE,
    VOTE_HISTORY,
)

AT_ONCE = 10_000
"""So many annotations are looked for in one question."""
LONGEST_TIME_S = 1e9
"""Above which a time is none."""
MANY_VOTES = 20_000
"""From so many votes of an annotator on, a report is searched for them instead of they for the report."""


class Rank(NamedTuple):
    """What a report is ordered by: a column, and its value in a row that was read.

    Parameters
    ----------
    falling : bool
        Whether the largest value comes first.
    backwards : bool
        Whether equal values come as they lie in the index read from its end.
    """

    column: ColumnElement[Any]
    of: Callable[[Mapping[str, Any]], float]
    falling: bool = False
    backwards: bool = False

    @property
    def order(self) -> ColumnElement[Any]:
        """The column in its direction."""
        return self.column.desc() if self.falling else self.column.asc()

    def directed(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a column that orders equal ranks in its direction."""
        return column.desc() if self.backwards else column.asc()

    def is_at(self, row: Mapping[str, Any]) -> ColumnElement[bool]:
        """Whether a row has the rank of one that was read; SQLite finds what is computed by a range alone."""
        value = self.of(row)
        return self.column.between(value, value) if self.column is DOUBT else self.column == value

    def is_behind(self, row: Mapping[str, Any]) -> ColumnElement[bool]:
        """Whether a row has a later rank than one that was read."""
        return self.column < self.of(row) if self.falling else self.column > self.of(row)


def unsearched(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column that SQLite looks for in no index (https://sqlite.org/optoverview.html, section 1)."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _as_it_is(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return column


def _by(name: str, *, falling: bool = False, backwards: bool = False) -> Rank:
    return Rank(CLASSIFICATION.c[name], lambda row: float(row[name]), falling, backwards)


ORDERS = {
    "improbable": _by("posterior"),
    "probable": _by("posterior", falling=True, backwards=True),
    "sure": _by("confidence", falling=True),
    "unsure": _by("confidence", backwards=True),
    "doubtful": Rank(DOUBT, lambda row: abs(row["posterior"] - 0.5)),
    "task": Rank(CLASSIFICATION.c.task, lambda row: int(row["task"])),
}
"""Orders of the rows of a report: by their posterior, by their confidence, by how little is known, by task."""
SURE = "sure"
FIRST_ORDERS = {"MisClassified": "improbable", "Controversial": "doubtful", UNDECIDED: "improbable"}
"""Report to its order where that is not the surest first."""


def order_of(report: str, order: str | None = None) -> Rank:
    """Return the order that is asked for, or that of a report."""
    return ORDERS[order or FIRST_ORDERS.get(report, SURE)]


def is_same_project(stored: str | None, created_at: str) -> bool:
    """Whether a project may be the stored one, by the moments of their creation; unknown ones say nothing.

    Examples
    --------
    >>> is_same_project("2026-11-01T00:00:00.25+00:00", "2026-11-01T00:00:00.5+00:00")
    False
    >>> is_same_project("1793491200", "2026-11-01T00:00:00.5+00:00")  # a store that knows the second
    True
    """
    if not stored or not created_at or stored == created_at:
        return True
    return stored.isdecimal() and stored == stamp_of(created_at)


class Reader(Questions):
    """Questions to the store.

    Those of a `Snapshot` are all answered from the same state; those of a `Store` each from that of its moment.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[Connection]]) -> None:
        super().__init__(reading)
        self.decisions = DecisionReader(reading)
        self.pages = PageReader(reading)

    def last_run(self, project: int) -> Row | None:
        """The latest run of a project."""
        query = select(RUN).where(RUN.c.project == project).order_by(RUN.c.id.desc()).limit(1)
        rows = self._rows(query)
        return rows[0] if rows else None

    def origin(self, project: int) -> Row | None:
        """Return which Label Studio the runs of a project read, and when that made it."""
        rows = self._rows(select(PROJECT).where(PROJECT.c.project == project))
        return rows[0] if rows else None

    def label_studio(self, project: int) -> str | None:
        """Return the address of the Label Studio that the runs of a project read; None where none says it."""
        origin = self.origin(project)
        return origin["url"] if origin else None

    def check_origin(self, project: int, url: str, created_at: str) -> None:
        """Refuse a project of another Label Studio than that of its number in this store, or another incarnation.

        A server may get another address; when it made the project stays the same.

        Parameters
        ----------
        url : str
            Address of the Label Studio.
        created_at : str
            When it made the project, to the microsecond: two may have been made in one second.

        Raises
        ------
        StoreError
            Where the runs of this store were about another project.
        """
        origin = self.origin(project)
        if origin and not is_same_project(origin["created_at"], created_at):
            raise StoreError(
                f"project {project} of this store is another one than project {project} of the Label Studio "
                f"at {url}: it was made at another time, by the Label Studio at {origin['url']}. What is stored "
                "stays as it is; set CONSENSUS_DATABASE_URL to a database of its own for the other one"
            )

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

    def needed_controls(self, project: int) -> tuple[Row, list[Row]]:
        """Return the latest run of a project and its controls, for what cannot do without them.

        Raises
        ------
        ConfigError
            Where there is no run, or only one of a version of consensus that kept less.
        """
        run, controls = self.needed_run(project), self.controls(project)
        if not controls or any(control["kind"] is None for control in controls):
            raise ConfigError(
                f"the last run of project {project} was made by a version of consensus that kept less of it; "
                f"do `consensus run --project {project}`"
            )
        return run, controls

    def columns(self, table: Table, project: int, names: Sequence[str] | None = None) -> Columns:
        """Return a project's rows of a table in columns, in no order."""
        with self._reading() as connection:
            return read_columns(connection, table, table.c.project == project, names or _shown(table))

    def of_tasks(self, table: Table, project: int, tasks: Collection[int]) -> list[Row]:
        """Return the classifications or votes of some tasks, by task, control and label."""
        here = table.c.project == project
        names = [
            row["control"] for row in self._rows(select(CONTROL.c.control).where(CONTROL.c.project == project))
        ]
        rows = list[Row]()
        for start in range(0, len(tasks), AT_ONCE):
            among = table.c.task.in_(sorted(tasks)[start : start + AT_ONCE]), table.c.control.in_(names)
            rows += self._rows(select(*(table.c[name] for name in _shown(table))).where(here, *among))
        return sorted(rows, key=lambda row: (row["task"], row["control"], row["label"]))

    def page(
        self,
        project: int,
        report: str,
        *,
        control: str | None = None,
        label: str | None = None,
        min_confidence: float | None = None,
        annotator: str | None = None,
        order: str | None = None,
        after: Mapping[str, Any] | None = None,
        limit: int = 100,
        back: bool = False,
    ) -> list[Row]:
        """Return so many classifications of a report.

        Parameters
        ----------
        control, label : str, optional
            Only of these; a label is one of a control.
        annotator : str, optional
            Only of tasks and controls on which this annotator has a vote.
        order : str, optional
            One of `ORDERS`; that of `report` where none is named.
        after : mapping, optional
            The last row of the page before.
        back : bool
            Read from the end of the order to its beginning.
        """
        table, rank = CLASSIFICATION.c, order_of(report, order)
        rank = rank._replace(falling=not rank.falling, backwards=not rank.backwards) if back else rank
        place = (table.task, table.control, table.label)
        of_report = table.report == literal(report, literal_execute=rank.column is DOUBT)  # as its index names it
        query = select(*(table[name] for name in _shown(CLASSIFICATION))).where(
            table.project == project, of_report
        )
        query = query.order_by(rank.order, *map(rank.directed, place)).limit(limit)
        few = annotator is not None and self._n_votes(project, annotator) <= MANY_VOTES
        if annotator is not None:
            query = self._led_by(query, project, annotator) if few else self._voted_by(query, project, annotator)
            if not few and rank.column is table.task:  # the tasks before may be many
                first = self._first_voted(project, annotator, after, back=back)
                query = query.where(table.task <= first if back else table.task >= first)
        with self._reading() as connection:
            by_confidence, is_sqlite = rank.column is table.confidence, connection.dialect.name == "sqlite"
            # SQLite would look for what is the same and sort it, rather than read on in the index of the order.
            checked = unsearched if is_sqlite else _as_it_is
            same = _as_it_is if by_confidence and control is not None and label is not None else checked
            for column, name in ((table.control, control), (table.label, label)):
                query = query if name is None else query.where(same(column) == name)
            if min_confidence is not None:
                least = table.confidence if by_confidence else checked(table.confidence)
                query = query.where(least >= min_confidence)
            if after is None:
                return [dict(row) for row in connection.execute(query).mappings()]
            leads = checked if few else _as_it_is  # or the place would lead, and not the votes
            # SQLite would look for the task rather than for an equal rank where that is no score.
            is_score = any(rank.column is column for column in (table.posterior, table.confidence))
            ties = leads if is_score else checked
            rank = rank._replace(column=leads(rank.column))
            here, last = tuple_(*map(ties, place)), tuple_(*(after[column.name] for column in place))
            behind = here < last if rank.backwards else here > last
            # two reads of an index, which an OR would not be
            rows = [*connection.execute(query.where(rank.is_at(after), behind)).mappings()]
            if len(rows) < limit:
                rest = query.where(rank.is_behind(after)).limit(limit - len(rows))
                rows += connection.execute(rest).mappings()
        return [dict(row) for row in rows]

    def voted(self, project: int, annotator: str) -> set[tuple[int, str]]:
        """Return the tasks and controls on which an annotator has a vote."""
        return {(row["task"], row["control"]) for row in self._rows(self._votes_by(project, annotator))}

    def _votes_by(self, project: int, annotator: str) -> Select[Any]:
        own = VOTE.c.project == project, VOTE.c.annotator == annotator
        names = [row["control"] for row in self.controls(project)]  # the index begins with them
        return select(VOTE.c.control, VOTE.c.task).where(*own, VOTE.c.control.in_(names)).distinct()

    def _n_votes(self, project: int, annotator: str) -> int:
        run = int(self.needed_run(project)["id"])
        return sum(row["votes"] for row in self.pages.annotator(run, annotator))

    def _led_by(self, query: Select[Any], project: int, annotator: str) -> Select[Any]:
        """Let the votes of an annotator, who has few, lead to classifications."""
        voted = self._votes_by(project, annotator).subquery()
        same = voted.c.control == CLASSIFICATION.c.control, voted.c.task == CLASSIFICATION.c.task
        return query.join(voted, and_(*same))

    def _first_voted(
        self, project: int, annotator: str, after: Mapping[str, Any] | None, *, back: bool
    ) -> ColumnElement[int]:
        """Return the first task, not before that of a row, on which an annotator has a vote."""
        votes, task = self._votes_by(project, annotator), VOTE.c.task
        if after is not None:
            votes = votes.where(task <= after["task"] if back else task >= after["task"])
        rest = votes.subquery().c.task
        return select(func.max(rest) if back else func.min(rest)).scalar_subquery()

    def _voted_by(self, query: Select[Any], project: int, annotator: str) -> Select[Any]:
        """Leave of classifications, read in their order, those on which an annotator has one of many votes."""
        same = VOTE.c.control == CLASSIFICATION.c.control, VOTE.c.task == CLASSIFICATION.c.task
        own = VOTE.c.project == project, VOTE.c.annotator == annotator
        return query.where(select(VOTE.c.task).where(*own, *same).exists())

    def count(
        self, project: int, report: str | None = None, *, control: str | None = None, label: str | None = None
    ) -> int:
        """Return how many classifications a page is of, without reading them."""
        table = REPORT_COUNT.c
        query = select(func.coalesce(func.sum(table.classifications), 0).label("n")).where(
            table.project == project
        )
        for column, name in ((table.report, report), (table.control, control), (table.label, label)):
            query = query if name is None else query.where(column == name)
        return int(self._rows(query)[0]["n"])

    def versions(self, project: int, task: int) -> list[Row]:
        """Return what a task's classifications were before, each with the runs that made and replaced it."""
        table = CLASSIFICATION_HISTORY.c
        query = select(CLASSIFICATION_HISTORY).where(table.project == project, table.task == task)
        return self._rows(query.order_by(table.until, table.control, table.label))

    def report(self, project: int, name: str) -> Columns:
        """Return the classifications of one report in columns.

        What a reviewer wants to see first comes first: of MisClassified the strongest accusations, those with the
        lowest posterior, and of Undecided likewise; of Controversial what is nearest to one half; of the others
        the highest confidence.
        """
        table = CLASSIFICATION.c
        where = and_(table.project == project, table.report == name)
        order = (order_of(name).order, table.task, table.control, table.label)
        with self._reading() as connection:
            return read_columns(connection, CLASSIFICATION, where, _shown(CLASSIFICATION), order=order)

    def proposals(
        self,
        project: int,
        *,
        control: str | None = None,
        report: ReportName = "MisClassified",
        tasks: Collection[int] = (),
    ) -> list[Row]:
        """Return what the evidence prefers to each label that a report holds, in the order of `report`.

        Parameters
        ----------
        report : {"MisClassified", "Undecided"}
        control : str, optional
            Only of this one.
        tasks : collection of int
            Only of these, at most `AT_ONCE`; none: of all.

        Returns
        -------
        list of dict
            control, task, label, confidence, posterior; and proposed, a list of labels: one of a single choice,
            those that are taken to be right of a multiple one, none where the votes name none; their
            proposed_confidence and proposed_posterior, of several the lowest, or None.
        """
        accused = CLASSIFICATION.alias()
        of_same_task = and_(
            accused.c.project == project,
            accused.c.report == literal(report, literal_execute=True),
            accused.c.control == CLASSIFICATION.c.control,
            accused.c.task == CLASSIFICATION.c.task,
        )
        if tasks:
            rows = as_columns(CLASSIFICATION, self.of_tasks(CLASSIFICATION, project, tasks))
        else:
            where = and_(CLASSIFICATION.c.project == project, select(accused.c.task).where(of_same_task).exists())
            names = "control", "task", "label", "report", "confidence", "posterior"
            with self._reading() as connection:
                rows = read_columns(connection, CLASSIFICATION, where, names)
        asked = [each for each in self.controls(project) if control in (None, each["control"])]
        proposed = [
            row
            for each in asked
            for row in _proposed(each, chosen(rows, rows["control"] == each["control"]), report)
        ]
        return sorted(proposed, key=lambda row: (row["posterior"], row["task"], row["control"], row["label"]))

    def settled(self, project: int) -> set[tuple[str, int, str, float]]:
        """Return control, task, label and posterior, 1 or 0, of what is beyond doubt: somebody decided it."""
        table = CLASSIFICATION.c
        certain = and_(table.project == project, table.confidence == table.upper, table.upper.in_((0.0, 1.0)))
        query = select(table.control, table.task, table.label, table.posterior).where(certain)
        return {(row["control"], row["task"], row["label"], row["posterior"]) for row in self._rows(query)}

    def annotators(self, run: int) -> list[Row]:
        """Trust and number of votes of each annotator in a run."""
        query = (
            select(ANNOTATOR).where(ANNOTATOR.c.run == run).order_by(ANNOTATOR.c.control, ANNOTATOR.c.trust.desc())
        )
        return self._rows(query)

    def annotators_of(self, project: int, annotations: Collection[int]) -> dict[int, str]:
        """Return whose annotations were, by their ids: Label Studio forgets it with a deleted account.

        The first name that a run saw counts; an annotation that no run saw before is not there.
        """
        names = dict[int, str]()
        for table, start in product((VOTE, VOTE_HISTORY, LEDGER), range(0, len(annotations), AT_ONCE)):
            columns = table.c.annotation, table.c.annotator
            among = table.c.annotation.in_(sorted(annotations)[start : start + AT_ONCE])
            rows = self._rows(select(*columns).where(table.c.project == project, among).distinct())
            pairs = ((row["annotation"], row["annotator"]) for row in rows)
            names |= {number: name for number, name in pairs if not name.startswith(UNKNOWN_ACCOUNT)}
        return names

    def votes_of(self, project: int, annotations: Collection[int]) -> list[Row]:
        """Return all that runs have seen annotations vote, by their ids, and when."""
        rows = list[Row]()
        for table, start in product((VOTE, VOTE_HISTORY), range(0, len(annotations), AT_ONCE)):
            among = table.c.annotation.in_(sorted(annotations)[start : start + AT_ONCE])
            columns = [table.c[name] for name in _shown(VOTE)]
            rows += self._rows(select(*columns).where(table.c.project == project, among))
        return rows

    def believed(self, project: int, tasks: Collection[int]) -> list[Row]:
        """Return the last run's classifications of some tasks: control, task, label, yes, no, posterior."""
        numbers, table = sorted({*tasks}), CLASSIFICATION.c
        columns = [table[name] for name in ("control", "task", "label", "yes", "no", "posterior")]
        with self._reading() as connection:  # the index begins with the control
            here = table.project == project, table.control.in_(control_names(connection, CLASSIFICATION, project))
        rows = list[Row]()
        for start in range(0, len(numbers), AT_ONCE):
            among = table.task.in_(numbers[start : start + AT_ONCE])
            rows += self._rows(select(*columns).where(*here, among))
        return rows

    def likely(self, project: int, control: str) -> dict[int, frozenset[str]]:
        """Return which labels of each task are more probable than not, or else given; others have none."""
        table = CLASSIFICATION.c
        where = and_(table.project == project, table.control == control)
        likely = or_(table.posterior > 0.5, table.given)  # noqa: PLR2004 - more probable than not
        with self._reading() as connection:
            rows = read_columns(connection, CLASSIFICATION, and_(where, likely), ("task", "label", "posterior"))
        believed, given = dict[int, set[str]](), dict[int, set[str]]()
        for task, label, right in zip(
            *(rows[name].tolist() for name in ("task", "label", "posterior")), strict=True
        ):
            (believed if right > 0.5 else given).setdefault(task, set()).add(label)  # noqa: PLR2004 - as above
        shared = dict[frozenset[str], frozenset[str]]()  # one object for each set, however many tasks have it
        sets = ((task, frozenset(labels)) for task, labels in (given | believed).items())
        return {task: shared.setdefault(labels, labels) for task, labels in sets}

    def run_times(self, project: int) -> dict[int, datetime]:
        """Return when each run of a project started, by its id."""
        rows = self._rows(select(RUN.c.id, RUN.c.started_at).where(RUN.c.project == project))
        return {row["id"]: row["started_at"] for row in rows}

    def task_votes(self, project: int, task: int) -> list[Row]:
        """Return all that was voted on a task; `until` is the run that missed a vote, None while it stands."""
        return self._with_history(VOTE, VOTE_HISTORY, project, task)

    def task_classifications(self, project: int, task: int) -> list[Row]:
        """Return a task's classifications as they are and were; `until` is the run that replaced a version."""
        return self._with_history(CLASSIFICATION, CLASSIFICATION_HISTORY, project, task)

    def _with_history(self, table: Table, history: Table, project: int, task: int) -> list[Row]:
        rows = []
        with self._reading() as connection:
            for each in (history, table):
                names = control_names(connection, each, project)  # the index begins with them
                here = each.c.project == project, each.c.control.in_(names), each.c.task == task
                rows += [
                    {"until": None, **row} for row in connection.execute(select(each).where(*here)).mappings()
                ]
        return sorted(rows, key=lambda row: (row["since"] or 0, row["control"], row["label"]))

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

    def annotation_seconds(self, project: int) -> float:
        """Add up the time of each annotation once, on however many controls of the last run it votes."""
        controls = select(CONTROL.c.control).where(CONTROL.c.project == project)
        measured = VOTE.c.lead_time.between(0, LONGEST_TIME_S)  # NaN is above all numbers in PostgreSQL
        here = VOTE.c.project == project, VOTE.c.control.in_(controls), measured
        each = select(func.max(VOTE.c.lead_time).label("s")).where(*here).group_by(VOTE.c.annotation).subquery()
        return float(self._rows(select(func.sum(each.c.s).label("seconds")))[0]["seconds"] or 0)

    def ledger_begin(self, project: int) -> datetime | None:
        """When the first vote of the ledger began; None where there is none."""
        query = select(func.min(LEDGER.c.since).label("begin")).where(LEDGER.c.project == project)
        begin: datetime | None = self._rows(query)[0]["begin"]
        return begin

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


def _proposed(control: Row, rows: Columns, report: ReportName) -> Iterator[Row]:
    """Yield what is proposed on one control for what of its rows is in a report."""
    wrong = np.flatnonzero(rows["report"] == report)
    codes, _ = encode(rows["label"], control["labels"])
    listed = [Proposal((), float("nan"))] * len(wrong)
    if control["kind"] != "verification":
        one_of_many = control["choice"] == "single"
        listed = proposals(rows["task"], codes, rows["posterior"], wrong, one_of_many=one_of_many)
    for row, proposal in zip(wrong.tolist(), listed, strict=True):
        others = list(proposal.rows)
        yield {
            "control": control["control"],
            "task": int(rows["task"][row]),
            "label": rows["label"][row],
            "confidence": float(rows["confidence"][row]),
            "posterior": float(rows["posterior"][row]),
            "proposed": rows["label"][others].tolist(),
            "proposed_confidence": min(rows["confidence"][others].tolist(), default=None),
            "proposed_posterior": proposal.posterior if others else None,
        }


def _shown(table: Table) -> list[str]:
    return [column.name for column in table.c if column.name not in ("project", "since")]


class Snapshot(Reader):
    """One state of the store, as it was when the first question was asked."""
