"""Label Studio's own storages, through which it shows images that are not uploaded. Nothing is synced.

https://labelstud.io/guide/storage
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from common.errors import LostAnswerError, RefusedError
from common.label_studio.client import LabelStudioClient
from common.label_studio.rows import Storage
from consensus.errors import ConfigError
from consensus.transfer.sources.records import ADDRESS, LeftOut, Record

KINDS = {"s3": "s3", "gs": "gcs", "azure-blob": "azure"}
"""Label Studio's word for a kind of storage, by the scheme of its addresses."""
CREDENTIALS: dict[str, dict[str, tuple[str, ...]]] = {
    "s3": {
        "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
        "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "aws_session_token": ("AWS_SESSION_TOKEN",),
        "region_name": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "s3_endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    },
    "gcs": {
        "google_application_credentials": ("GOOGLE_APPLICATION_CREDENTIALS",),
        "google_project_id": ("GOOGLE_CLOUD_PROJECT",),
    },
    "azure": {
        "account_name": ("AZURE_BLOB_ACCOUNT_NAME",),
        "account_key": ("AZURE_BLOB_ACCOUNT_KEY",),
    },
}
"""Environment variables of each setting of a storage, the first that is set counts."""
_SECRET = frozenset(
    {
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "google_application_credentials",
        "account_key",
    }
)
_LOCAL = "localfiles"
_TITLE = "consensus import"
_LOOK_S = 5.0


@dataclass(frozen=True)
class PlannedStorage:
    """A storage that a project needs.

    Attributes
    ----------
    place : str
        Folder, or bucket and prefix.
    settings : mapping
        By Label Studio's names; may hold credentials.
    variables : tuple of str
        Environment variables that the settings come from.
    """

    kind: str
    place: str
    settings: Mapping[str, Any] = field(repr=False)
    variables: tuple[str, ...] = ()

    def is_served_by(self, storage: Storage) -> bool:
        """Return whether an existing storage serves all that this one would."""
        if storage.kind != self.kind:
            return False
        if self.kind == _LOCAL:
            return PurePosixPath(self.place).is_relative_to(PurePosixPath(storage.bucket))
        return self.bucket == storage.bucket and str(self.settings["prefix"]).startswith(storage.prefix)

    def without_credentials(self, text: str) -> str:
        """Hide the storage's credentials in a text, as an answer may repeat what it refuses."""
        for name in _SECRET.intersection(self.settings):
            text = text.replace(str(self.settings[name]), f"({name})")
        return text

    @property
    def bucket(self) -> str:
        """Of a cloud."""
        return str(self.settings.get("bucket") or self.settings.get("container") or "")


def cloud_storage(address: str, environment: Mapping[str, str] = os.environ) -> PlannedStorage:
    """Plan a storage for a bucket, with the credentials of the environment.

    Parameters
    ----------
    address : str
        Such as ``s3://bucket/prefix``, ``gs://bucket`` or ``azure-blob://container/prefix``.

    Raises
    ------
    ConfigError
        Where it is none of these, or a file with credentials cannot be read.
    """
    scheme, _, rest = address.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme not in KINDS or not bucket:
        raise ConfigError(
            f"{address!r} is no storage; write s3://BUCKET/PREFIX, gs://BUCKET or azure-blob://CONTAINER"
        )
    kind = KINDS[scheme]
    settings: dict[str, Any] = {
        "container" if kind == "azure" else "bucket": bucket, "prefix": prefix, "title": _TITLE,
        "use_blob_urls": True, "presign": True,
    }  # fmt: skip
    used = []
    for name, variables in CREDENTIALS[kind].items():
        variable = next((each for each in variables if environment.get(each)), None)
        if variable:
            value = environment[variable]
            settings[name] = _content(value) if variable == "GOOGLE_APPLICATION_CREDENTIALS" else value
            used.append(variable)
    return PlannedStorage(kind, address, settings, tuple(used))


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"GOOGLE_APPLICATION_CREDENTIALS names {path}, which cannot be read") from None


@dataclass(frozen=True)
class LocalFiles:
    """Label Studio's document root, from which it serves files.

    Attributes
    ----------
    here, there : Path
        The same folder as seen from here and by Label Studio, which may run in a container.
    """

    here: Path
    there: PurePosixPath

    @classmethod
    def of(cls, text: str) -> "LocalFiles":
        """Read ``FOLDER``, or ``FOLDER:FOLDER`` with Label Studio's view after the colon."""
        here, _, there = text.partition(":")
        path = Path(here).resolve()
        if not path.is_dir():
            raise ConfigError(f"--document-root: there is no folder {path}")
        return cls(path, PurePosixPath(there or path))

    def _relative(self, path: Path) -> PurePosixPath | None:
        resolved = path.resolve()
        if not resolved.is_relative_to(self.here):
            return None
        relative = PurePosixPath(resolved.relative_to(self.here))
        return relative if len(relative.parts) > 1 else None

    def placed(self, records: Iterable[Record]) -> tuple[list[Record], list[LeftOut]]:
        """Give files the addresses at which Label Studio serves them; those outside of its reach are left out."""
        inside: list[Record] = []
        outside: list[LeftOut] = []
        for record in records:
            relative = self._relative(record.path) if record.path and not record.address else None
            if record.path is None or record.address:
                inside.append(record)
            elif relative is None:
                why = f"Label Studio serves files in folders below {self.here} alone; move it, or upload it"
                outside.append(record.left_out("refused", why))
            else:
                inside.append(replace(record, address=f"/data/local-files/?d={quote(str(relative))}"))
        return inside, outside

    def storages(self, records: Iterable[Record]) -> list[PlannedStorage]:
        """Plan the storages of the narrowest folders with the files; the document root itself can be none."""
        folders = {each.parent for record in records if record.path and (each := self._relative(record.path))}
        if not folders:
            return []
        common = PurePosixPath(os.path.commonpath([*map(str, folders)]) or ".")
        tops = sorted({each.parts[0] for each in folders}) if common == PurePosixPath() else [str(common)]
        settings = {"title": _TITLE, "use_blob_urls": True}
        places = (str(self.there / top) for top in tops)
        return [PlannedStorage(_LOCAL, place, {**settings, "path": place}) for place in places]


def make_storages(
    client: LabelStudioClient,
    project_id: int,
    planned: Sequence[PlannedStorage],
    sleep: Callable[[float], None] = time.sleep,
) -> list[PlannedStorage]:
    """Make those storages that the project has not, each once; return the ones that were made.

    Raises
    ------
    ConfigError
        Where Label Studio cannot reach what it is to serve.
    """
    made = missing_storages(client, project_id, planned)
    for storage in made:
        try:
            client.add_storage(storage.kind, {**storage.settings, "project": project_id})
        except LostAnswerError:
            sleep(_LOOK_S)
            if missing_storages(client, project_id, [storage]):
                raise
        except RefusedError as error:
            reason = storage.without_credentials(error.reason)
            raise ConfigError(f"Label Studio refuses the storage {storage.place}: {reason}") from None
    return made


def missing_storages(
    client: LabelStudioClient, project_id: int, planned: Sequence[PlannedStorage]
) -> list[PlannedStorage]:
    """Return those storages that the project has not."""
    there = list(client.storages(project_id, {storage.kind for storage in planned}))
    return [storage for storage in planned if not any(map(storage.is_served_by, there))]


def check_served(client: LabelStudioClient, record: Record) -> None:
    """See that Label Studio serves a file, where it is a local one.

    Raises
    ------
    ConfigError
        Where it does not: then it would show no image of the import.
    """
    if not record.path or not record.address:
        return
    try:
        size = client.file_size(record.address)
    except RefusedError as error:
        raise ConfigError(
            f"Label Studio does not serve {record.path} at {record.address} ({error.http_status}); is the "
            "document root the one of its LOCAL_FILES_DOCUMENT_ROOT, and LOCAL_FILES_SERVING_ENABLED on?"
        ) from None
    if size != record.path.stat().st_size:
        raise ConfigError(f"at {record.address} Label Studio serves another file than {record.path}")


def buckets_without_storage(
    records: Iterable[Record], storages: Collection[Storage], planned: Sequence[PlannedStorage]
) -> list[str]:
    """Name the buckets of addresses that no storage serves: Label Studio could not show their images."""
    served = {(each.kind, each.bucket) for each in storages} | {(each.kind, each.bucket) for each in planned}
    places = {tuple(record.address.split("/")[:3]) for record in records if ADDRESS.match(record.address)}
    hidden = {
        f"{scheme}//{bucket}"
        for scheme, _, bucket in places
        if scheme[:-1] in KINDS and (KINDS[scheme[:-1]], bucket) not in served
    }
    return sorted(hidden)
