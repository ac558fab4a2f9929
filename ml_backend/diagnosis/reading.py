"""Reading the state of all sides: nothing is written, neither in Label Studio nor on disk."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from common.errors import FetchError, ImageRejectedError
from common.label_studio.rows import ConnectionRow, ProjectSettings
from ml_backend.backend import Backend
from ml_backend.core.controls import image_controls
from ml_backend.core.versions import is_ours
from ml_backend.diagnosis.replies import ask, moment, read_key
from ml_backend.diagnosis.spreading import addresses_in, spread
from ml_backend.diagnosis.state import (
    BackendState,
    Folder,
    ImageTry,
    LabelStudioState,
    ProjectState,
    Reply,
    Versions,
)
from ml_backend.errors import LabelStudioError, RefusedError
from ml_backend.images.decoder import Decoder
from ml_backend.label_studio.backend_address import same_address, webhook_address
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.connection_faults import EVENTS
from ml_backend.label_studio.ownership import answers_as, known_instance, own_connections
from ml_backend.model_registry import ModelRegistry
from ml_backend.serving.auth import webhook_headers
from ml_backend.settings import Settings

TASKS = 500  # that are looked at
ANNOTATED = 200
_TASK_FIELDS = "id,data,is_labeled,overlap,total_annotations,cancelled_annotations"
_ANNOTATED_FIELDS = "id,annotations,result,updated_at"
_OVERDUE_S = 600.0
_STORAGES = {"s3": "s3://", "gcs": "gs://", "azure": "azure-blob://", "localfiles": "/data/local-files/"}
_PAGE_STARTS = (b"<!doctype html", b"<html")


def read_label_studio(settings: Settings, connections: httpx.Client) -> LabelStudioState:
    """Ask Label Studio which release it is, and whether it lets us in."""
    url, missing = settings.label_studio_url, tuple(settings.missing)
    key = read_key(settings.label_studio_api_key.get_secret_value())
    version = ask(connections, f"{url}/api/version") if url else Reply("")
    state = LabelStudioState(url, missing, version, key)
    if missing or version.body is None:
        return state
    try:
        with closing(LabelStudioClient(settings)) as admin:
            admin.authorize()
    except RefusedError as error:
        return replace(state, refused=error.reason or str(error), refused_with=error.http_status)
    except LabelStudioError as error:
        return replace(state, refused=str(error))
    return state


def read_backend(settings: Settings, connections: httpx.Client) -> BackendState:
    """Ask the running backend for what it says of itself, and look at its folder from here."""
    url, headers = settings.public_url, webhook_headers(settings)
    health = ask(connections, f"{url}/health", headers) if url else Reply("")
    versions = ask(connections, f"{url}/versions", headers) if health.answered else Reply("")
    bare = ask(connections, f"{url}/versions") if health.answered and headers else Reply("")
    return BackendState(
        url=url,
        health=health,
        versions=versions,
        versions_without_login=bare,
        weights=settings.weights,
        headers=headers,
        account=settings.basic_user or None,
        folder=_folder(settings.data_dir),
        renamed=settings.renamed,
        zero_shot=settings.zero_shot,
        waiting=tuple(Backend(settings).requests.due(time.time() - _OVERDUE_S)),
    )


class ProjectReader:
    """Reads projects one by one.

    Parameters
    ----------
    images : int
        How many of a project's images are tried.
    """

    def __init__(self, admin: LabelStudioClient, backend: Backend, state: BackendState, images: int) -> None:
        self._admin, self._backend, self._state, self._images = admin, backend, state, images
        self._instance = known_instance(backend.settings.data_dir)
        self._events = EVENTS & admin.known_actions()
        self._webhooks = admin.webhooks()

    def connected(self, advance: Callable[[int, int], None] = lambda *_: None) -> list[int]:
        """List the projects that have a connection or a webhook to this backend, or that it has trained."""
        ids = self._admin.project_ids()
        trained = set(self._backend.registry.projects()).intersection(self._backend.requests.projects())
        connected = trained.intersection(ids)
        address = webhook_address(self._state.url)
        connected |= {
            hook.project_id for hook in self._webhooks if hook.project_id and same_address(hook.url, address)
        }
        for number, project_id in enumerate(ids):
            advance(number, len(ids))
            if project_id not in connected and self._ours(self._admin.connections(project_id), ()):
                connected.add(project_id)
        return sorted(connected)

    def read(self, project_id: int) -> ProjectState:
        """Read a project.

        Raises
        ------
        LabelStudioError
            If it is not there, or Label Studio cannot be asked.
        """
        project = self._admin.project_settings(project_id)
        rows = self._admin.connections(project_id)
        own = self._backend.registry.versions(project_id)
        ours = self._ours(rows, own)
        tasks = (
            self._admin.task_page(project_id, page=1, size=TASKS, include=_TASK_FIELDS) if project.tasks else []
        )
        return ProjectState(
            project=project,
            rows=rows,
            ours=ours,
            moved=[row for row in self._own(rows, own) if row not in ours],
            webhooks=[hook for hook in self._webhooks if hook.project_id in (project_id, None)],
            events=self._events,
            backend=self._state,
            versions=_versions(self._backend.registry, project_id),
            with_version=self._with_version(project_id, ours),
            tasks=tasks,
            annotated=self._annotated(project),
            images=list(self._tried(project, tasks)),
            storages=list(self._admin.storages(project_id, _kinds_of_storage(tasks))),
            read_at=datetime.now(UTC),
        )

    def _ours(self, rows: Sequence[ConnectionRow], own: Sequence[str]) -> list[ConnectionRow]:
        """Find our connections: by our address, or where that is not known, by what answers there."""
        if self._state.url:
            return [row for row in rows if same_address(row.url, self._state.url)]
        return self._own(rows, own) or [row for row in rows if answers_as(row.answers_with, own, self._instance)]

    def _own(self, rows: Sequence[ConnectionRow], own: Sequence[str]) -> list[ConnectionRow]:
        return own_connections(rows, self._state.url, own, self._instance)

    def _with_version(self, project_id: int, ours: Sequence[ConnectionRow]) -> int:
        version = next((row.answers_with for row in ours if row.works), "")
        if not is_ours(version):
            return 0
        return self._admin.count_tasks(
            project_id,
            filter="filter:tasks:predictions_model_versions",
            operator="contains",
            type="List",
            value=[version],
        )

    def _annotated(self, project: ProjectSettings) -> list[dict[str, Any]]:
        if not project.annotations:
            return []
        return self._admin.task_page(
            project.id,
            page=1,
            size=ANNOTATED,
            include=_ANNOTATED_FIELDS,
            ordering="-tasks:updated_at",
            filter="filter:tasks:total_annotations",
            operator="greater",
            type="Number",
            value=0,
        )

    def _tried(self, project: ProjectSettings, tasks: Sequence[dict[str, Any]]) -> Iterator[ImageTry]:
        """Fetch images from as many places as possible, and of the newest tasks as well as of the oldest."""
        keys = sorted({control.image_key for control in image_controls(project.label_config)})
        if not keys or not self._images:
            return
        newest: list[dict[str, Any]] = []
        if project.tasks > len(tasks):
            newest = self._admin.task_page(
                project.id, page=1, size=TASKS, include=_TASK_FIELDS, ordering="-tasks:id"
            )
        with closing(Decoder(self._backend.settings.image_limits, 1)) as decoder:
            for task_id, key, url in spread(addresses_in([*newest, *tasks], keys), self._images):
                yield self._try(decoder, task_id, key, url)

    def _try(self, decoder: Decoder, task_id: int, key: str, url: str) -> ImageTry:
        body = b""
        try:
            body = self._backend.fetcher.fetch(url, task_id)
            decoder.size(body)
        except (FetchError, ImageRejectedError) as error:
            is_page = body.lstrip()[:20].lower().startswith(_PAGE_STARTS)
            return ImageTry(task_id, key, url, error.reason, is_page)
        return ImageTry(task_id, key, url)


def _versions(registry: ModelRegistry, project_id: int) -> Versions:
    records, chosen = registry.records(project_id), registry.chosen_version(project_id)
    newest = records[0] if records else None
    return Versions(
        newest=newest.model_version if newest else None,
        current=registry.current_version(project_id),
        held_back=newest.held_back if newest else "",
        chosen=chosen is not None,
        newest_at=moment(newest.described.get("created_at")) if newest else None,
        took_over=newest is not None and newest.took_over,
        damage=registry.damage(project_id),
    )


def _kinds_of_storage(tasks: Sequence[dict[str, Any]]) -> list[str]:
    values = [value for task in tasks for value in (task.get("data") or {}).values() if isinstance(value, str)]
    return [kind for kind, sign in _STORAGES.items() if any(sign in value for value in values)]


def _folder(path: Path) -> Folder:
    if not path.is_dir():
        return Folder(path, exists=False, writable=False, free_bytes=0)
    return Folder(
        path, exists=True, writable=os.access(path, os.W_OK | os.X_OK), free_bytes=shutil.disk_usage(path).free
    )
