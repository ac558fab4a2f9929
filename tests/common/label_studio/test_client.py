from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio

from common.label_studio.rows import Counts


def test_predictions_of_a_version_are_listed_oldest_first() -> None:
    """By id, each with its task; those of other versions are passed over."""
    studio = InMemoryStudio()
    for task in (1, 2):
        studio.add_task({}, task_id=task)
    for number, task, version in ((9, 1, "v"), (3, 1, "v"), (5, 2, "other"), (4, 2, "v")):
        studio.predict(task, version, id=number)
    assert studio.client().prediction_ids(7, "v", 4) == [(3, 1), (4, 2), (9, 1)]


def test_deleting_may_take_long() -> None:
    """Label Studio deletes some seventy predictions a second: that is waited for."""
    studio = InMemoryStudio()
    studio.client().delete_version(7, "v")
    assert studio.requests[0].extensions["timeout"]["read"] >= 600


def test_changes_are_asked_for_in_the_only_format_that_works() -> None:
    """Label Studio fails on a time without a fraction, without a Z or with an offset."""
    studio = InMemoryStudio()
    early, late = studio.add_task({}), studio.add_task({}, task_id=2)
    late["updated_at"] = "2026-01-31T12:00:06.000000Z"
    since = datetime(2026, 1, 31, 14, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert [task["id"] for task in studio.client().changed_tasks(7, "id", since)] == [2]
    assert early["updated_at"] < late["updated_at"]


@pytest.mark.parametrize(
    ("answered", "date", "made", "counts", "read_at"),
    [
        (
            {"created_at": "2026-11-21T19:42:45.999Z", "task_number": 5, "total_annotations_number": 4,
             "skipped_annotations_number": 1},
            "Sat, 21 Nov 2026 19:51:32 GMT", ("1795290165", "2026-11-21T19:42:45.999000+00:00"), Counts(5, 4, 1),
            datetime(2026, 11, 21, 19, 51, 32, tzinfo=UTC),
        ),
        ({"created_at": "yesterday", "task_number": 5}, "soon", ("", ""), None, None),
        ({}, None, ("", ""), None, None),
    ],
)  # fmt: skip
def test_what_a_project_tells_of_itself(
    answered: dict[str, object],
    date: str | None,
    made: tuple[str, str],
    counts: Counts | None,
    read_at: datetime | None,
) -> None:
    """When it was made, what it holds and when that was, where Label Studio says so."""
    headers = {"date": date} if date else {}
    answer = httpx.Response(200, json={"id": 7, "label_config": "<View/>", **answered}, headers=headers)
    studio = InMemoryStudio()
    studio.faults["GET projects/7"] = answer
    project = studio.client().project(7)
    assert ((project.stamp, project.created_at), project.counts, project.read_at) == (made, counts, read_at)
