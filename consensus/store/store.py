"""The store: the one file that owns the database (SQLite by default, PostgreSQL by URL)."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    and_,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from consensus.errors import ConfigError, StoreError
from consensus.store.tables import ANNOTATOR, CLASSIFICATION, CONTROL, LEDGER, RUN, VOTE
from consensus.store.vote_history import Seen, turn

Row = dict[str, Any]
CONNECT_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS = 10, 60, 600
NEWEST = "0003"
"""The last revision under migrations/versions."""


class Store:
    """Votes, trust and reports of the latest run of each project, and the history of runs.

    Parameters
    ----------
    url : str
        As SQLAlchemy writes it: `sqlite:///consensus.db`, `postgresql+psycopg2://user:password@host/name`.

    Raises
    ------
    StoreError
        Where the database cannot be reached or used; also from every method.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
            self._engine = _engine(self._url)
        except (ArgumentError, ImportError, ValueError) as error:  # its text could hold the password
            raise StoreError(
                f"the database URL cannot be used ({type(error).__name__}); see .env.example"
            ) from None
        if "@" in (self._url.host or ""):
            raise StoreError("the database URL has an @ in its password; write it as %40, see .env.example")
        if self._url.get_backend_name() == "sqlite" and self._url.database in (None, "", ":memory:"):
            raise StoreError(
                "a database in memory is forgotten at once; name a file, as in sqlite:///consensus.db"
            )
        self._name = self._url.set(query={}).render_as_string(hide_password=True)
        with self._talking():
            with self._engine.connect() as connection:
                revision = MigrationContext.configure(connection).get_current_revision()
            if revision != NEWEST:  # readers do not wait for writers when there is nothing to change
                with self._engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
                    _migrate(connection)

    @contextmanager
    def lock(self, project: int) -> Iterator[None]:
        """Hold a project alone; the lock ends with the process, however it ends.

        Raises
        ------
        StoreError
            Where another run holds it.
        """
        with (
            self._postgres_lock(project) if self._engine.dialect.name == "postgresql" else self._file_lock(project)
        ):
            yield

    @contextmanager
    def _postgres_lock(self, project: int) -> Iterator[None]:
        with self._talking():
            # Without a transaction: one that idles through a whole run may be ended by the server.
            connection = self._engine.execution_options(isolation_level="AUTOCOMMIT").connect()
        try:
            with self._talking():
                key = text("SELECT pg_try_advisory_lock(hashtext('consensus'), :project)")
                got = connection.execute(key, {"project": project}).scalar()
            if not got:
                raise StoreError(_busy(project))
            yield
        finally:
            connection.close()  # the session ends, and its lock with it

    @contextmanager
    def _file_lock(self, project: int) -> Iterator[None]:
        path = Path(f"{self._url.database}.project-{project}.lock")
        try:
            file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise StoreError(f"the lock file {path} cannot be written: {error.strerror}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(_busy(project)) from None
            yield

    def save(
        self,
        run: Row,
        classifications: Sequence[Row],
        votes: Sequence[Row],
        annotators: Sequence[Row],
        controls: Sequence[Row] = (),
        seen: Seen | None = None,
    ) -> int:
        """Replace a project's votes and classifications and add a run to its history, all or nothing.

        A run never starts before the one before it, whatever the clock says: what was true of a past day stays so.

        Parameters
        ----------
        run : dict
            Columns of table `run` without `id`.
        classifications, votes : sequence of dict
            Columns of their tables without `project`.
        annotators : sequence of dict
            Columns of their table without `run`.
        controls : sequence of dict
            Columns of their table without `project`.
        seen : Seen, optional
            What the run looked at; without it the ledger of votes stays as it is.

        Returns
        -------
        int
            Id of the run.
        """
        project = {"project": run["project"]}
        with self._talking(), self._engine.begin() as connection:
            run = {**run, "started_at": _not_before(connection, run)}
            if seen is not None:
                _keep_ledger(connection, run, votes, seen)
            number = connection.execute(insert(RUN).values(run)).inserted_primary_key[0]  # type: ignore[index]
            for table, rows, shared in (
                (CLASSIFICATION, classifications, project),
                (VOTE, votes, project),
                (CONTROL, controls, project),
                (ANNOTATOR, annotators, {"run": number}),
            ):
                if table is not ANNOTATOR:
                    connection.execute(table.delete().where(table.c.project == run["project"]))
                if rows:
                    connection.execute(insert(table), [{**row, **shared} for row in rows])
        return int(number)

    def finish(self, run: int, at: datetime) -> None:
        """Note that Label Studio holds what a run found."""
        with self._talking(), self._engine.begin() as connection:
            connection.execute(update(RUN).where(RUN.c.id == run).values(finished_at=at))

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
        with self._talking(), self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise StoreError(f"the database {self._name} cannot be used: {cause}") from None
        except CommandError as error:
            raise StoreError(
                f"the tables of the database {self._name} are of another version ({error}); "
                "use the version of consensus that made them, or a newer one"
            ) from None


def _not_before(connection: Connection, run: Row) -> datetime:
    """Start of a run, or just after that of the one before it where the clock has gone back."""
    query = select(func.max(RUN.c.started_at)).where(RUN.c.project == run["project"])
    before, started = connection.execute(query).scalar(), run["started_at"]
    if before is None:
        return started  # type: ignore[no-any-return]
    after = (before.replace(tzinfo=UTC) if before.tzinfo is None else before) + timedelta(microseconds=1)
    return max(started, after)  # type: ignore[no-any-return]


def _keep_ledger(connection: Connection, run: Row, votes: Sequence[Row], seen: Seen) -> None:
    project = LEDGER.c.project == run["project"]
    entries = connection.execute(select(LEDGER).where(project, LEDGER.c.until.is_(None))).mappings()
    change = turn([dict(entry) for entry in entries], votes, seen)
    names = ("control", "task", "annotator", "kind", "since")
    if change.ended:
        same = [LEDGER.c[name] == bindparam(f"_{name}") for name in names]
        connection.execute(
            update(LEDGER).where(project, *same).values(until=run["started_at"]),
            [{f"_{name}": entry[name] for name in names} for entry in change.ended],
        )
    if change.new:
        shared = {"project": run["project"], "since": run["started_at"], "until": None}
        connection.execute(insert(LEDGER), [{**entry, **shared} for entry in change.new])


def _engine(url: URL) -> Engine:
    engine = create_engine(url, poolclass=NullPool, connect_args=_connect_args(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _open_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _connect_args(url: URL) -> dict[str, Any]:
    backend = url.get_backend_name()
    limits = f"-c lock_timeout={LOCK_SECONDS}s -c statement_timeout={STATEMENT_SECONDS}s"
    own = url.normalized_query.get("options", ())  # arguments go before the URL's, which would be lost
    arguments: dict[str, dict[str, Any]] = {
        "sqlite": {"timeout": CONNECT_SECONDS},
        "postgresql": {"connect_timeout": CONNECT_SECONDS, "options": " ".join((limits, *own))},
    }
    return arguments.get(backend, {})


def _open_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401  # a DBAPI connection
    connection.isolation_level = None  # transactions are begun below, CREATE TABLE included, not by the driver
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _migrate(connection: Connection) -> None:
    """Bring the tables to the newest version; two processes that start together take turns."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('consensus-migrations'))"))
    config = alembic.config.Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


def _busy(project: int) -> str:
    return f"another run is at work on project {project}; wait for it to end, or stop it"
