"""Connect a project to this backend, or set its connection right; where all is right, nothing is written.

What Label Studio does with a connection: https://labelstud.io/guide/ml and the ML connector of its source.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from common.errors import SettingsError
from common.label_studio.rows import ConnectionRow, Login, ProjectSettings
from ml_backend.core.versions import is_ours
from ml_backend.errors import RefusedError
from ml_backend.label_studio.backend_address import (
    is_slip_of,
    same_address,
    webhook_address,
    without_password,
)
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.connection_faults import (
    EVENTS,
    another_backend,
    explained,
    is_left_over,
    merged_headers,
    no_webhook,
    unhealthy,
    webhook_faults,
)
from ml_backend.label_studio.ordering import ONE_EACH, waits_for_begun_tasks
from ml_backend.label_studio.ownership import answers_as, own_connections

NEW_TITLE = "suggestions"


@dataclass(frozen=True)
class DesiredConnection:
    """How a project should be connected.

    Parameters
    ----------
    url : str
        The backend's address as Label Studio knows it.
    login : Login or None
        What Label Studio must send with each request.
    headers : dict of str to str
        What its webhook must send.
    title : str
        Of the connection until something is trained; empty for any.
    sampling : str or None
        Label Studio's name of the order of the label stream; None leaves it.
    own_versions : frozenset of str
        The versions of the project that this backend trained.
    instance : str
        Its identity; empty where that is not known.
    """

    project_id: int
    url: str
    login: Login | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    title: str = ""
    sampling: str | None = None
    own_versions: frozenset[str] = frozenset()
    instance: str = ""

    def __post_init__(self) -> None:
        """Refuse what Label Studio could not send.

        Raises
        ------
        SettingsError
        """
        if self.headers and self.login is None:
            raise SettingsError(
                "the backend asks for a token (ML_BACKEND_TOKEN), which Label Studio cannot send to /predict: its "
                "connections know only HTTP basic. Set ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD as "
                "well, for the backend and for this command; the token goes on working for other programs"
            )
        if self.login is not None and not self.login.in_latin_1:
            raise SettingsError(
                "ML_BACKEND_BASIC_USER or ML_BACKEND_BASIC_PASSWORD has a letter outside of Latin-1, which Label "
                "Studio cannot send: choose another one"
            )


@dataclass(frozen=True)
class ConnectionSetting:
    """What Label Studio holds of a connection, and what it was changed to.

    Parameters
    ----------
    after : str
        What it was changed to; empty where it was not changed.
    problem : str
        What is left for a person to do; empty where that is nothing.
    note : str
        What a person should know of it.
    """

    name: str
    before: str
    after: str = ""
    problem: str = ""
    note: str = ""


class Connecting:
    """One look at a project's connection that sets right what is wrong.

    Parameters
    ----------
    dry_run : bool
        Only return what would be changed.
    verify : callable
        Raises SettingsError where something else answers at the address; asked before the first change, unless
        Label Studio has it from the backend already.
    """

    def __init__(
        self,
        admin: LabelStudioClient,
        desired: DesiredConnection,
        *,
        dry_run: bool = False,
        verify: Callable[[], None] = lambda: None,
    ) -> None:
        self._admin, self._desired, self._dry_run, self._verify = admin, desired, dry_run, verify
        self._settings: list[ConnectionSetting] = []

    def run(self) -> list[ConnectionSetting]:
        """Go through all settings, and return what each was and is.

        Raises
        ------
        SettingsError
            If something else than this backend answers at the address; nothing is changed then.
        RefusedError
            If Label Studio refuses the connection, with the remedy where there is one; nothing is changed then.
        LabelStudioError
            If Label Studio cannot be reached.
        """
        self._settings = []
        row, left = self._connection()
        self._webhooks(row.url if row else self._desired.url, left)
        self._project(row)
        return self._settings

    def _connection(self) -> tuple[ConnectionRow | None, list[str]]:
        """Make one connection that is ours; give it, and the addresses where ours were before."""
        desired = self._desired
        rows = self._admin.connections(desired.project_id)
        here = [row for row in rows if same_address(row.url, desired.url)]
        own = own_connections(rows, desired.url, desired.own_versions, desired.instance)
        there = [row for row in own if row not in here]
        connection = next((row for row in here if row.works), None) or next(iter([*here, *there]), None)
        if not any(row.works and self._answers(row) for row in here):
            self._verify()
            if any(row.works for row in here):
                raise another_backend(desired.url)
        if connection is None:
            before = ", ".join(["none", *(f"another at {without_password(row.url)}" for row in rows)])
            login = f", login as {desired.login.name}" if desired.login else ""
            self._change("connection", before, without_password(desired.url) + login, self._add)
        else:
            self._keep(connection, desired.url if connection in there else connection.url)
        strays = [row for row in rows if row not in own and not row.works and is_slip_of(row.url, desired.url)]
        for name, extras in (("second connection", [*here, *there]), ("stray connection", strays)):
            for extra in (row for row in extras if row is not connection):
                before = f"{without_password(extra.url)} with the title {extra.title}"
                self._change(name, before, "removed", partial(self._admin.delete_connection, extra))
        return self._tried(), [row.url for row in [*there, *strays]]

    def _answers(self, row: ConnectionRow) -> bool:
        """Whether Label Studio has heard from this backend there."""
        return answers_as(row.answers_with, self._desired.own_versions, self._desired.instance)

    def _refuse_another(self, undo: Callable[[], None]) -> None:
        """Undo what was written where another backend answers Label Studio at the address.

        Raises
        ------
        SettingsError
        """
        row = self._ours(self._admin.connections(self._desired.project_id))
        if row is not None and row.works and not self._answers(row):
            undo()
            raise another_backend(self._desired.url)

    def _keep(self, row: ConnectionRow, url: str) -> None:
        shown, login = without_password(row.url), self._desired.login
        outcome = [ConnectionSetting("connection", shown, "" if url == row.url else without_password(url))]
        if not row.follows_version:
            outcome.append(ConnectionSetting("version", "kept by Label Studio", "asked for"))
        account = f"as {row.basic_account}" if row.basic_account else "none"
        if login and row.basic_account != login.name:
            outcome.append(ConnectionSetting("login", account, f"as {login.name}"))
        elif login and not row.works:  # perhaps with another password, which nobody can read
            outcome.append(
                ConnectionSetting("login", f"{account}, does not get in", f"{account}, with its password")
            )
        else:
            outcome.append(ConnectionSetting("login", account))
        if any(setting.after for setting in outcome) and not self._dry_run:
            try:
                self._repair(row, url, row.title)
            except RefusedError as error:
                if url != row.url:
                    raise
                outcome = [replace(setting, after="", problem=setting.after and str(error)) for setting in outcome]
            else:
                if url != row.url:
                    self._refuse_another(partial(self._repair, row, row.url, row.title))
        self._settings += outcome

    def _add(self) -> None:
        desired = self._desired
        hooks = {hook.id for hook in self._admin.webhooks()}

        def undo() -> None:
            """Delete what Label Studio has made all the same: it would suggest, but never be trained."""
            if half_made := self._ours(self._admin.connections(desired.project_id)):
                self._admin.delete_connection(half_made)
            for hook in self._admin.webhooks():
                if hook.id not in hooks and same_address(hook.url, webhook_address(desired.url)):
                    self._admin.delete_webhook(hook)

        try:
            self._admin.add_connection(desired.project_id, desired.url, desired.title or NEW_TITLE, desired.login)
        except RefusedError as error:
            undo()
            raise explained(error, desired.url) from None
        self._refuse_another(undo)

    def _repair(self, row: ConnectionRow, url: str, title: str) -> None:
        desired = self._desired
        try:
            self._admin.change_connection(desired.project_id, row, url=url, title=title, login=desired.login)
        except RefusedError as error:
            raise explained(error, url) from None

    def _tried(self) -> ConnectionRow | None:
        """Look at our connection again, as Label Studio sees it now, and name it after its version.

        The project's version follows the title, and only predictions of that version are shown and give the score.
        """
        row = self._ours(self._admin.connections(self._desired.project_id))
        if row is None:  # a dry run, before there is one at this address
            return None
        if not row.works:
            explained_already = any(
                setting.problem or (self._dry_run and setting.after) for setting in self._settings
            )
            self._unchanged("health", "Label Studio cannot use it", "" if explained_already else unhealthy(row))
            return row
        trained = is_ours(row.answers_with)
        nothing = f"nothing is trained yet (ml-backend train --project {self._desired.project_id}, or annotate)"
        self._unchanged(
            "health", f"Label Studio reaches it, {row.answers_with + ' answers' if trained else nothing}"
        )
        title = row.answers_with if trained else self._desired.title or row.title
        if title == row.title:
            self._unchanged("title", title)
        else:
            self._change("title", row.title, title, partial(self._repair, row, row.url, title))
        return row

    def _ours(self, rows: Iterable[ConnectionRow]) -> ConnectionRow | None:
        return next((row for row in rows if same_address(row.url, self._desired.url)), None)

    def _webhooks(self, url: str, left: Sequence[str]) -> None:
        """Keep one webhook that sends what is needed and nothing else, with the login that lets it in."""
        desired, address = self._desired, webhook_address(url)
        hooks = [hook for hook in self._admin.webhooks() if hook.project_id == desired.project_id]
        here = [hook for hook in hooks if same_address(hook.url, address)]
        before = [webhook_address(old) for old in left]
        there = [hook for hook in hooks if any(same_address(hook.url, old) for old in before)]
        events = EVENTS & self._admin.known_actions()
        sending = f"{len(events)} events to {without_password(address)}"
        webhook = next(iter([*here, *there]), None)
        if webhook is None:
            self._new_webhook(address, events, sending)
        elif wrong := "; ".join(webhook_faults(webhook, address, events, desired.headers)):
            headers = merged_headers(webhook.headers, desired.headers)
            change = partial(self._admin.change_webhook, webhook, address, events, headers)
            self._change("webhook", wrong, sending, change)
        else:
            self._unchanged("webhook", sending)
        connected = [webhook_address(row.url) for row in self._admin.connections(desired.project_id)]
        strays = [
            hook
            for hook in hooks
            if hook not in [*here, *there]
            and not any(same_address(hook.url, each) for each in connected)
            and is_left_over(hook, desired.url, events)
        ]
        for name, extras in (("second webhook", [*here, *there]), ("stray webhook", strays)):
            for extra in (hook for hook in extras if hook is not webhook):
                delete = partial(self._admin.delete_webhook, extra)
                self._change(name, without_password(extra.url), "removed", delete)

    def _new_webhook(self, address: str, events: frozenset[str], sending: str) -> None:
        add = partial(self._admin.add_webhook, self._desired.project_id, address, events, self._desired.headers)
        if why := no_webhook(address):
            self._unchanged("webhook", "none", problem=why)
            return
        try:
            self._change("webhook", "none", sending, add)
        except RefusedError as error:
            self._unchanged("webhook", "none", problem=str(explained(error, address)))

    def _project(self, row: ConnectionRow | None) -> None:
        """Let annotators see the suggestions of the version that answers."""
        project = self._admin.project_settings(self._desired.project_id)
        changed: dict[str, object] = {}
        waits = waits_for_begun_tasks(self._desired.sampling or project.sampling, project.overlap)
        notes = {"sampling": f"{waits}. To let it choose always, {ONE_EACH}"} if waits else {}
        for name, key, before, after in (
            ("model version", "model_version", project.model_version or "none", self._version(row, project)),
            ("suggestions shown", "show_collab_predictions", project.shows_predictions, True),
            ("training requests", "min_annotations_to_start_training", project.training_every, 0),
            ("sampling", "sampling", project.sampling, self._desired.sampling),
        ):
            words = _WORDS.get(key, str)
            if after is None or after == before:
                self._settings.append(ConnectionSetting(name, words(before), note=notes.get(name, "")))
            else:
                changed[key] = after
                self._settings.append(
                    ConnectionSetting(name, words(before), words(after), note=notes.get(name, ""))
                )
        if changed and not self._dry_run:
            self._admin.change_project(project.id, changed)

    def _version(self, row: ConnectionRow | None, project: ProjectSettings) -> str | None:
        """Choose what the project should show; None to leave it.

        Before the first training there is nothing of ours to show, so only what leads nowhere is set.
        """
        if row is None or not row.works:
            return None
        if is_ours(row.answers_with):
            return row.answers_with
        shown = project.model_version
        rows = self._admin.connections(project.id)
        if shown and (any(row.title == shown for row in rows) or shown in self._admin.versions(project.id)):
            return None
        return next(connection.title for connection in rows if connection.id == row.id)

    def _change(self, name: str, before: str, after: str, write: Callable[[], None]) -> None:
        if not self._dry_run:
            write()
        self._settings.append(ConnectionSetting(name, before, after))

    def _unchanged(self, name: str, before: str, problem: str = "") -> None:
        self._settings.append(ConnectionSetting(name, before, problem=problem))


_WORDS: dict[str, Callable[[object], str]] = {
    "show_collab_predictions": lambda shown: "yes" if shown else "no",
    "min_annotations_to_start_training": lambda every: (
        f"also every {every} annotations" if every else "by webhook"
    ),
}
