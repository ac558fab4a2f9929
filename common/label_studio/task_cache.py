"""A project's tasks as they were last read, so that the next reading asks Label Studio only for what has changed.

One SQLite file a project, which one program opens. It can be deleted at any time: then all is read again.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from common.label_studio.rows import Counts

Read = TypeVar("Read")

IN_MEMORY = Path(":memory:")
WAIT_S = 5.0
"""For another program that has the file open."""
_FORMAT = 6
_AT_ONCE = 1_000
_TABLES = {
    "task": "id INTEGER PRIMARY KEY, data TEXT NOT NULL, annotations TEXT NOT NULL, "
    "submitted INTEGER NOT NULL, skipped INTEGER NOT NULL, changed_at TEXT NOT NULL",
    "prediction": "task INTEGER PRIMARY KEY, described TEXT NOT NULL",
    "derived": "task INTEGER PRIMARY KEY, described TEXT NOT NULL",
    "derivation": "id INTEGER PRIMARY KEY CHECK (id = 0), key TEXT NOT NULL",
    "reading": "id INTEGER PRIMARY KEY CHECK (id = 0), described TEXT NOT NULL",
}
_ROWS = "SELECT id, data, annotations, coalesce(described, '[]') FROM task LEFT JOIN prediction ON task = id"


@dataclass(frozen=True)
class Reading:
    """What the cache holds, and of when.

    Parameters
    ----------
    config : str
        Digest of the label config at that time.
    all_read_at : datetime
        When all tasks were last read, by our clock; aware.
    changes_since : datetime or None
        What has changed later, by Label Studio's clock, is perhaps not in the cache.
    versions : dict of str to (int, str)
        The versions whose predictions are kept, as Label Studio had them: their number and the latest one's time.
    accounts : list of int
        Those that Label Studio had: it takes the name off the annotations of one that is deleted, without a trace.
    """

    config: str
    all_read_at: datetime
    changes_since: datetime | None
    versions: dict[str, tuple[int, str]]
    accounts: list[int]


class TaskCache:
    """The file. Used with ``with``: what was written stays only where the block ends well, and nobody else has it.

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
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise sqlite3.OperationalError(f"{path.parent} cannot be made: {error.strerror}") from None
        self._database = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            self._database.execute("BEGIN IMMEDIATE")
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
            self._database.execute("COMMIT" if error is None else "ROLLBACK")
        finally:
            self._database.close()

    def keep(self) -> None:
        """Keep what was written, whatever happens from now on; nobody else gets the file meanwhile for long."""
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

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
        for table in _TABLES:
            self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def put(self, tasks: Iterable[Mapping[str, Any]]) -> int:
        """Keep tasks, with the predictions in them, in place of what was known of them; return how many.

        Parameters
        ----------
        tasks : iterable of mapping
            With JSON: ``id``, ``data``, ``annotations`` and ``predictions``, each of them with an ``id``, and of
            tasks and annotations ``updated_at`` where it is known.
        """
        count = 0
        for task in tasks:
            annotations = _by_id(task.get("annotations") or ())
            skipped = sum(bool(annotation["was_cancelled"]) for annotation in annotations)
            self._database.execute(
                "REPLACE INTO task VALUES (?, ?, ?, ?, ?, ?)",
                (
                    task["id"],
                    json.dumps(task["data"]),
                    json.dumps(annotations),
                    len(annotations) - skipped,
                    skipped,
                    max(str(row.get("updated_at") or "") for row in (task, *annotations)),
                ),
            )
            self._put_predictions(task["id"], task.get("predictions") or ())
            self._database.execute("DELETE FROM derived WHERE task = ?", (task["id"],))
            count += 1
        return count

    def put_predictions(self, predictions: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Keep these, by task, in place of all predictions."""
        by_task: dict[int, list[Mapping[str, Any]]] = {}
        for task_id, prediction in predictions:
            by_task.setdefault(task_id, []).append(prediction)
        before = dict(self._database.execute("SELECT task, described FROM prediction"))
        after = {task_id: json.dumps(_by_id(of_task)) for task_id, of_task in by_task.items()}
        changed = [(number,) for number in before.keys() | after.keys() if before.get(number) != after.get(number)]
        for table in ("prediction", "derived"):
            self._database.executemany(f"DELETE FROM {table} WHERE task = ?", changed)  # noqa: S608 - our own names
        added = ((number, after[number]) for (number,) in changed if number in after)
        self._database.executemany("INSERT INTO prediction VALUES (?, ?)", added)

    def counts(self) -> Counts:
        """Count what is there."""
        query = "SELECT count(*), coalesce(sum(submitted), 0), coalesce(sum(skipped), 0) FROM task"
        return Counts(*self._database.execute(query).fetchone())

    def tasks(self, read: Callable[[dict[str, Any]], Read], *, underived: bool = False) -> Iterator[Read]:
        """Read tasks by id, with their predictions: all, or those of which nothing derived is kept."""
        only = "WHERE id NOT IN (SELECT task FROM derived)" if underived else ""
        for number, data, annotations, predictions in self._database.execute(f"{_ROWS} {only} ORDER BY id"):
            with _read_back(f"task {number}"):
                task = read(
                    {
                        "id": number,
                        "data": json.loads(data),
                        "annotations": json.loads(annotations),
                        "predictions": json.loads(predictions),
                    }
                )
            yield task

    def data(self) -> dict[int, dict[str, Any]]:
        """Read the data of all tasks, by id."""
        return self._texts("SELECT id, data FROM task ORDER BY id")

    def derived(self, key: str) -> dict[int, Any]:
        """Return what was derived of tasks that have not changed since, by id; nothing if it was of another key.

        Parameters
        ----------
        key : str
            Of all that it depends on besides the task.
        """
        if self._database.execute("SELECT key FROM derivation").fetchone() != (key,):
            self._database.execute("DELETE FROM derived")
            self._database.execute("REPLACE INTO derivation VALUES (0, ?)", (key,))
        return self._texts("SELECT task, described FROM derived ORDER BY task")

    def put_derived(self, derived: Iterable[tuple[int, Any]]) -> None:
        """Keep what was derived of tasks, under the key that was last asked for; it is JSON."""
        rows = ((number, json.dumps(content)) for number, content in derived)
        self._database.executemany("REPLACE INTO derived VALUES (?, ?)", rows)

    def digests(self) -> dict[int, bytes]:
        """Digest of all that is kept of each task, by id."""
        return {
            number: hashlib.blake2b("\0".join(texts).encode(), digest_size=16).digest()
            for number, *texts in self._database.execute(_ROWS)
        }

    def changed_at(self) -> dict[int, str]:
        """When each task or one of its annotations was last changed, by id, as Label Studio says."""
        return dict(self._database.execute("SELECT id, changed_at FROM task"))

    def _make(self) -> None:
        [version] = self._database.execute("PRAGMA user_version").fetchone()
        if version != _FORMAT:
            for table, columns in _TABLES.items():
                self._database.execute(f"DROP TABLE IF EXISTS {table}")
                self._database.execute(f"CREATE TABLE {table} ({columns})")
            self._database.execute(f"PRAGMA user_version = {_FORMAT}")

    def _texts(self, query: str) -> dict[int, Any]:
        """Read JSON by id, many texts as one, which takes half as long."""
        cursor, contents = self._database.execute(query), dict[int, Any]()
        while rows := cursor.fetchmany(_AT_ONCE):
            with _read_back("a task"):
                listed = json.loads(f"[{','.join(text for _, text in rows)}]")
                contents |= zip((number for number, _ in rows), listed, strict=True)
        return contents

    def _put_predictions(self, task_id: int, predictions: Sequence[Mapping[str, Any]]) -> None:
        if not predictions:
            self._database.execute("DELETE FROM prediction WHERE task = ?", (task_id,))
            return
        self._database.execute("REPLACE INTO prediction VALUES (?, ?)", (task_id, json.dumps(_by_id(predictions))))


@contextmanager
def _read_back(subject: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"{subject} cannot be read: {error}") from None


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another program has the file open, which says nothing against the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _by_id(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """In one order, however Label Studio sent them."""
    return sorted(rows, key=lambda row: int(row["id"]))


def _reading(described: dict[str, Any]) -> Reading:
    since = described["changes_since"]
    return Reading(
        config=described["config"],
        all_read_at=datetime.fromisoformat(described["all_read_at"]),
        changes_since=datetime.fromisoformat(since) if since else None,
        versions={name: (count, latest) for name, (count, latest) in described["versions"].items()},
        accounts=[int(account) for account in described["accounts"]],
    )
