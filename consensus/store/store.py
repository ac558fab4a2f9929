"""The store: the one file that writes the database."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from consensus.errors import StoreError
from consensus.store.database import Database
from consensus.store.reader import Reader, Row, Snapshot
from consensus.store.tables import ANNOTATOR, CLASSIFICATION, CONTROL, LEDGER, RUN, VOTE
from consensus.store.vote_history import Seen, turn


class Store(Reader):
    """Votes, trust and reports of the latest run of each project, and the history of runs.

    Several questions that belong together are asked within one `snapshot`.

    Parameters
    ----------
    url : str
        As SQLAlchemy writes it: `sqlite:///consensus.db`, `postgresql+psycopg2://user:password@host/name`.

    Raises
    ------
    StoreError
        Where the database cannot be reached or used, or its tables are of another version; also from every method.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._database.check()
        super().__init__(self._database.reading)

    @classmethod
    def made(cls, url: str) -> "Store":
        """Open a store, and give an empty database its tables first; an older version is left as it is."""
        database = Database(url)
        if database.revision() is None:
            database.migrate()
        return cls(url)

    @classmethod
    def migrated(cls, url: str) -> "Store":
        """Open a store whose tables are brought to the newest version first."""
        Database(url).migrate()
        return cls(url)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Open one state of the store for several questions; runs that end meanwhile are not seen."""
        with self._database.reading() as connection:
            yield Snapshot(lambda: nullcontext(connection))

    @contextmanager
    def lock(self, project: int) -> Iterator[None]:
        """Hold a project alone; the lock ends with the process, however it ends.

        Raises
        ------
        StoreError
            Where another run holds it.
        """
        with (
            self._file_lock(project, self._database.path) if self._database.path else self._postgres_lock(project)
        ):
            yield

    @contextmanager
    def _postgres_lock(self, project: int) -> Iterator[None]:
        with self._database.session() as connection:  # the lock ends with the session
            key = text("SELECT pg_try_advisory_lock(hashtext('consensus'), :project)")
            with self._database.errors():
                got = connection.execute(key, {"project": project}).scalar()
            if not got:
                raise StoreError(_busy(project))
            yield

    @contextmanager
    def _file_lock(self, project: int, database: Path) -> Iterator[None]:
        path = Path(f"{database}.project-{project}.lock")
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
        with self._database.writing() as connection:
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
        with self._database.writing() as connection:
            connection.execute(update(RUN).where(RUN.c.id == run).values(finished_at=at))


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


def _busy(project: int) -> str:
    return f"another run is at work on project {project}; wait for it to end, or stop it"
