"""Label Studio and the database of the environment, imported at first use: scoring a file needs neither."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from consensus.settings import settings

if TYPE_CHECKING:
    from consensus.label_studio import Studio
    from consensus.projects.run import Outcome
    from consensus.store.database import Database
    from consensus.store.store import Store


def run_project(*arguments: Any, **options: Any) -> "Outcome":  # noqa: ANN401  # as the pipeline takes them
    """Run the pipeline."""
    from consensus.projects.run import run as run_pipeline  # noqa: PLC0415

    return run_pipeline(*arguments, **options)


def studio(timeout: float | None = None) -> "Studio":
    """Return the Label Studio of LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."""
    from consensus.label_studio import Studio  # noqa: PLC0415

    found = settings()
    return Studio(
        found.label_studio_url,
        found.label_studio_api_key.get_secret_value(),
        timeout=timeout,
        signing_key=found.consensus_signing_key.get_secret_value().strip(),
    )


def store(*, make: bool = False, migrate: bool = False) -> "Store":
    """Open the store of CONSENSUS_DATABASE_URL; it can be made where it is empty, or migrated, first."""
    from consensus.store.store import Store  # noqa: PLC0415

    history = timedelta(settings().consensus_history_days) or None
    opened = Store.migrated if migrate else Store.made if make else Store
    return opened(_database_url(), history)


def database() -> "Database":
    """Return the database of CONSENSUS_DATABASE_URL, whatever version its tables are of."""
    from consensus.store.database import Database  # noqa: PLC0415

    return Database(_database_url())


def _database_url() -> str:
    return settings().consensus_database_url.get_secret_value()
