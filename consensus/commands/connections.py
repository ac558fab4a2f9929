"""Label Studio and the database of the environment, imported at first use: scoring a file needs neither."""

from typing import TYPE_CHECKING, Any

from consensus.settings import settings

if TYPE_CHECKING:
    from consensus.label_studio import Studio
    from consensus.projects.run import Outcome
    from consensus.store.store import Store


def run_project(*arguments: Any, **options: Any) -> "Outcome":  # noqa: ANN401  # as the pipeline takes them
    """Run the pipeline."""
    from consensus.projects.run import run as run_pipeline  # noqa: PLC0415

    return run_pipeline(*arguments, **options)


def studio(timeout: float | None = None) -> "Studio":
    """Return the Label Studio of LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."""
    from consensus.label_studio import Studio  # noqa: PLC0415

    return Studio(settings().label_studio_url, settings().label_studio_api_key.get_secret_value(), timeout=timeout)


def store() -> "Store":
    """Open the store of CONSENSUS_DATABASE_URL."""
    from consensus.store.store import Store  # noqa: PLC0415

    return Store(settings().consensus_database_url.get_secret_value())
