from datetime import UTC, datetime, timedelta

import pytest

from common.doctor import Level
from common.label_studio.label_config import LabelConfig
from consensus.diagnosis.project_checks import ProjectState, last_run, store
from consensus.label_studio import Project
from consensus.store.columns import Row

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def state(run: Row | None = None, origin: Row | None = None) -> ProjectState:
    """A project of which only the store tells."""
    project = Project(7, "Seven", 2, "", LabelConfig(), "http://here", "2026-11-01T00:00:00")
    return ProjectState(project, None, {}, is_stored=True, last_run=run, origin=origin, now=NOW)


@pytest.mark.parametrize(
    ("age", "finished", "level", "seen"),
    [
        (timedelta(hours=3), True, Level.FINE, "the last run began 3 hours ago and finished"),
        (timedelta(days=8), True, Level.WARNING, "the last run began 8 days ago and finished"),
        (timedelta(minutes=5), False, Level.WARNING, "the last run began 5 min ago and has not finished"),
        (timedelta(hours=5), False, Level.PROBLEM, "the last run began 5 hours ago and was not finished"),
    ],
)
def test_the_last_run_has_an_age_and_an_end(age: timedelta, finished: bool, level: Level, seen: str) -> None:  # noqa: FBT001 - a case
    """One that was cut off has left a part of the reports; a database may keep no time zone."""
    began = NOW - age
    for moment in (began, began.replace(tzinfo=None)):
        (finding,) = last_run(state({"started_at": moment, "finished_at": moment if finished else None}))
        assert (finding.level, finding.seen) == (level, seen)


def test_a_store_of_another_label_studio_is_named() -> None:
    """It was made at another time; another address alone is a move."""
    moved = {"url": "http://there", "created_at": "2026-11-01T00:00:00"}
    assert [finding.level for finding in store(state(origin=moved))] == [Level.FINE]
    (finding,) = store(state(origin={**moved, "created_at": "2025-01-01T00:00:00"}))
    assert finding.level is Level.PROBLEM
    assert "http://there" in finding.seen
