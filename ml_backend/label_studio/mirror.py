"""A project's tasks as they were last read, so that a training asks Label Studio only for what has changed.

One SQLite file a project, which only its trainings open. It can be deleted at any time: then all is read again.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.label_studio.client import Counts, Task

IN_MEMORY = Path(":memory:")
_FORMAT = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS task (
    id INTEGER PRIMARY KEY, data TEXT NOT NULL, annotations TEXT NOT NULL,
    submitted INTEGER NOT NULL, skipped INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS verdict (task INTEGER PRIMARY KEY, described TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS reading (id INTEGER PRIMARY KEY CHECK (id = 0), described TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Reading:
    """What the mirror holds, and of when.

    Parameters
    ----------
    stamp : str
        The project's creation stamp.
    config : str
        Digest of the label config at that time.
    all_read_at : datetime
        When all tasks were last read, by our clock; aware.
    changes_since : datetime or None
        What has changed later, by Label Studio's clock, is perhaps not in the mirror.
    versions : dict of str to (int, str)
        The versions of consensus that Label Studio had: predictions and time of the latest one.
    """

    stamp: str
    config: str
    all_read_at: datetime
    changes_since: datetime | None
    versions: dict[str, tuple[int, str]]


class Mirror:
    """The file. Used with ``with``: what was written stays only where the block ends well.

    Parameters
    ----------
    path : Path
        Made if it does not exist.

    Raises
    ------
    sqlite3.Error
        From every method, if the file is damaged, locked or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path != IN_MEMORY:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path)
        try:
            self._make()
        except sqlite3.Error:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what was written, or forget it after an error."""
        try:
            if error is None:
                self._database.commit()
        finally:
            self._database.close()

    def reading(self) -> Reading | None:
        """Tell what is there; None before the first reading, or if another program's format is."""
        row = self._database.execute("SELECT described FROM reading").fetchone()
        try:
            return _reading(json.loads(row[0])) if row else None
        except (ValueError, LookupError, TypeError, AttributeError):
            return None

    def note(self, reading: Reading) -> None:
        """Keep what is there now, and of when."""
        since = reading.changes_since
        described = asdict(reading) | {
            "all_read_at": reading.all_read_at.isoformat(),
            "changes_since": since.isoformat() if since else None,
        }
        self._database.execute("REPLACE INTO reading VALUES (0, ?)", [json.dumps(described)])

    def clear(self) -> None:
        """Forget all tasks."""
        for table in ("task", "verdict", "reading"):
            self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def put(self, tasks: Iterable[Task]) -> int:
        """Keep tasks in place of what was known of them; give how many."""
        count = 0
        for task in tasks:
            annotations = [vars(one) for one in task.annotations]
            skipped = sum(one.skipped for one in task.annotations)
            self._database.execute(
                "REPLACE INTO task VALUES (?, ?, ?, ?, ?)",
                (task.id, json.dumps(task.data), json.dumps(annotations), len(annotations) - skipped, skipped),
            )
            self._put_verdicts(task.id, task.verdicts)
            count += 1
        return count

    def put_verdicts(self, verdicts: Iterable[tuple[int, Verdict]]) -> None:
        """Keep these, by task, in place of all verdicts."""
        self._database.execute("DELETE FROM verdict")
        by_task: dict[int, list[Verdict]] = {}
        for task_id, verdict in verdicts:
            by_task.setdefault(task_id, []).append(verdict)
        for task_id, found in by_task.items():
            self._put_verdicts(task_id, found)

    def counts(self) -> Counts:
        """Count what is there."""
        query = "SELECT count(*), coalesce(sum(submitted), 0), coalesce(sum(skipped), 0) FROM task"
        return Counts(*self._database.execute(query).fetchone())

    def tasks(self) -> Iterator[Task]:
        """Give all tasks by id, with their verdicts."""
        query = "SELECT id, data, annotations, described FROM task LEFT JOIN verdict ON task = id ORDER BY id"
        for row in self._database.execute(query):
            try:
                task = _task(*row)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise sqlite3.DatabaseError(f"task {row[0]} cannot be read: {error}") from None
            yield task

    def _make(self) -> None:
        [version] = self._database.execute("PRAGMA user_version").fetchone()
        if version != _FORMAT:
            for table in ("task", "verdict", "reading"):
                self._database.execute(f"DROP TABLE IF EXISTS {table}")
            self._database.executescript(_SCHEMA)
            self._database.execute(f"PRAGMA user_version = {_FORMAT}")

    def _put_verdicts(self, task_id: int, verdicts: Sequence[Verdict]) -> None:
        if not verdicts:
            self._database.execute("DELETE FROM verdict WHERE task = ?", (task_id,))
            return
        described = json.dumps([vars(one) for one in verdicts])
        self._database.execute("REPLACE INTO verdict VALUES (?, ?)", (task_id, described))


def _reading(kept: dict[str, Any]) -> Reading:
    since = kept["changes_since"]
    return Reading(
        stamp=kept["stamp"],
        config=kept["config"],
        all_read_at=datetime.fromisoformat(kept["all_read_at"]),
        changes_since=datetime.fromisoformat(since) if since else None,
        versions={name: (count, latest) for name, (count, latest) in kept["versions"].items()},
    )


def _task(task_id: int, data: str, annotations: str, verdicts: str | None) -> Task:
    return Task(
        task_id,
        json.loads(data),
        tuple(_annotation(one) for one in json.loads(annotations)),
        tuple(Verdict(**one) for one in json.loads(verdicts or "[]")),
    )


def _annotation(kept: dict[str, Any]) -> Annotation:
    choices = {control: tuple(chosen) for control, chosen in kept.pop("choices").items()}
    return Annotation(choices=choices, **kept)
