"""The database behind the store: SQLite by default, PostgreSQL by URL; how it is opened, read and migrated."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from consensus.errors import StoreError

CONNECT_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS = 10, 60, 600
DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg2")
FORMS = "use sqlite:////path/from/the/root.db or postgresql://user:password@host/name, with an @ as %40"
NEWEST = "0013"
"""The last revision under migrations/versions."""


class Database:
    """A database whose errors are sentences without a password.

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
            self.url = make_url(url)
        except (ArgumentError, ValueError):  # its text could hold the password
            raise StoreError(f"CONSENSUS_DATABASE_URL is no address of a database; {FORMS}") from None
        if self.url.drivername not in DRIVERS:
            raise StoreError(f"CONSENSUS_DATABASE_URL begins with {self.url.drivername}://; {FORMS}")
        self._engine = _engine(self.url)
        if "@" in (self.url.host or ""):
            raise StoreError("the database URL has an @ in its password; write it as %40, see .env.example")
        if self.is_sqlite and self.url.database in (None, "", ":memory:"):
            raise StoreError(
                "a database in memory is forgotten at once; name a file, as in sqlite:///consensus.db"
            )
        self.name = self.url.set(query={}).render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite's."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path | None:
        """The file, whatever path led to it; None for a server."""
        return Path(self.url.database).resolve() if self.is_sqlite and self.url.database else None

    def revision(self) -> str | None:
        """Return the version of the tables; None where there are none yet."""
        if self.path and not self.path.exists() and self.path.parent.is_dir():
            return None  # to look would make the file
        with self.errors(), self._engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def check(self) -> None:
        """Refuse a database whose tables are not of the newest version."""
        revision = self.revision()
        if revision is None:
            raise StoreError(
                f"the database {self.name} has no tables yet; `consensus run` and `consensus schedule` make them. "
                "If there were runs before, does CONSENSUS_DATABASE_URL name the same database, and is this the "
                "same folder?"
            )
        if revision < NEWEST:
            raise StoreError(
                f"the tables of the database {self.name} are of an older version ({revision}); make a copy of the "
                "database and do `consensus migrate`"
            )
        if revision != NEWEST:
            raise StoreError(
                f"the tables of the database {self.name} are of another version ({revision}); "
                "use the version of consensus that made them, or a newer one"
            )

    def migrate(self) -> bool:
        """Bring the tables to the newest version; return whether there was something to do.

        Two processes that start together take turns.
        """
        if self.revision() == NEWEST:  # readers do not wait for writers when there is nothing to change
            return False
        if self.is_sqlite:
            with self.errors(), self._engine.execution_options(begin=None).connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")  # readers and a writer leave each other be
        with self.errors(), self._engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
            _migrate(connection)
        return True

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open one transaction that sees one state of the database, whatever is written meanwhile."""
        options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.errors(), self._engine.execution_options(**options).connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open one transaction that writes all or nothing."""
        with self.errors(), self._engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
            yield connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Open a connection without a transaction: one that idles may be ended by the server."""
        with self.errors():
            connection = self._engine.execution_options(isolation_level="AUTOCOMMIT").connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn whatever goes wrong into one sentence."""
        try:
            yield
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            if self.path and cause == "unable to open database file":
                cause = _why_not_opened(self.path)
            raise StoreError(f"the database {self.name} cannot be used: {cause}") from None
        except OverflowError:
            raise StoreError(
                f"the database {self.name} holds no number of that size: is an id misspelt?"
            ) from None
        except CommandError as error:
            raise StoreError(
                f"the tables of the database {self.name} are of another version ({error}); "
                "use the version of consensus that made them, or a newer one"
            ) from None


def _why_not_opened(path: Path) -> str:
    if path.is_dir():
        return "it is a folder; name a file"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}; make it"
    return f"let this account read and write {path} and make files beside it"


def _engine(url: URL) -> Engine:
    engine = create_engine(url, poolclass=NullPool, connect_args=_connect_args(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _open_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _connect_args(url: URL) -> dict[str, Any]:
    limits = f"-c lock_timeout={LOCK_SECONDS}s -c statement_timeout={STATEMENT_SECONDS}s"
    own = url.normalized_query.get("options", ())  # arguments go before the URL's, which would be lost
    arguments: dict[str, dict[str, Any]] = {
        "sqlite": {"timeout": CONNECT_SECONDS},
        "postgresql": {"connect_timeout": CONNECT_SECONDS, "options": " ".join((limits, *own))},
    }
    return arguments.get(url.get_backend_name(), {})


def _open_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401  # a DBAPI connection
    connection.isolation_level = None  # transactions are begun below, CREATE TABLE included, not by the driver
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    begin = connection.get_execution_options().get("begin", "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('consensus-migrations'))"))
    config = alembic.config.Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
