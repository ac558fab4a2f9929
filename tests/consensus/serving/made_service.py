"""A service on a store, for tests."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from consensus.label_studio import Studio
from consensus.serving.service import Service
from consensus.settings import ProjectConfig
from consensus.store.store import Store

TOKEN = "a-token-of-this-test"


def no_studio() -> AbstractContextManager[Studio]:
    """For routes that must not ask Label Studio."""
    raise AssertionError("Label Studio was asked")


def made_service(
    store: Store,
    token: str = TOKEN,
    studio: Callable[[], AbstractContextManager[Studio]] = no_studio,
    run: Callable[[int], dict[str, Any]] = lambda project: {"votes": project},
    config: ProjectConfig | None = None,
) -> Service:
    """Put a service together."""
    return Service(token, lambda: store, studio, run, lambda _: config or ProjectConfig())
