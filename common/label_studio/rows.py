"""Projects with their connections, webhooks, settings and storages, as Label Studio has them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

BASIC = "BASIC_AUTH"
CONNECTED = "CO"


@dataclass(frozen=True)
class Counts:
    """How much a project holds; ``submitted`` and ``skipped`` are annotations."""

    tasks: int
    submitted: int
    skipped: int


@dataclass(frozen=True)
class Project:
    """A project, and when it was read.

    Parameters
    ----------
    model_version : str or None
        The version whose predictions annotators see.
    stamp : str
        Second of its creation, as Label Studio tells an ML backend: another project may get its id after a reset.
    read_at : datetime or None
        By Label Studio's clock.
    created_at : str
        Moment of its creation, in UTC and as exactly as Label Studio knows it; empty where it does not tell.
    """

    id: int
    label_config: str
    model_version: str | None
    sampling: str = ""
    stamp: str = ""
    counts: Counts | None = None
    read_at: datetime | None = None
    title: str = ""
    skip_queue: str = ""
    created_at: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any], project_id: int, read_at: datetime | None) -> Self:
        """Read Label Studio's JSON."""
        counts = [row.get(f"{name}_number") for name in ("task", "total_annotations", "skipped_annotations")]
        return cls(
            id=project_id,
            label_config=str(row.get("label_config") or ""),
            model_version=row.get("model_version") or None,
            sampling=str(row.get("sampling") or ""),
            stamp=stamp_of(row.get("created_at")),
            counts=Counts(*(int(count) for count in counts if count is not None)) if None not in counts else None,
            read_at=read_at,
            title=str(row.get("title") or ""),
            skip_queue=str(row.get("skip_queue") or ""),
            created_at=_utc(row.get("created_at")),
        )

    @property
    def n_tasks(self) -> int:
        """Number of tasks; 0 where Label Studio does not tell."""
        return self.counts.tasks if self.counts else 0


@dataclass(frozen=True)
class Login:
    """Name and password of HTTP basic authentication."""

    name: str
    password: str = field(repr=False)

    @property
    def in_latin_1(self) -> bool:
        """Whether Label Studio can send it: it encodes both so."""
        try:
            (self.name + self.password).encode("latin-1")
        except UnicodeEncodeError:
            return False
        return True


@dataclass(frozen=True)
class ConnectionRow:
    """A project's connection to an ML backend (Settings > Model), as Label Studio has just tried it.

    Parameters
    ----------
    state : str
        ``CO`` where ``/health`` and ``/setup`` answered, ``ER`` where only ``/health`` did, ``DI`` where none did.
    reason : str
        What Label Studio says about a state other than ``CO``.
    answers_with : str
        The version that ``/setup`` named.
    basic_account : str or None
        Name that is sent with each request; None without basic authentication.
    """

    id: int
    url: str
    title: str
    state: str = ""
    reason: str = ""
    answers_with: str = ""
    basic_account: str | None = None
    follows_version: bool = True

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read Label Studio's JSON."""
        return cls(
            id=int(row["id"]),
            url=row["url"],
            title=row.get("title") or "",
            state=str(row.get("state") or ""),
            reason=row.get("error_message") or "",
            answers_with=row.get("model_version") or "",
            basic_account=(row.get("basic_auth_user") or None) if row.get("auth_method") == BASIC else None,
            follows_version=row.get("auto_update") is not False,
        )

    @property
    def works(self) -> bool:
        """Whether Label Studio can use it."""
        return self.state == CONNECTED

    def bears(self, versions: Collection[str]) -> bool:
        """Return whether it answers with one of these versions, or is named after one."""
        return self.answers_with in versions or self.title in versions

    @property
    def unauthorized(self) -> bool:
        """Whether the backend refused what Label Studio sends as its login."""
        return not self.works and self.reason.startswith("401")


@dataclass(frozen=True)
class Webhook:
    """Where Label Studio reports events of a project, or of all projects where ``project_id`` is None."""

    id: int
    url: str
    project_id: int | None
    active: bool
    with_payload: bool
    all_actions: bool
    actions: frozenset[str]
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read Label Studio's JSON."""
        return cls(
            id=int(row["id"]),
            url=row["url"],
            project_id=row.get("project"),
            active=bool(row.get("is_active")),
            with_payload=bool(row.get("send_payload")),
            all_actions=bool(row.get("send_for_all_actions")),
            actions=frozenset(map(str, row.get("actions") or ())),
            headers={str(name): str(value) for name, value in (row.get("headers") or {}).items()},
        )


@dataclass(frozen=True)
class ProjectSettings:
    """What of a project's settings bears on suggestions."""

    id: int
    title: str
    label_config: str
    model_version: str | None
    shows_predictions: bool
    sampling: str
    training_every: int
    counts_skips: bool
    tasks: int
    annotations: int
    ground_truths: int
    overlap: int = 1

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read Label Studio's JSON."""
        return cls(
            id=int(row["id"]),
            title=str(row.get("title") or ""),
            label_config=str(row.get("label_config") or ""),
            model_version=row.get("model_version") or None,
            shows_predictions=bool(row.get("show_collab_predictions")),
            sampling=str(row.get("sampling") or ""),
            training_every=int(row.get("min_annotations_to_start_training") or 0),
            counts_skips=row.get("skip_queue") == "IGNORE_SKIPPED",
            tasks=int(row.get("task_number") or 0),
            annotations=int(row.get("total_annotations_number") or 0),
            ground_truths=int(row.get("ground_truth_number") or 0),
            overlap=int(row.get("maximum_annotations") or 1),
        )


@dataclass(frozen=True)
class Storage:
    """A source storage of a project."""

    id: int
    kind: str
    title: str
    bucket: str
    status: str
    prefix: str = ""

    @classmethod
    def of(cls, kind: str, row: Mapping[str, Any]) -> Self:
        """Read Label Studio's JSON."""
        return cls(
            id=int(row["id"]),
            kind=kind,
            title=str(row.get("title") or ""),
            bucket=str(row.get("bucket") or row.get("container") or row.get("path") or ""),
            status=str(row.get("status") or ""),
            prefix=str(row.get("prefix") or ""),
        )


def _utc(created_at: object) -> str:
    try:
        return datetime.fromisoformat(str(created_at)).astimezone(UTC).isoformat()
    except ValueError:
        return ""


def stamp_of(created_at: object) -> str:
    """Name the moment of a project's creation as Label Studio does in what it sends to a backend."""
    try:
        return str(int(datetime.fromisoformat(str(created_at)).timestamp()))
    except ValueError:
        return ""
