import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.errors import LabelStudioError
from ml_backend.label_studio.client import Counts, Task
from ml_backend.label_studio.mirror import Mirror, Reading

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
READING = Reading("1795256176", "digest", NOW, NOW, {"consensus/Discovered": (2, "2026-01-30")})


def task(number: int, *labels: str | None, verdicts: tuple[Verdict, ...] = ()) -> Task:
    """A task with an annotation for each label; None is a skipped one."""
    annotations = tuple(
        Annotation(
            annotator,
            "2026-01-01T00:00:00Z",
            skipped=label is None,
            ground_truth=False,
            choices={"kind": (label,)} if label else {},
        )
        for annotator, label in enumerate(labels)
    )
    return Task(number, {"image": f"/{number}.png", "nested": [1, {"ä": None}]}, annotations, verdicts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "projects" / "7" / "mirror.sqlite"


def test_what_is_put_comes_back(path: Path) -> None:
    """Tasks, annotations, verdicts and the reading survive the file, in the order of the tasks' ids."""
    verdict = Verdict("Discovered", "kind", "dark", 0.875)
    tasks = [task(2, "dark", None), task(1, "light", "dark", verdicts=(verdict,))]
    with Mirror(path) as mirror:
        assert mirror.reading() is None
        assert mirror.put(tasks) == 2
        mirror.note(READING)
    with Mirror(path) as mirror:
        assert list(mirror.tasks()) == [tasks[1], tasks[0]]
        assert mirror.counts() == Counts(tasks=2, submitted=3, skipped=1)
        assert mirror.reading() == READING


def test_a_task_that_is_put_again_replaces_itself(path: Path) -> None:
    """What was deleted of a task, a verdict too, is gone when it is read anew."""
    with Mirror(path) as mirror:
        mirror.put([task(1, "light", "dark", verdicts=(Verdict("NoVotes", "", "", 0.0),))])
        mirror.put([task(1, "light")])
        assert list(mirror.tasks()) == [task(1, "light")]
        assert mirror.counts() == Counts(tasks=1, submitted=1, skipped=0)


def test_all_verdicts_are_replaced_at_once(path: Path) -> None:
    """A new run of consensus leaves none of the last one's; a verdict on a task that is not there says nothing."""
    new = [Verdict("Discovered", "kind", "dark", 0.75), Verdict("MisClassified", "kind", "light", 0.125)]
    with Mirror(path) as mirror:
        mirror.put([task(1, "dark"), task(2, "dark", verdicts=(Verdict("NoVotes", "", "", 0.0),))])
        mirror.put_verdicts([(1, new[0]), (9, new[0]), (1, new[1])])
        assert [one.verdicts for one in mirror.tasks()] == [tuple(new), ()]


def test_after_an_error_nothing_has_changed(path: Path) -> None:
    """A reading that fails half way leaves the mirror as it was."""
    with Mirror(path) as mirror:
        mirror.put([task(1, "dark")])

    def fail() -> None:
        with Mirror(path) as mirror:
            mirror.clear()
            mirror.put([task(2, "light")])
            raise LabelStudioError("answered 500")

    with pytest.raises(LabelStudioError):
        fail()
    with Mirror(path) as mirror:
        assert [one.id for one in mirror.tasks()] == [1]


def test_another_format_is_forgotten(path: Path) -> None:
    """A mirror of another version of the program is empty, not misread."""
    with Mirror(path) as mirror:
        mirror.put([task(1, "dark")])
        mirror.note(READING)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with Mirror(path) as mirror:
        assert mirror.reading() is None
        assert list(mirror.tasks()) == []


@pytest.mark.parametrize("described", ["", "[]", "{}", "null", '{"stamp": "1", "config": "", "all_read_at": 3}'])
def test_a_reading_that_cannot_be_read_is_none(path: Path, described: str) -> None:
    """Then all is read again."""
    with Mirror(path) as mirror:
        mirror.note(READING)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE reading SET described = ?", [described])
    database.close()
    with Mirror(path) as mirror:
        assert mirror.reading() is None


@pytest.mark.parametrize("annotations", ["", "{}x", "[3]", '[{"choices": 3}]', '[{"choices": {}, "colour": 1}]'])
def test_a_row_that_cannot_be_read_is_damage(path: Path, annotations: str) -> None:
    """It is told as SQLite's own damage is."""
    with Mirror(path) as mirror:
        mirror.put([task(1, "dark")])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE task SET annotations = ?", [annotations])
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="task 1"), Mirror(path) as mirror:
        list(mirror.tasks())
