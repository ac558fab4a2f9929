"""What the routes share: the store, Label Studio, and the limits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import current_app
from werkzeug.exceptions import NotFound, ServiceUnavailable

from common.serving.credentials import Credentials
from consensus.errors import ConfigError
from consensus.serving.background import Background
from consensus.serving.cursors import Cursors
from consensus.serving.ml_backend import MLBackend
from consensus.serving.suggested import SuggestedMemory
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.store import Store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from consensus.label_studio import Studio

EXTENSION = "consensus"
MAX_BYTES = 64 << 20  # of a body: a webhook sends the data of all tasks that came
MAX_PAGE = 500
PATIENCE_S = 5


@dataclass(frozen=True, eq=False)
class Service:
    """The parts of the service.

    Parameters
    ----------
    token : str
        What each call has to show; empty: nothing is asked for, and only this machine may call.
    opened : callable
        Opens the store.
    studio : callable
        Opens Label Studio for the time of a block.
    run : callable
        Computes the reports of a project, and returns what is to be said of that.
    config : callable
        What the settings file says of a project.
    stop : callable
        Ends what is at work.
    webhook_token : str
        What lets in Label Studio's webhook and opens nothing else: all its members can read it there.
    ml_backend : MLBackend
        The one that is asked which images are alike.
    """

    token: str = field(repr=False)
    opened: Callable[[], Store]
    studio: Callable[[], "AbstractContextManager[Studio]"]
    run: Callable[[int], dict[str, Any]] = field(repr=False)
    config: Callable[[int], ProjectConfig] = field(default=lambda _: ProjectConfig(), repr=False)
    stop: Callable[[], None] = field(default=lambda: None, repr=False)
    webhook_token: str = field(default="", repr=False)
    ml_backend: MLBackend = field(default_factory=MLBackend)
    suggested: SuggestedMemory = field(default_factory=SuggestedMemory, repr=False)
    background: Background = field(default_factory=Background, repr=False)
    readings: Background = field(default_factory=Background, repr=False)
    cursors: Cursors = field(init=False, repr=False)
    _stores: list[Store] = field(default_factory=list, repr=False)
    _heavy: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cursors", Cursors(self.token))

    @property
    def credentials(self) -> Credentials:
        """What each call has to show."""
        return Credentials(realm="consensus", token=self.token)

    @property
    def credentials_of_routes(self) -> dict[str, Credentials]:
        """What lets into single routes as well."""
        if not self.webhook_token:
            return {}
        return {"/webhook": Credentials(realm="consensus", token=self.webhook_token)}

    @property
    def store(self) -> Store:
        """The store, opened when it is first needed: its tables may be made after the service has begun."""
        with self._opening:
            if not self._stores:
                self._stores.append(self.opened())
            return self._stores[0]

    @contextmanager
    def alone(self, others: str, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Let one request at a time do what needs a whole project in memory; who waits too long is refused.

        Parameters
        ----------
        others : str
            What it may wait for.
        patience_s : float
            How long it waits; -1: for ever.
        """
        if not self._heavy.acquire(timeout=patience_s):
            raise ServiceUnavailable(f"{others} is at work; ask again in a few seconds", retry_after=PATIENCE_S)
        try:
            yield
        finally:
            self._heavy.release()


def service() -> Service:
    """Return the parts of the application that answers."""
    answering: Service = current_app.extensions[EXTENSION]
    return answering


@contextmanager
def snapshot_of(here: Service, project: int) -> Iterator[Snapshot]:
    """Open one state of the store, of a project that has a run.

    Raises
    ------
    NotFound
        Where it has none.
    """
    with here.store.snapshot() as snapshot:
        try:
            snapshot.needed_run(project)
        except ConfigError as error:
            raise NotFound(str(error)) from None
        yield snapshot


def check_run(here: Service, project: int) -> None:
    """Refuse a project that has no run.

    Raises
    ------
    NotFound
        Where it has none.
    """
    with snapshot_of(here, project):
        pass


def batch_of(snapshot: Snapshot, project: int, batch: str) -> Row:
    """Return a batch of the project that the address names; refuse another."""
    try:
        row = snapshot.decisions.batch(batch)
    except ConfigError:
        row = None
    if row is None or row["project"] != project:
        raise NotFound(f"project {project} has no batch {batch}; ../batches lists them")
    return row
