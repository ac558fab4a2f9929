"""Take a project away from this backend: its connection, its webhook and, if asked, its predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from common.label_studio.rows import ConnectionRow, Webhook
from ml_backend.label_studio.backend_address import same_address, webhook_address, without_password
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.connection_faults import EVENTS, is_left_over
from ml_backend.label_studio.ownership import own_connections


@dataclass(frozen=True)
class Removal:
    """One thing in Label Studio that goes.

    Parameters
    ----------
    kind : str
        ``connection``, ``webhook`` or ``predictions``.
    """

    kind: str
    name: str
    remove: Callable[[], None] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Disconnecting:
    """What of a project belongs to a backend.

    Parameters
    ----------
    url : str
        The backend's address as Label Studio knows it; empty where that is not set.
    versions : sequence of str
        That it has trained for the project.
    instance : str
        Its identity.
    """

    client: LabelStudioClient
    project_id: int
    url: str
    versions: Sequence[str]
    instance: str

    def removals(self, *, predictions: bool) -> list[Removal]:
        """Return what there is of this backend; nothing is changed.

        Parameters
        ----------
        predictions : bool
            Whether those of its versions go too.
        """
        rows = self.client.connections(self.project_id)
        own = own_connections(rows, self.url, self.versions, self.instance)
        removals = [
            Removal("connection", f"{without_password(row.url)} ({row.title})", partial(self._disconnect, row))
            for row in own
        ]
        for hook in self._webhooks(own, [row for row in rows if row not in own]):
            delete = partial(self.client.delete_webhook, hook)
            removals.append(Removal("webhook", without_password(hook.url), delete))
        if predictions:
            counts = self.client.version_counts(self.project_id)
            for version in (version for version in self.versions if version in counts):
                delete = partial(self._delete_predictions, version)
                removals.append(Removal("predictions", f"{counts[version][0]} of {version}", delete))
        return removals

    def _webhooks(self, own: Sequence[ConnectionRow], others: Sequence[ConnectionRow]) -> list[Webhook]:
        """Find those of our connections, and those that are left of earlier ones."""
        ours = [webhook_address(url) for url in (*(row.url for row in own), *([self.url] if self.url else []))]
        theirs = [webhook_address(row.url) for row in others]
        events = EVENTS & self.client.known_actions()
        return [
            hook
            for hook in self.client.webhooks()
            if hook.project_id == self.project_id
            and not any(same_address(hook.url, address) for address in theirs)
            and (any(same_address(hook.url, address) for address in ours) or is_left_over(hook, self.url, events))
        ]

    def _disconnect(self, row: ConnectionRow) -> None:
        """Delete a connection; the project goes on showing its version, where that has predictions."""
        shown = self.client.project(self.project_id).model_version
        self.client.delete_connection(row)
        self._show_again(shown)

    def _delete_predictions(self, version: str) -> None:
        """Delete a version's predictions; Label Studio may clear the version that is shown, also another one."""
        shown = self.client.project(self.project_id).model_version
        self.client.delete_version(self.project_id, version)
        self._show_again(shown)

    def _show_again(self, shown: str | None) -> None:
        if shown and self.client.project(self.project_id).model_version != shown:
            titles = {row.title for row in self.client.connections(self.project_id)}
            if shown in titles or shown in self.client.versions(self.project_id):
                self.client.show_version(self.project_id, shown)
