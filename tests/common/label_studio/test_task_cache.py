import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.errors import LabelStudioError
from common.label_studio import task_cache
from common.label_studio.rows import Counts
from common.label_studio.task_cache import Reading, TaskCache, is_locked

NO_VOTES = {"id": 1, "model_version": "consensus/NoVotes", "score": 0.0}
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
READING = Reading("digest", NOW, NOW, {"consensus/Discovered": (2, "2026-01-30")}, [1, 3])


def task(number: int, *labels: str | None, predictions: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """A task with an annotation for each label; None is a skipped one."""
    annotations = [
        {"id": position, "result": [label], "was_cancelled": label is None}
        for position, label in enumerate(labels)
    ]
    return {
        "id": number,
        "data": {"image": f"/{number}.png", "nested": [1, {"ä": None}]},
        "annotations": annotations,
        "predictions": list(predictions),
    }


def kept(cache: TaskCache) -> list[dict[str, Any]]:
    """All tasks, as they were put."""
    return list(cache.tasks(lambda row: row))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "projects" / "7" / "mirror.sqlite"


def test_what_is_put_comes_back(path: Path) -> None:
    """Tasks, annotations, predictions and the reading survive the file, in the order of the tasks' ids."""
    discovered = {"id": 2, "model_version": "consensus/Discovered", "score": 0.875}
    tasks = [task(2, "dark", None), task(1, "light", "dark", predictions=(discovered,))]
    with TaskCache(path) as cache:
        assert cache.reading() is None
        assert cache.put(tasks) == 2
        cache.note(READING)
    with TaskCache(path) as cache:
        assert kept(cache) == [tasks[1], tasks[0]]
        assert cache.counts() == Counts(tasks=2, submitted=3, skipped=1)
        assert cache.reading() == READING


def test_a_task_that_is_put_again_replaces_itself(path: Path) -> None:
    """What was deleted of a task, a prediction too, is gone when it is read anew."""
    with TaskCache(path) as cache:
        cache.put([task(1, "light", "dark", predictions=(NO_VOTES,))])
        cache.put([task(1, "light")])
        assert kept(cache) == [task(1, "light")]
        assert cache.counts() == Counts(tasks=1, submitted=1, skipped=0)


def test_all_predictions_are_replaced_at_once(path: Path) -> None:
    """A new run of consensus leaves none of the last one's; one on a task that is not there says nothing."""
    new = [NO_VOTES | {"score": 0.75}, NO_VOTES | {"id": 2, "score": 0.125}]
    with TaskCache(path) as cache:
        cache.put([task(1, "dark"), task(2, "dark", predictions=(NO_VOTES,))])
        cache.put_predictions([(1, new[0]), (9, new[0]), (1, new[1])])
        assert [row["predictions"] for row in kept(cache)] == [new, []]


def test_after_an_error_nothing_has_changed(path: Path) -> None:
    """A reading that fails half way leaves the cache as it was."""
    with TaskCache(path) as cache:
        cache.put([task(1, "dark")])

    def fail() -> None:
        with TaskCache(path) as cache:
            cache.clear()
            cache.put([task(2, "light")])
            raise LabelStudioError("answered 500")

    with pytest.raises(LabelStudioError):
        fail()
    with TaskCache(path) as cache:
        assert [row["id"] for row in kept(cache)] == [1]


def test_another_format_is_forgotten(path: Path) -> None:
    """A cache of another version of the program is empty, not misread."""
    with TaskCache(path) as cache:
        cache.put([task(1, "dark")])
        cache.note(READING)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with TaskCache(path) as cache:
        assert cache.reading() is None
        assert kept(cache) == []


def test_only_one_program_has_the_file_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one is refused, and can tell that from damage."""
    monkeypatch.setattr(task_cache, "WAIT_S", 0)
    with TaskCache(path), pytest.raises(sqlite3.OperationalError) as refused:
        TaskCache(path)
    assert is_locked(refused.value)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as damaged:
        TaskCache(path)
    assert not is_locked(damaged.value)


def test_digests_tell_tasks_that_differ(path: Path) -> None:
    """In data, annotations or predictions; not in the order in which these were sent."""
    first, second = ({"id": number, "result": [], "was_cancelled": False} for number in (1, 2))
    with TaskCache(path) as cache:
        cache.put([task(1) | {"annotations": [first, second], "predictions": [first, second]}, task(2)])
        before = cache.digests()
        cache.put([task(1) | {"annotations": [second, first], "predictions": [second, first]}])
        assert cache.digests() == before
        for change in ({"data": {}}, {"annotations": [first]}, {"predictions": [first]}):
            cache.put([task(2) | change])
            assert cache.digests()[1] == before[1]
            assert cache.digests()[2] != before[2]


@pytest.mark.parametrize("described", ["", "[]", "{}", "null", '{"stamp": "1", "config": "", "all_read_at": 3}'])
def test_a_reading_that_cannot_be_read_is_none(path: Path, described: str) -> None:
    """Then all is read again."""
    with TaskCache(path) as cache:
        cache.note(READING)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE reading SET described = ?", [described])
    database.close()
    with TaskCache(path) as cache:
        assert cache.reading() is None


@pytest.mark.parametrize("annotations", ["", "{}x", "[3]", '[{"result": 3}]'])
def test_a_row_that_cannot_be_read_is_damage(path: Path, annotations: str) -> None:
    """It is told as SQLite's own damage is."""
    with TaskCache(path) as cache:
        cache.put([task(1, "dark")])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE task SET annotations = ?", [annotations])
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="task 1"), TaskCache(path) as cache:
        list(cache.tasks(lambda row: row["annotations"][0]["result"][0]))


def test_what_is_derived_of_a_task_is_kept_while_it_stays_as_it_is(path: Path) -> None:
    """It is gone where the task is read anew, its predictions change, or it was derived with another key."""
    with TaskCache(path) as cache:
        cache.put([task(number, "dark", predictions=(NO_VOTES,)) for number in (1, 2, 3)])
        assert cache.derived("key") == {}
        cache.put_derived((number, [number, None]) for number in (3, 2, 1))
    with TaskCache(path) as cache:
        assert list(cache.derived("key").items()) == [(1, [1, None]), (2, [2, None]), (3, [3, None])]
        cache.put([task(1, "light", predictions=(NO_VOTES,))])
        cache.put_predictions([(1, NO_VOTES), (3, NO_VOTES)])
        assert cache.derived("key") == {3: [3, None]}
        assert [row["id"] for row in cache.tasks(dict, underived=True)] == [1, 2]
        assert cache.derived("another") == cache.derived("key") == {}


def test_what_was_kept_stays_after_an_error(path: Path) -> None:
    """What is written later goes; while it is worked with, nobody else has the file."""

    def fail() -> None:
        with TaskCache(path) as cache:
            cache.put([task(1, "dark")])
            cache.keep()
            cache.put([task(2, "dark")])
            raise LabelStudioError("answered 500")

    with pytest.raises(LabelStudioError):
        fail()
    with TaskCache(path) as cache:
        assert [row["id"] for row in kept(cache)] == [1]


def test_derived_text_that_cannot_be_read_is_damage(path: Path) -> None:
    """It is told as SQLite's own damage is, also where two texts make one that could be read."""
    with TaskCache(path) as cache:
        cache.put([task(1, "dark"), task(2, "dark")])
        cache.derived("key")
        cache.put_derived([(1, 1), (2, 2)])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE derived SET described = '1, 3' WHERE task = 1")
    database.close()
    with TaskCache(path) as cache, pytest.raises(sqlite3.DatabaseError, match="a task cannot be read"):
        cache.derived("key")
