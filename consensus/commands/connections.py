"""Label Studio and the database of the environment, imported at first use: scoring a file needs neither."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.console import note
from common.errors import SettingsError, SuiteError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from common.label_studio.client import LabelStudioClient
    from consensus.label_studio import Studio
    from consensus.projects.run import Outcome
    from consensus.settings import ProjectConfig
    from consensus.store.database import Database
    from consensus.store.store import Store


def run_project(
    label_studio: "Studio",
    opened: "Store | None",
    config: "ProjectConfig",
    project: int,
    *,
    now: "Callable[[], datetime]",
    dry_run: bool = False,
    **options: Any,  # noqa: ANN401  # as the pipeline takes them
) -> "Outcome":
    """Run the pipeline; what it found fills the queues of review.

    The run is stored by then: what fails afterwards is named in its outcome.
    """
    from dataclasses import replace  # noqa: PLC0415

    from consensus.assist.unvoted import fill_unvoted  # noqa: PLC0415
    from consensus.projects.run import run as run_pipeline  # noqa: PLC0415
    from consensus.review.gold import serve_gold  # noqa: PLC0415
    from consensus.review.queues import refresh  # noqa: PLC0415

    outcome = run_pipeline(label_studio, opened, config, project, now=now, dry_run=dry_run, **options)
    if opened is None or dry_run:
        return outcome
    share = config.review.gold_share
    steps: dict[str, Callable[[], object]] = {
        "the queues of review were not filled": lambda: refresh(opened, project, config.review, now()),
        "the queue unvoted was not filled": lambda: fill_unvoted(label_studio, opened, config, project, now()),
        "no known answers were put before annotators": lambda: (
            serve_gold(label_studio, opened, config, project, share, now) if share else None
        ),
        "the tabs of the queues were not changed": lambda: show_tabs(label_studio, opened, project, config),
    }
    failures = []
    for failure, step in steps.items():
        try:
            step()
        except SuiteError as error:
            failures.append(f"{failure}: {error}")
    return replace(outcome, failures=tuple(failures))


def show_tabs(
    label_studio: "Studio", opened: "Store", project: int, config: "ProjectConfig | None" = None
) -> None:
    """Let the tabs of Label Studio show what waits for people now, unless the settings want none."""
    from consensus.review.tabs import show_queues  # noqa: PLC0415
    from consensus.settings import project_config, settings  # noqa: PLC0415

    config = config or project_config(settings().consensus_config, project)
    if config.review.tabs:
        show_queues(label_studio, opened.decisions, project)


def show_tabs_after(
    label_studio: "Studio", opened: "Store", project: int, config: "ProjectConfig | None" = None
) -> None:
    """Do the same after something was done, which is told also where the tabs cannot be changed."""
    try:
        show_tabs(label_studio, opened, project, config)
    except SuiteError as error:
        note(f"the tabs of the queues were not changed: {error}")


def studio(timeout: float | None = None) -> "Studio":
    """Return the Label Studio of LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."""
    from consensus.label_studio import Studio  # noqa: PLC0415
    from consensus.settings import settings  # noqa: PLC0415

    client, chosen = studio_client(timeout), settings()
    return Studio(
        client,
        chosen.consensus_signing_key.get_secret_value().strip()
        or chosen.label_studio_api_key.get_secret_value().strip(),
        cache=chosen.consensus_cache_dir,
    )


def studio_client(timeout: float | None = None) -> "LabelStudioClient":
    """Return the client for LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."""
    from common.label_studio.client import LabelStudioClient  # noqa: PLC0415
    from common.label_studio.session import TIMEOUT_S, Session  # noqa: PLC0415
    from consensus.settings import settings  # noqa: PLC0415

    chosen = settings()
    chosen.require_label_studio()
    key = chosen.label_studio_api_key.get_secret_value()
    return LabelStudioClient(Session(chosen.label_studio_url, key, timeout_s=timeout or TIMEOUT_S))


def store(*, make: bool = False, migrate: bool = False) -> "Store":
    """Open the store of CONSENSUS_DATABASE_URL, or the one of this account.

    It can be made where it is empty, which is said, or migrated, first.
    """
    from consensus.settings import settings  # noqa: PLC0415
    from consensus.store.store import Store  # noqa: PLC0415

    history = timedelta(settings().consensus_history_days) or None
    opened = Store.migrated if migrate else Store.made if make else Store
    return opened(_database_url(make=make or migrate), history)


def existing_store() -> "Store | None":
    """Open the store as it is; None where a run would make one."""
    return None if database().revision() is None else store()


def database() -> "Database":
    """Return the database of CONSENSUS_DATABASE_URL, whatever version its tables are of."""
    from consensus.store.database import Database  # noqa: PLC0415

    return Database(_database_url())


def _database_url(*, make: bool = False) -> str:
    from consensus.settings import default_store, settings  # noqa: PLC0415

    place = store_file()
    if place == default_store():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"the store's folder {place.parent} cannot be made: {error.strerror}; let this account make it, "
                "or name another place in CONSENSUS_DATABASE_URL, as in sqlite:////path/from/the/root.db"
            ) from None
    if place is not None and make and place.parent.is_dir() and not place.exists():
        note(f"there is no store yet: a new one is made at {place}")
    return settings().consensus_database_url.get_secret_value()


def store_file() -> Path | None:
    """Return the file of the store; None where it is no SQLite database or its address cannot be understood.

    Raises
    ------
    SettingsError
        Where another folder would have another store, without a word.
    """
    from consensus.settings import default_store, settings  # noqa: PLC0415

    url = settings().consensus_database_url.get_secret_value()
    scheme, _, path = url.partition(":///")
    name = path.partition("?")[0]
    if scheme.partition("+")[0] != "sqlite" or name in ("", ":memory:"):
        return None
    place, here = Path(name), Path("consensus.db").absolute()
    if place == default_store() and here.exists() and here != place:
        raise SettingsError(
            f"{here} is a store that was made where the command was run; without CONSENSUS_DATABASE_URL the "
            f"store is {place} now, wherever the command is run. Move the file there, or set "
            f"CONSENSUS_DATABASE_URL=sqlite:///{here}"
        )
    if not place.is_absolute() and not settings().is_from_file("consensus_database_url"):
        raise SettingsError(
            f"CONSENSUS_DATABASE_URL names {name}, which is another file in each folder; name it from the root, "
            f"as in sqlite:///{place.absolute()}"
        )
    return place.absolute()
