"""Waiting for the ML backend's model, and the tab that shows what it is least certain of."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from demonstration.errors import DemoError

if TYPE_CHECKING:
    from servers import Server

    from demonstration.studio import Studio

MODEL_SECONDS = 240.0
POLL_SECONDS = 0.5
TRAINED_AT = re.compile(r"-(\d{8}T\d{6})-")
SORTING_TAB = "Least certain suggestions first"


def wait_for_model(studio: Studio, project: int, backend: Server, since: datetime) -> str:
    """Wait until the project shows a model whose training began after a moment; return its version.

    Raises
    ------
    DemoError
        Where the backend ends or takes too long; the message holds the end of its log.
    """
    end = time.monotonic() + MODEL_SECONDS
    while True:
        version = studio.project(project).model_version or ""
        match = TRAINED_AT.search(version)
        if match and trained_at(match[1]) >= since.replace(microsecond=0):
            return version
        if not backend.is_running or time.monotonic() > end:
            raise DemoError(
                f"The ML backend published no model within {MODEL_SECONDS:.0f} s of the last annotation. Its last "
                f"lines:\n{backend.last_lines()}"
            )
        time.sleep(POLL_SECONDS)


def trained_at(text: str) -> datetime:
    """Read the time in a model version.

    >>> trained_at("20260131T120005").isoformat()
    '2026-01-31T12:00:05+00:00'
    """
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def make_sorting_tab(studio: Studio, project: int) -> int:
    """Make a Data Manager tab that sorts by the score column; return its id."""
    columns = {"title": SORTING_TAB, "ordering": ["tasks:predictions_score"]}
    studio.add_tab(project, columns)
    return next(int(tab["id"]) for tab in studio.tabs(project) if tab["data"].get("title") == SORTING_TAB)
