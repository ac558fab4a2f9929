"""What the pages share besides the service: who is what, and what Label Studio said a moment ago."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from flask import current_app

from common.doctor import Diagnosis
from common.errors import SuiteError
from consensus.console.access import Roles
from consensus.console.attempts import Door
from consensus.console.computed import Computed
from consensus.console.front import Network
from consensus.console.health import Health, Schedule
from consensus.console.import_jobs import ImportJobs
from consensus.console.picture_cache import LARGEST, PictureCache
from consensus.console.pictures import Pictures
from consensus.console.sessions import Sessions
from consensus.serving.service import Service
from consensus.transfer.archives import Archives

EXTENSION = "console"
FRESH_S = 120.0


class Titles:
    """The titles of projects, by id."""

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service, self._clock, self._lock = service, clock, threading.Lock()
        self._titles: dict[int, str] = {}
        self._ends_at = clock()

    def all(self) -> dict[int, str]:
        """Return them as they were a moment ago; without Label Studio those that are known."""
        with self._lock:
            if self._clock() < self._ends_at:
                return self._titles
            self._ends_at = self._clock() + FRESH_S  # the others go on with what is known
        try:
            with self._service.studio() as studio:
                self._titles = studio.client.project_titles()
        except SuiteError:
            pass
        return self._titles

    def of(self, project: int) -> str:
        """Return the title of a project, or its number."""
        return self.all().get(project) or f"Project {project}"


@dataclass(frozen=True, eq=False)
class Console:
    """What the pages need.

    Parameters
    ----------
    service : Service
    pictures_in : Path
        Where small pictures are kept.
    largest_cache : int
        Bytes of all of them together.
    roles : Roles
    secret : str
        What sessions are signed by; without one they last as long as this process.
    public_url : str
        Where people open the console, if that is behind a proxy: its path goes before the pages' addresses, and
        with https:// the session's cookie is sent over TLS alone.
    proxies : tuple of networks
        Of proxies that are believed who asks.
    datasets_in : Path or None
        The folder below which pages import; None: they import lists of addresses alone.
    """

    service: Service
    pictures_in: Path
    roles: Roles = field(default_factory=Roles)
    secret: str = field(default="", repr=False)
    public_url: str = ""
    proxies: tuple[Network, ...] = ()
    door: Door = field(default_factory=Door)
    computed: Computed = field(default_factory=Computed)
    schedule: Schedule = field(default_factory=Schedule)
    examine: Callable[[int], Iterable[Diagnosis]] = field(default=lambda _: (), repr=False)
    settings_file: Path | None = None
    count_with: Callable[[int, str], dict[str, int]] | None = field(default=None, repr=False)
    largest_cache: int = LARGEST
    imports_in: Callable[[], Path] | None = None
    datasets_in: Path | None = None
    titles: Titles = field(init=False)
    pictures: Pictures = field(init=False)
    health: Health = field(init=False)
    sessions: Sessions = field(init=False)
    imports: ImportJobs = field(init=False)
    archives: Archives = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "titles", Titles(self.service))
        object.__setattr__(
            self, "pictures", Pictures(self.service, PictureCache(self.pictures_in, self.largest_cache))
        )
        object.__setattr__(self, "health", Health(self.service))
        object.__setattr__(self, "sessions", Sessions(self.service))
        imports = ImportJobs(self.service, self.imports_in, self.datasets_in, self.settings_file)
        object.__setattr__(self, "imports", imports)
        object.__setattr__(self, "archives", Archives(self.pictures_in.parent / "exports"))

    @property
    def prefix(self) -> str:
        """The path before the addresses of the pages."""
        return urlsplit(self.public_url).path.rstrip("/")


def console() -> Console:
    """Return the parts of the application that answers."""
    answering: Console = current_app.extensions[EXTENSION]
    return answering
