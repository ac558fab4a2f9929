"""The scripts that docker compose runs beside PostgreSQL: does .env fit, the role of consensus, other secrets."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]
import pytest

pgserver = pytest.importorskip("pgserver")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.server
TABLES = """
CREATE TABLE htx_user (id integer PRIMARY KEY, email text);
CREATE TABLE authtoken_token (key text PRIMARY KEY, created timestamptz, user_id integer UNIQUE);
INSERT INTO htx_user VALUES (1, 'admin@example.com');
INSERT INTO authtoken_token VALUES ('old-key', now(), 1);
"""


class Stack:
    """A PostgreSQL as docker compose has it, and its scripts."""

    def __init__(self, folder: Path) -> None:
        self.server = pgserver.get_server(folder / "data", cleanup_mode="delete")
        self.socket = self.server.get_uri().partition("host=")[2]
        self.access = folder / "access"
        self.access.mkdir()
        stubs = folder / "stubs"  # handing a file over to the user of the image takes root
        stubs.mkdir()
        self.arguments = folder / "arguments"  # of each psql
        binaries = Path(pgserver.__file__).parent / "pginstall/bin"
        psql = f'#!/bin/sh\necho "$*" >>"{self.arguments}"\nexec "{binaries}/psql" "$@"\n'
        for name, program in (("chown", "#!/bin/sh\n"), ("psql", psql)):
            (stubs / name).write_text(program, encoding="utf-8")
            (stubs / name).chmod(0o755)
        self.path = f"{stubs}:{Path(pgserver.__file__).parent / 'pginstall/bin'}:/usr/bin:/bin"
        self.as_owner("postgres", "CREATE ROLE label_studio SUPERUSER LOGIN PASSWORD 'right'")
        for name in ("label_studio", "consensus"):
            self.as_owner("postgres", f"CREATE DATABASE {name}")
        rules = folder / "data" / "pg_hba.conf"
        asked = "local all label_studio scram-sha-256\nlocal all consensus scram-sha-256\n"
        rules.write_text(asked + rules.read_text(encoding="utf-8"), encoding="utf-8")
        self.as_owner("postgres", "SELECT pg_reload_conf()")

    def as_owner(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Do something as the owner of the cluster."""
        return self.query(statement, dbname=database, user="postgres")

    def query(self, statement: str, **login: str) -> list[tuple[object, ...]]:
        """Do something with a login."""
        with closing(psycopg2.connect(host=self.socket, **login)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def setup(
        self, password: str = "right", key: str = "old-key", user: str = "a-login"
    ) -> subprocess.CompletedProcess[str]:
        """Run what compose runs at every start."""
        login = {"PGUSER": "label_studio", "PGPASSWORD": password, "ML_BACKEND_BASIC_USER": user}
        return self._run("database-setup", LABEL_STUDIO_API_KEY=key, **login)

    def adopt(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run what gives the databases the secrets of .env; in the container, the socket asks for no password."""
        return self._run("adopt-secrets", POSTGRES_DB="label_studio", PGPASSWORD="right", **environment)

    def _run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(ROOT / "scripts" / f"{script}.sh")],
            env={"PATH": self.path, "PGHOST": self.socket, "ACCESS": str(self.access), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def login(self) -> dict[str, str]:
        """The login that consensus is given."""
        *_, database, user, password = (self.access / "pgpass").read_text(encoding="utf-8").strip().split(":")
        return {"dbname": database, "user": user, "password": password}


@pytest.fixture
def stack() -> Iterator[Stack]:
    """One whose databases are empty."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # pgserver starts PostgreSQL as another user
        made = Stack(Path(folder))
        yield made
        made.server.cleanup()


def test_consensus_gets_its_own_database_and_no_other(stack: Stack) -> None:
    """Its role owns what an earlier stack's superuser made there, and is no superuser; a second start is alike."""
    stack.as_owner(
        "consensus",
        "CREATE TABLE run (id serial PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY);"
        "INSERT INTO run VALUES (7); CREATE VIEW runs AS SELECT id FROM run; CREATE TYPE kind AS ENUM ('a')",
    )
    for _ in range(2):
        done = stack.setup()
        assert (done.returncode, done.stderr) == (0, "")
        login = stack.login()
        assert stack.query("ALTER TABLE run ADD COLUMN IF NOT EXISTS note text; SELECT id FROM run", **login) == [
            (7,)
        ]
    assert stack.query("ALTER TYPE kind ADD VALUE 'b'", **login) == stack.query("DROP VIEW runs", **login) == []
    assert stack.as_owner("postgres", "SELECT rolsuper FROM pg_roles WHERE rolname = 'consensus'") == [(False,)]
    for database in ("label_studio", "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            stack.query("SELECT 1", **{**login, "dbname": database})
    assert (stack.access / "pgpass").stat().st_mode & 0o777 == 0o600


def test_another_password_is_named_with_what_helps(stack: Stack) -> None:
    """What was begun with another .env does not start; it says why, and how to go on with either."""
    done = stack.setup(password="another")
    assert done.returncode == 1
    assert "POSTGRES_PASSWORD in .env is not the one that the volume postgres-data was made with" in done.stderr
    assert "docker compose exec postgres adopt-secrets" in done.stderr
    assert "another" not in done.stderr.replace("another .env", "")
    assert list(stack.access.iterdir()) == []


@pytest.mark.parametrize("name", ["label_studio", "consensus"])
def test_a_database_that_is_gone_is_not_begun_anew(stack: Stack, name: str) -> None:
    """A new one would hide that the old one is lost."""
    stack.as_owner("postgres", f"DROP DATABASE {name}")
    done = stack.setup()
    assert done.returncode == 1
    assert f"has no database {name}. Restore it from a backup" in done.stderr


def test_an_older_file_without_a_login_works_and_is_named(stack: Stack) -> None:
    """The stack starts, and its log says who may call the backend."""
    done = stack.setup(user="")
    assert done.returncode == 0
    assert "has no ML_BACKEND_BASIC_USER" in done.stderr
    assert "make_env.py --update" in done.stderr


def test_a_key_that_is_no_token_is_named(stack: Stack) -> None:
    """Label Studio starts, and the log says why the others are refused; a personal access token is in no table."""
    stack.as_owner("label_studio", TABLES)
    assert "LABEL_STUDIO_API_KEY" not in stack.setup().stderr
    assert "LABEL_STUDIO_API_KEY" not in stack.setup(key="head.body.signature").stderr
    done = stack.setup(key="new-key")
    assert done.returncode == 0
    assert "LABEL_STUDIO_API_KEY in .env is no access token of this Label Studio" in done.stderr


def test_secrets_of_another_file_are_adopted(stack: Stack) -> None:
    """The role has the new password, and the administrator the new token alone."""
    stack.as_owner("label_studio", TABLES)
    new = {"LABEL_STUDIO_API_KEY": "new-key", "LABEL_STUDIO_USERNAME": "Admin@example.com"}
    done = stack.adopt(POSTGRES_USER="label_studio", POSTGRES_PASSWORD="it's new", **new)
    assert (done.returncode, done.stderr) == (0, "")
    assert stack.as_owner("label_studio", "SELECT key, user_id FROM authtoken_token") == [("new-key", 1)]
    done = stack.setup(password="it's new", key="new-key")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_secret_is_an_argument_of_a_command(stack: Stack) -> None:
    """Everybody on the machine can list those."""
    stack.as_owner("label_studio", TABLES)
    secrets = {"LABEL_STUDIO_API_KEY": "secret-key", "POSTGRES_PASSWORD": "secret-password"}
    done = stack.adopt(POSTGRES_USER="label_studio", LABEL_STUDIO_USERNAME="admin@example.com", **secrets)
    assert (done.returncode, done.stderr) == (0, "")
    done = stack.setup(password="secret-password", key="secret-key")
    assert (done.returncode, done.stderr) == (0, "")
    arguments = stack.arguments.read_text(encoding="utf-8")
    assert "--dbname" in arguments
    assert not any(secret in arguments for secret in ("secret-", stack.login()["password"]))
