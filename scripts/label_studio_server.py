"""Start a real Label Studio without a browser, on a port and a folder of its own, and stop it again.

Its first start migrates an empty database for a minute. That is done once, into a template under `.cache/`;
each start copies the template. Standard library only: the demo prepares the template while ours is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import sqlite3
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import locks
from environments import CACHE, LABEL_STUDIO_VERSION, label_studio
from servers import Server, ServerError, free_port

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

FIRST_START_SECONDS = 600.0
START_SECONDS = 240.0
SERVING = re.compile(r"Starting development server at (http://\S+:\d+)/")
JOURNAL, ITS_OWN = "wal", "delete"
"""Of SQLite: readers do not wait for writers and a write costs one sync; and what Label Studio has by itself."""
OURS_ALONE = ("LABEL_STUDIO_", "DJANGO_", "POSTGRE_", "DATABASE_", "ML_", "SSRF_", "SENTRY_")
"""Settings of another Label Studio that may lie in the environment; they must not reach this one."""


@dataclass(frozen=True)
class Account:
    """The administrator that a first start makes."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True)
class LabelStudio:
    """A running Label Studio.

    Attributes
    ----------
    url
        Its address, without a slash at the end.
    account
        Its administrator; the token is a legacy token.
    server
        The running program.
    """

    url: str
    account: Account
    server: Server

    def stop(self) -> None:
        """End it and everything that it started."""
        self.server.stop()


def start(
    folder: Path, port: int | None = None, extra: Mapping[str, str] | None = None, *, journal: str = JOURNAL
) -> LabelStudio:
    """Start a fresh Label Studio in a folder that does not exist yet.

    Parameters
    ----------
    folder
        Gets the database, the uploaded files and the log.
    port
        A port of 127.0.0.1 that is free, or None for any.
    extra
        More settings, by the names of their environment variables; they go before ours.
    journal
        How SQLite writes: `ITS_OWN` where times are measured that a user would see.

    Raises
    ------
    ServerError
        Where it does not answer in time; the message holds the end of its log.
    """
    shutil.copytree(prepare_template() / "base", folder)
    if journal != JOURNAL:
        _write_by(folder, journal)
    return _launch(folder, administrator(), port=port, seconds=START_SECONDS, extra=extra)


def administrator() -> Account:
    """The account that every Label Studio started here has, known before one runs."""
    return Account(**json.loads((prepare_template() / "account.json").read_text(encoding="utf-8")))


def prepare_template(
    say: Callable[[str], None] = lambda _line: None, cancelled: threading.Event | None = None
) -> Path:
    """Migrate an empty database with a random administrator, unless an earlier run has done so."""
    template = CACHE / f"label-studio-{LABEL_STUDIO_VERSION}"
    if template.exists():
        return template
    with locks.held(CACHE / "label-studio-template.lock", say, cancelled):
        if not template.exists():
            say("first start: migrating the database (once)")
            for interrupted in CACHE.glob("label-studio-building-*"):
                shutil.rmtree(interrupted, ignore_errors=True)
            building = Path(tempfile.mkdtemp(prefix="label-studio-building-", dir=CACHE))
            try:
                _build(building, cancelled)
                building.rename(template)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return template


def _build(folder: Path, cancelled: threading.Event | None) -> None:
    account = Account("admin@example.com", secrets.token_urlsafe(12), secrets.token_hex(20))
    with os.fdopen(os.open(folder / "account.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(asdict(account), file)
    (folder / "base").mkdir(mode=0o700)
    _launch(folder / "base", account, port=None, seconds=FIRST_START_SECONDS, cancelled=cancelled).stop()
    (folder / "base" / "log").unlink()
    _write_by(folder / "base", JOURNAL)


def _write_by(folder: Path, journal: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "label_studio.sqlite3")) as database:
        database.execute(f"PRAGMA journal_mode={journal}")  # is kept in the file


def _launch(
    folder: Path,
    account: Account,
    *,
    port: int | None,
    seconds: float,
    cancelled: threading.Event | None = None,
    extra: Mapping[str, str] | None = None,
) -> LabelStudio:
    program = label_studio().program("label-studio")
    if not program.exists():
        raise ServerError(f"{program} is missing: run `python3 scripts/environments.py` first.")
    command = [str(program), "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port or free_port())]
    server = Server("Label Studio", command, settings(folder, account) | dict(extra or {}), folder / "log")
    with contextlib.ExitStack() as undo:
        undo.callback(server.stop)
        # It moves to the next port by itself where its own is taken: what it says is where it is.
        url = server.wait_for_line(SERVING, seconds, cancelled)
        server.wait_for_answer(f"{url}/health", seconds, cancelled)
        if port is not None and not url.endswith(f":{port}"):
            raise ServerError(f"Port {port} was taken while Label Studio started; choose another one.")
        undo.pop_all()
    return LabelStudio(url, account, server)


def settings(folder: Path, account: Account) -> dict[str, str]:
    """Environment variables of a Label Studio that keeps to its folder and calls nobody."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith(OURS_ALONE)}
    return outside | {
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_USERNAME": account.email,
        "LABEL_STUDIO_PASSWORD": account.password,
        "LABEL_STUDIO_USER_TOKEN": account.token,
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        # An ML backend on this machine is refused unless both are off.
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
    }
