"""The store: the one file that writes the database."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from common.files import held, lock_file
from consensus.errors import StoreError
from consensus.store.columns import Columns, Row
from consensus.store.database import Database
from consensus.store.decisions import Decisions
from consensus.store.digests import find_unlike
from consensus.store.reader import Reader, Snapshot
from consensus.store.tables import ANNOTATOR, CLASSIFICATION, CONTROL, PROJECT, RUN, SIGN_OUT, VOTE
from consensus.store.vote_history import Coverage
from consensus.store.writing import counted, forget, keep_ledger, write_changes, write_counts


@dataclass(frozen=True)
class _Held:
    """The lock of a project: what says whose it is, and a question that fails where it is lost."""

    token: str
    answers: Callable[[], object]


class Store(Reader):
    """Votes, trust and reports of the latest run of each project, and the history of runs.

    Several questions that belong together are asked within one `snapshot`.

    Parameters
    ----------
    url : str
        As SQLAlchemy writes it: `sqlite:///consensus.db`, `postgresql+psycopg2://user:password@host/name`.
    history : timedelta, optional
        For so long every run and every change is kept; of a day before that its last run. For ever by default.

    Raises
    ------
    StoreError
        Where the database cannot be reached or used, or its tables are of another version; also from every method.
    """

    decisions: Decisions

    def __init__(self, url: str, history: timedelta | None = None) -> None:
        self._history = history
        self._held: dict[int, _Held] = {}
        self._database = Database(url)
        self._database.check()
        super().__init__(self._database.reading)
        self.decisions = Decisions(self._database.reading, self._database.writing)

    @classmethod
    def made(cls, url: str, history: timedelta | None = None) -> "Store":
        """Open a store, and give an empty database its tables first; an older version is left as it is."""
        database = Database(url)
        if database.revision() is None:
            database.migrate()
        return cls(url, history)

    @classmethod
    def migrated(cls, url: str, history: timedelta | None = None) -> "Store":
        """Open a store whose tables are brought to the newest version first."""
        Database(url).migrate()
        return cls(url, history)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Open one state of the store for several questions; runs that end meanwhile are not seen."""
        with self._database.reading() as connection:
            yield Snapshot(lambda: nullcontext(connection))

    @contextmanager
    def lock(self, project: int) -> Iterator[None]:
        """Hold a project alone; the lock ends with the process, however it ends.

        Whoever holds it writes a token of its own, so that one whose lock was lost meanwhile finds another's.

        Raises
        ------
        StoreError
            Where another run holds it.
        """
        with self._alone(project, "", _busy(project), wait=False) as answers:
            token = uuid.uuid4().hex
            with self._database.writing() as connection:
                _note(connection, project, {"token": token})
            self._held[project] = _Held(token, answers)
            try:
                yield
            finally:
                del self._held[project]

    @contextmanager
    def lock_batches(self, project: int, account: int | None) -> Iterator[Callable[[], object]]:
        """Hold a project's batches of writes of one account alone, beside runs; yield what fails if that is lost.

        Parameters
        ----------
        account : int or None
            A person's, whose batches take turns; None: the machine's, of which a second does not wait.

        Raises
        ------
        StoreError
            Where another process writes what a machine decided.
        """
        who, wait = ("-machine", False) if account is None else (f"-account-{account}", True)
        with self._alone(project, who, _writing(project), wait=wait) as answers:

            def check() -> None:
                with self._database.errors():
                    answers()

            yield check

    def _alone(
        self, project: int, who: str, busy: str, *, wait: bool
    ) -> AbstractContextManager[Callable[[], object]]:
        path = self._database.path
        if path is None:
            return self._postgres_lock(project, who, busy, wait=wait)
        return self._file_lock(path, f"{project}{who}", busy, wait=wait)

    @contextmanager
    def _postgres_lock(self, project: int, who: str, busy: str, *, wait: bool) -> Iterator[Callable[[], object]]:
        with self._database.session() as connection:  # the lock ends with the session
            function = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
            key = text(f"SELECT {function}(hashtext(:who), :project)")
            with self._database.errors():
                got = connection.execute(key, {"who": f"consensus{who}", "project": project}).scalar()
            if got is False:
                raise StoreError(busy)
            try:
                yield lambda: connection.execute(select(1))
            finally:  # a session that is closed ends a moment later
                with suppress(SQLAlchemyError):
                    connection.execute(text("SELECT pg_advisory_unlock_all()"))

    @contextmanager
    def _file_lock(self, database: Path, name: str, busy: str, *, wait: bool) -> Iterator[Callable[[], object]]:
        path = lock_file(database, name)
        with ExitStack() as stack:
            try:
                is_ours = stack.enter_context(held(path, wait=wait))
            except OSError as error:
                raise StoreError(f"the lock file {path} cannot be written: {error.strerror}") from None
            if not is_ours:
                raise StoreError(busy)
            yield lambda: None

    def check(self, project: int) -> None:
        """Refuse to go on where the lock of a project was lost, before anything more is written.

        Raises
        ------
        StoreError
            Where the database ended the session that held the lock, or somebody else holds the project now.
        """
        if project in self._held:
            with self._database.errors():
                self._held[project].answers()
            with self._database.reading() as connection:
                self._check(connection, project)

    def _check(self, connection: Connection, project: int) -> None:
        query = select(PROJECT.c.token).where(PROJECT.c.project == project)
        if project in self._held and connection.execute(query).scalar() != self._held[project].token:
            raise StoreError(
                f"another run has taken over project {project} while this one had lost its lock; nothing more is "
                "written, and the next run repairs what is half-written"
            )

    @property
    def url(self) -> str:
        """The address of the database, with its password: for another process of ours."""
        return self._database.url.render_as_string(hide_password=False)

    def sign_out(self, account: str, at: float) -> None:
        """Keep when an account has signed out of the console, in seconds since 1970."""
        with self._database.writing() as connection:
            connection.execute(delete(SIGN_OUT).where(SIGN_OUT.c.account == account))
            connection.execute(insert(SIGN_OUT), {"account": account, "at": at})

    def recognize(self, project: int, url: str, created_at: str) -> None:
        """Refuse what `check_origin` refuses, and keep which Label Studio the project is of."""
        with self._database.writing() as connection:
            snapshot = Snapshot(lambda: nullcontext(connection))
            snapshot.check_origin(project, url, created_at)
            origin = snapshot.origin(project) or {"url": None, "created_at": None}
            current = {"url": url, "created_at": created_at or origin["created_at"]}
            if current != {name: origin[name] for name in current}:
                _note(connection, project, current)

    def save(
        self,
        run: Row,
        classifications: Columns,
        votes: Columns,
        annotators: Sequence[Row],
        controls: Sequence[Row] = (),
        coverage: Coverage | None = None,
    ) -> int:
        """Add a run to a project's history and write what it changed, all or nothing.

        A run never starts before the one before it, whatever the clock says: what was true of a past day stays so.
        What a row of `classification` or `vote` was before is kept, but for scores that moved alone.

        Parameters
        ----------
        run : dict
            Columns of table `run` without `id`.
        classifications, votes : dict of str to (n,) array
            Columns of their tables without `project` and `since`.
        annotators : sequence of dict
            Columns of their table without `run`.
        controls : sequence of dict
            Columns of their table without `project`.
        coverage : Coverage, optional
            What the run looked at; without it no vote is taken for withdrawn.

        Returns
        -------
        int
            Id of the run.
        """
        project = run["project"]
        with self._database.writing() as connection:
            self._check(connection, project)
            before = _last_start(connection, project)
            run = {**run, "started_at": _not_before(before, run["started_at"])}
            number = int(connection.execute(insert(RUN).values(run)).inserted_primary_key[0])  # type: ignore[index]
            unlike = find_unlike(connection, VOTE, project, votes)
            unsettled = keep_ledger(connection, run, votes, unlike, coverage or Coverage())
            write_changes(connection, VOTE, project, number, votes, unlike, unsettled)
            unlike = find_unlike(connection, CLASSIFICATION, project, classifications)
            write_changes(connection, CLASSIFICATION, project, number, classifications, unlike)
            write_counts(connection, project, counted(classifications))
            connection.execute(CONTROL.delete().where(CONTROL.c.project == project))
            for table, rows, shared in (
                (CONTROL, controls, {"project": project}),
                (ANNOTATOR, annotators, {"run": number}),
            ):
                if rows:
                    connection.execute(insert(table), [{**row, **shared} for row in rows])
            if self._history and before and before.date() < run["started_at"].date():
                forget(connection, project, run["started_at"] - self._history)
        return number

    def finish(self, run: int, at: datetime) -> None:
        """Note that Label Studio holds what a run found."""
        with self._database.writing() as connection:
            connection.execute(update(RUN).where(RUN.c.id == run).values(finished_at=at))


def _last_start(connection: Connection, project: int) -> datetime | None:
    before = connection.execute(select(func.max(RUN.c.started_at)).where(RUN.c.project == project)).scalar()
    return before.replace(tzinfo=UTC) if before and before.tzinfo is None else before


def _not_before(before: datetime | None, started: datetime) -> datetime:
    """Start of a run, or just after that of the one before it where the clock has gone back."""
    return max(started, before + timedelta(microseconds=1)) if before else started


def _note(connection: Connection, project: int, values: Row) -> None:
    if not connection.execute(update(PROJECT).where(PROJECT.c.project == project).values(values)).rowcount:
        connection.execute(insert(PROJECT).values(project=project, **values))


def _writing(project: int) -> str:
    return f"another batch of project {project} is being written; wait for it to end, then do this again"


def _busy(project: int) -> str:
    return f"another run is at work on project {project}; wait for it to end, or stop it"
