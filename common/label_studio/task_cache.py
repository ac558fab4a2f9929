"""A project's tasks as they were last read, so that the next reading asks Label Studio only for what has changed.

One SQLite file a project, which one program opens. It can be deleted at any time: then all is read again.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from common.label_studio.rows import Counts

Read = TypeVar("Read")

IN_MEMORY = Path(":memory:")
_FORMAT = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS task (
    id INTEGER PRIMARY KEY, data TEXT NOT NULL, annotations TEXT NOT NULL,
    submitted INTEGER NOT NULL, skipped INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS prediction (task INTEGER PRIMARY KEY, described TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS reading (id INTEGER PRIMARY KEY CHECK (id = 0), described TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Reading:
    """What the cache holds, and of when.

    Parameters
    ----------
    stamp : str
        The project's creation stamp.
    config : str
        Digest of the label config at that time.
    all_read_at : datetime
        When all tasks were last read, by our clock; aware.
    changes_since : datetime or None
        What has changed later, by Label Studio's clock, is perhaps not in the cache.
    versions : dict of str to (int, str)
        The versions of consensus that Label Studio had: predictions and time of the latest one.
    """

    stamp: str
    config: str
    all_read_at: datetime
    changes_since: datetime | None
    versions: dict[str, tuple[int, str]]


class TaskCache:
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
        for table in ("task", "prediction", "reading"):
            self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def put(self, tasks: Iterable[Mapping[str, Any]]) -> int:
        """Keep tasks, with the predictions in them, in place of what was known of them; return how many.

        Parameters
        ----------
        tasks : iterable of mapping
            With JSON: ``id``, ``data``, ``annotations`` (each with ``was_cancelled``) and ``predictions``.
        """
        count = 0
        for task in tasks:
            annotations = task.get("annotations") or ()
            skipped = sum(bool(annotation["was_cancelled"]) for annotation in annotations)
            self._database.execute(
                "REPLACE INTO task VALUES (?, ?, ?, ?, ?)",
                (
                    task["id"],
                    json.dumps(task["data"]),
                    json.dumps(annotations),
                    len(annotations) - skipped,
                    skipped,
                ),
            )
            self._put_predictions(task["id"], task.get("predictions") or ())
            count += 1
        return count

    def put_predictions(self, predictions: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Keep these, by task, in place of all predictions."""
        self._database.execute("DELETE FROM prediction")
        by_task: dict[int, list[Mapping[str, Any]]] = {}
        for task_id, prediction in predictions:
            by_task.setdefault(task_id, []).append(prediction)
        for task_id, of_task in by_task.items():
            self._put_predictions(task_id, of_task)

    def counts(self) -> Counts:
        """Count what is there."""
        query = "SELECT count(*), coalesce(sum(submitted), 0), coalesce(sum(skipped), 0) FROM task"
        return Counts(*self._database.execute(query).fetchone())

    def tasks(self, read: Callable[[dict[str, Any]], Read]) -> Iterator[Read]:
        """Read all tasks by id, with their predictions."""
        query = "SELECT id, data, annotations, described FROM task LEFT JOIN prediction ON task = id ORDER BY id"
        for number, data, annotations, predictions in self._database.execute(query):
            try:
                task = read(
                    {
                        "id": number,
                        "data": json.loads(data),
                        "annotations": json.loads(annotations),
                        "predictions": json.loads(predictions or "[]"),
                    }
                )
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise sqlite3.DatabaseError(f"task {number} cannot be read: {error}") from None
            yield task

    def _make(self) -> None:
        [version] = self._database.execute("PRAGMA user_version").fetchone()
        if version != _FORMAT:
            for table in ("task", "prediction", "reading"):
                self._database.execute(f"DROP TABLE IF EXISTS {table}")
            self._database.executescript(_SCHEMA)
            self._database.execute(f"PRAGMA user_version = {_FORMAT}")

    def _put_predictions(self, task_id: int, predictions: Sequence[Mapping[str, Any]]) -> None:
        if not predictions:
            self._database.execute("DELETE FROM prediction WHERE task = ?", (task_id,))
            return
        self._database.execute("REPLACE INTO prediction VALUES (?, ?)", (task_id, json.dumps(predictions)))


def _reading(kept: dict[str, Any]) -> Reading:
    since = kept["changes_since"]
    return Reading(
        stamp=kept["stamp"],
        config=kept["config"],
        all_read_at=datetime.fromisoformat(kept["all_read_at"]),
        changes_since=datetime.fromisoformat(since) if since else None,
        versions={name: (count, latest) for name, (count, latest) in kept["versions"].items()},
    )
