"""What the checks look at, as it was read: of Label Studio, of the backend, and of one project."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.label_studio.rows import ConnectionRow, ProjectSettings, Storage, Webhook

_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Reply:
    """What an address answered.

    Parameters
    ----------
    url : str
        After redirects.
    status : int
        0 where there was no answer; ``error`` then says why.
    body : dict or None
        The answer's JSON object; None for a page or anything else.
    ahead_s : float or None
        By how many seconds the other clock is ahead of ours.
    """

    url: str
    status: int = 0
    body: Mapping[str, Any] | None = None
    error: str = ""
    ahead_s: float | None = None

    @property
    def answered(self) -> bool:
        """Whether anything answered."""
        return self.status != 0


@dataclass(frozen=True)
class Key:
    """What can be told of Label Studio's access token without showing it.

    Parameters
    ----------
    kind : str
        ``legacy``, ``refresh`` (a personal access token), ``access`` (what that is exchanged for) or empty.
    """

    kind: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True)
class LabelStudioState:
    """Label Studio as this program reaches it.

    Parameters
    ----------
    missing : tuple of str
        Environment variables that are not set.
    version : Reply
        Of ``/api/version``.
    refused : str
        What Label Studio says about the key; empty where it lets it in.
    refused_with : int
        Status of that answer.
    """

    url: str
    missing: tuple[str, ...]
    version: Reply
    key: Key
    refused: str = ""
    refused_with: int = 0


@dataclass(frozen=True)
class Folder:
    """The data folder as this program sees it."""

    path: Path
    exists: bool
    writable: bool
    free_bytes: int


@dataclass(frozen=True)
class BackendState:
    """The running backend as this program reaches it, and its settings as this program reads them.

    Parameters
    ----------
    url : str
        As Label Studio knows it; may be empty.
    health, versions, versions_without_login : Reply
        Of ``/health`` and ``/versions`` with what the settings let in, and of ``/versions`` with nothing.
    weights : str
        As configured.
    headers : mapping of str to str
        What a webhook must send.
    account : str or None
        Name for HTTP basic authentication.
    waiting : tuple of int
        Projects whose training has long been due.
    zero_shot : str
        What suggests by the names of the labels; empty for nothing.
    """

    url: str
    health: Reply
    versions: Reply
    versions_without_login: Reply
    weights: str
    headers: Mapping[str, str] = field(repr=False)
    account: str | None
    folder: Folder
    waiting: tuple[int, ...] = ()
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    zero_shot: str = ""

    def connecting(self, project: int | str, row: ConnectionRow | None = None) -> str:
        """Return the command that connects a project, with the address where that is known."""
        url = self.url or (row.url if row else "http://ADDRESS:9090")
        given = "" if "@" in url else f" --url {url}"  # a password is not shown; it is in the settings
        return f"ml-backend connect --project {project}{given}"


@dataclass(frozen=True)
class Versions:
    """A project's versions in the data folder as this program sees it.

    Parameters
    ----------
    newest, current : str or None
        The last one that was trained, and the one that answers.
    held_back : str
        Why the newest did not take over; empty if it did.
    chosen : bool
        Whether a person chose the one that answers.
    took_over : bool
        Whether the newest has answered.
    damage : str
        What is wrong with the one that should answer; empty where nothing is.
    """

    newest: str | None = None
    current: str | None = None
    held_back: str = ""
    chosen: bool = False
    newest_at: datetime | None = None
    took_over: bool = False
    damage: str = ""


@dataclass(frozen=True)
class ImageTry:
    """One image that was fetched as the backend does it; ``reason`` is empty where that worked."""

    task_id: int
    key: str
    url: str
    reason: str = ""
    is_page: bool = False


@dataclass(frozen=True)
class ProjectState:
    """One project.

    Parameters
    ----------
    rows : sequence of ConnectionRow
        All its connections.
    ours : sequence of ConnectionRow
        Those that lead to this backend.
    moved : sequence of ConnectionRow
        Those that bear a version of this backend and lead elsewhere.
    webhooks : sequence of Webhook
        Its own and those for all projects.
    events : frozenset of str
        What a webhook of ours should send.
    with_version : int
        Tasks that have a prediction of the version that answers.
    tasks : sequence of dict
        A sample.
    annotated : sequence of dict
        A sample of annotated tasks with their annotations.
    """

    project: ProjectSettings
    rows: Sequence[ConnectionRow]
    ours: Sequence[ConnectionRow]
    webhooks: Sequence[Webhook]
    events: frozenset[str]
    backend: BackendState
    versions: Versions = Versions()
    with_version: int = 0
    tasks: Sequence[Mapping[str, Any]] = ()
    annotated: Sequence[Mapping[str, Any]] = ()
    images: Sequence[ImageTry] = ()
    storages: Sequence[Storage] = ()
    moved: Sequence[ConnectionRow] = ()
    read_at: datetime = _LONG_AGO

    @property
    def connect(self) -> str:
        """The command that sets a connection right."""
        return self.backend.connecting(self.project.id, self.row)

    @property
    def row(self) -> ConnectionRow | None:
        """Our connection; the one that works where there are several."""
        return next((row for row in self.ours if row.works), None) or next(iter(self.ours), None)
