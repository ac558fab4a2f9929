import json
import os
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from in_memory_label_studio import NOW, PROJECT, InMemoryStudio, region
from structlog.testing import capture_logs

from common.errors import LabelStudioError
from common.label_studio import task_cache
from common.label_studio.incremental_sync import IncrementalSync, Pulled, doubt
from common.label_studio.task_cache import TaskCache

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices></View>"""
Json = dict[str, Any]


class Reader:
    """A project with five annotated tasks, read again and again; five minutes pass before each reading."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder, self.prefix = folder, prefix
        self.studio = InMemoryStudio(CONFIG)
        self.ids = [self.studio.add_task({"n": n}, [{"result": [region("kind", "dark")]}])["id"] for n in range(5)]

    def pull(self, hours: float = 0, config: str = "a", folder: Path | None = None) -> Pulled[list[Json]]:
        """Read the project so many hours after noon."""
        self.studio.now += timedelta(minutes=5)
        self.studio.requests.clear()
        with self.studio.client() as client:
            sync = IncrementalSync(client, folder or self.folder, all_tasks, self.prefix)
            now = NOW + timedelta(hours=hours)
            return sync.pull(client.project(PROJECT), config, now, accounts=client.accounts())

    def whole(self) -> list[Json]:
        """All tasks, as a reading without a cache finds them."""
        with self.studio.client() as client:
            sync = IncrementalSync(client, None, all_tasks, self.prefix)
            return sync.pull(client.project(PROJECT), "a", NOW).tasks

    def refresh(self, tasks: list[int], counts: dict[str, int]) -> None:
        """Take in predictions that were written."""
        with self.studio.client() as client:
            IncrementalSync(client, self.folder, all_tasks, self.prefix).refresh(
                client.project(PROJECT), tasks, counts
            )

    @property
    def asked(self) -> list[str]:
        """What the last reading asked for, page by page."""
        return [kind for request in self.studio.requests if (kind := kind_of(request))]

    @property
    def path(self) -> Path:
        """The file of the cache."""
        [path] = (self.folder / str(PROJECT)).glob("*.sqlite")
        return path


def all_tasks(cache: TaskCache) -> list[Json]:
    """Every task as it lies in the cache."""
    return list(cache.tasks(dict))


def kind_of(request: httpx.Request) -> str:
    """What a request asks for, if that is tasks or predictions."""
    if request.url.path != "/api/tasks/":
        return "predictions" if request.url.path == "/api/predictions/" else ""
    query = json.loads(request.url.params.get("query", "{}"))
    return "changes" if "filters" in query else "ids" if query else "all"


def once(work: Callable[[], object], when: str = "changes") -> Callable[[httpx.Request], None]:
    """What happens in Label Studio before it answers such a request for the first time."""
    left = [work]

    def answer(request: httpx.Request) -> None:
        if left and kind_of(request) == when:
            left.pop()()

    return answer


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Nothing has been read yet."""
    return Reader(tmp_path)


def test_only_what_has_changed_is_read_again(reader: Reader) -> None:
    """The first time all, then nothing, then the tasks that were annotated."""
    first = reader.pull()
    assert (first.read, first.why_all, reader.asked) == (5, "the first reading", ["all"])
    assert reader.pull() == Pulled(first.tasks, 0)
    reader.studio.annotate(reader.ids[3], [region("kind", "light")])
    reader.studio.add_task({"n": 9})
    pulled = reader.pull()
    assert (pulled.read, pulled.why_all, reader.asked) == (2, "", ["changes"])
    assert [len(task["annotations"]) for task in pulled.tasks] == [1, 1, 1, 2, 1, 0]
    assert pulled.tasks == reader.whole()


def test_an_annotation_that_nobody_can_read_is_counted_as_label_studio_counts_it(reader: Reader) -> None:
    """Regions that are none, and skips, are no reason to read all each time."""
    reader.studio.annotate(reader.ids[0], ["nonsense"])
    reader.studio.annotate(reader.ids[1], was_cancelled=True)
    reader.pull()
    assert (reader.pull().read, reader.asked) == (0, ["changes"])


def test_a_submission_during_the_reading_is_no_reason_to_read_all(reader: Reader) -> None:
    """The counts of before do not fit any more, but those of after do."""
    reader.pull()

    reader.studio.faults["GET /api/tasks/"] = once(lambda: reader.studio.annotate(reader.ids[0]))
    pulled = reader.pull()
    assert (pulled.why_all, reader.asked) == ("", ["changes"])
    assert [len(task["annotations"]) for task in pulled.tasks] == [2, 1, 1, 1, 1]


def test_a_deletion_that_left_no_trace_is_found_by_the_counts(reader: Reader) -> None:
    """A task that is gone changed no other task: all is read, and it is gone here."""
    reader.pull()
    del reader.studio.tasks[reader.ids[2]]
    pulled = reader.pull()
    assert reader.asked == ["changes"] * 3 + ["all"]
    assert pulled.why_all == "the counts of tasks or annotations do not fit"
    assert [task["id"] for task in pulled.tasks] == [number for number in reader.ids if number != reader.ids[2]]


def test_a_deletion_that_the_counts_hide_is_found_by_its_event(reader: Reader) -> None:
    """One task comes and another goes: only the event tells, and a reading that fails does not forget it."""
    reader.pull()
    del reader.studio.tasks[reader.ids[2]]
    reader.studio.add_task({"n": 9}, [{}])
    doubt(reader.folder, PROJECT)
    reader.studio.faults["GET /api/tasks/"] = httpx.Response(400, json={"detail": "no"})
    with pytest.raises(LabelStudioError):
        reader.pull()
    reader.studio.faults.clear()
    pulled = reader.pull()
    assert (pulled.why_all, pulled.tasks) == ("something was deleted", reader.whole())
    assert reader.pull().why_all == ""


def test_an_account_that_is_gone_is_taken_off_its_annotations(reader: Reader) -> None:
    """Label Studio changes no task's time by that, and a new account is no reason to read all."""
    reader.studio.accounts[2] = "a2@example.com"
    reader.studio.annotate(reader.ids[0], completed_by=2)
    reader.pull()
    reader.studio.accounts[3] = "a3@example.com"
    assert reader.pull().why_all == ""
    del reader.studio.accounts[2]
    reader.studio.tasks[reader.ids[0]]["annotations"][1]["completed_by"] = None
    pulled = reader.pull()
    assert (pulled.why_all, pulled.tasks) == ("an account was deleted", reader.whole())


@pytest.mark.parametrize(
    ("hours", "config", "why"),
    [
        (24, "a", ""),
        (24.1, "a", "all was last read over a day ago"),
        (-1, "a", "all was last read over a day ago"),
        (1, "b", "the label config has changed"),
    ],
)
def test_when_all_is_read_again(reader: Reader, hours: float, config: str, why: str) -> None:
    """An old cache, one from the future, and one of another label config are not trusted."""
    reader.pull()
    assert reader.pull(hours, config).why_all == why


def test_each_project_of_each_label_studio_has_its_own_cache(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another address, or a project made at another time, is read anew, and spoils nothing of the first."""
    reader.pull()
    created, reader.studio.project["created_at"] = reader.studio.project["created_at"], "2026-01-30T00:00:00Z"
    assert reader.pull().why_all == "the first reading"
    reader.studio.project["created_at"] = created
    monkeypatch.setattr("in_memory_label_studio.URL", "http://another.test")
    assert reader.pull().why_all == "the first reading"
    monkeypatch.undo()
    assert reader.pull().why_all == ""
    files = set((tmp_path / str(PROJECT)).iterdir())
    assert len(files) == 3
    for path in files:
        os.utime(path, (0, 0))
    reader.pull()
    assert reader.path in files  # what nobody would trust any more is deleted


def test_without_counts_all_is_read(reader: Reader) -> None:
    """Nothing would tell that something is missing."""
    reader.studio.project["total_annotations_number"] = None
    reader.pull()
    assert reader.pull().read == 5


def test_predictions_of_a_version_are_listed_where_any_were_written(tmp_path: Path) -> None:
    """An import of predictions changes no task's time; those of other versions cost nothing."""
    reader = Reader(tmp_path, "consensus/")
    reader.studio.predict(reader.ids[0], "m1")
    reader.pull()
    assert reader.asked == ["all"]
    reader.studio.predict(reader.ids[3], "consensus/Discovered")
    reader.studio.predict(reader.ids[3], "m1")
    versions = [[row["model_version"] for row in task["predictions"]] for task in reader.pull().tasks]
    assert (versions, reader.asked) == ([[], [], [], ["consensus/Discovered"], []], ["changes", "predictions"])
    reader.pull()
    assert reader.asked == ["changes"]
    reader.studio.tasks[reader.ids[3]]["predictions"].clear()
    assert reader.pull().tasks == reader.whole()


@pytest.mark.parametrize("listed", [100_000, 0])
def test_every_version_is_compared(reader: Reader, listed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's new predictions too, also where they are too many for one answer."""
    monkeypatch.setattr("common.label_studio.client._LISTED_PREDICTIONS", listed)
    reader.studio.predict(reader.ids[0], "m1", [region("kind", "dark")])
    reader.pull()
    reader.studio.predict(reader.ids[1], "m2")
    reader.studio.predict(reader.ids[1], "consensus/NoVotes")
    pulled = reader.pull()
    assert (pulled.read, pulled.tasks) == (0, reader.whole())
    assert [len(task["predictions"]) for task in pulled.tasks] == [1, 2, 0, 0, 0]


def test_a_changed_score_is_read_with_its_task(reader: Reader) -> None:
    """The counts stay the same, but the task has changed."""
    prediction = reader.studio.predict(reader.ids[3], "m1", score=0.5)
    reader.pull()
    prediction["score"] = 0.75
    reader.studio.touch(reader.ids[3])
    assert [row["score"] for task in reader.pull().tasks for row in task["predictions"]] == [0.75]
    assert reader.asked == ["changes"]


def test_what_was_written_is_read_where_it_was_written(reader: Reader) -> None:
    """The next reading lists no predictions; it does where somebody else has written as well."""
    reader.pull()
    reader.studio.predict(reader.ids[1], "consensus/NoVotes")
    reader.refresh(reader.ids[1:2], {"consensus/NoVotes": 1, "consensus/Discovered": 0})
    pulled = reader.pull()
    assert (pulled.tasks, reader.asked) == (reader.whole(), ["changes"])
    reader.studio.predict(reader.ids[1], "consensus/NoVotes")
    reader.studio.predict(reader.ids[2], "consensus/NoVotes")
    reader.refresh(reader.ids[1:2], {"consensus/NoVotes": 2})
    pulled = reader.pull()
    assert (pulled.tasks, reader.asked) == (reader.whole(), ["changes", "predictions"])


def test_what_was_written_can_be_read_later(reader: Reader) -> None:
    """Where Label Studio fails, or nothing has been read yet, the next reading finds out."""
    reader.refresh(reader.ids, {})
    reader.pull()
    reader.studio.predict(reader.ids[1], "consensus/NoVotes")
    reader.studio.faults["GET /api/tasks/"] = httpx.Response(400, json={"detail": "no"})
    with capture_logs() as logs:
        reader.refresh(reader.ids[1:2], {"consensus/NoVotes": 1})
    assert [line["event"] for line in logs] == ["cache_not_refreshed"]
    reader.studio.faults.clear()
    assert reader.pull().tasks == reader.whole()


def test_once_a_day_the_cache_is_proved(reader: Reader) -> None:
    """What changed without a trace is named; what changed just now, and a cache that is right, is not."""
    reader.pull()
    reader.studio.annotate(reader.ids[0])
    with capture_logs() as logs:
        assert reader.pull(25).wrong == ()
        reader.studio.tasks[reader.ids[1]]["data"] = {"n": "changed"}
        reader.studio.tasks[reader.ids[2]]["annotations"][0]["ground_truth"] = True
        assert logs == []
        pulled = reader.pull(50)
    assert pulled.wrong == tuple(reader.ids[1:3])
    assert pulled.tasks == reader.whole()
    expected = {"project": PROJECT, "tasks": 2, "examples": tuple(reader.ids[1:3]), "log_level": "warning"}
    assert logs == [{"event": "cache_was_wrong", **expected}]
    assert reader.pull(75).wrong == ()


def test_work_during_the_proof_is_no_fault_of_the_cache(reader: Reader) -> None:
    """Neither a submission nor an import of predictions between the two readings is taken for one."""
    reader.pull()
    for hours, work in ((25, reader.studio.annotate), (50, partial(reader.studio.predict, model_version="m1"))):
        reader.studio.faults["GET /api/tasks/"] = once(partial(work, reader.ids[0]), when="all")
        pulled = reader.pull(hours)
        assert (pulled.read, pulled.wrong) == (5, ())
    assert reader.pull(50).tasks == reader.whole()


def test_tasks_that_go_during_every_reading_end_in_an_error(reader: Reader) -> None:
    """What was read is perhaps not all, and what was kept before stays."""
    reader.pull()
    doubt(reader.folder, PROJECT)

    def lose(_: httpx.Request) -> None:
        reader.studio.tasks.popitem()

    reader.studio.faults["GET /api/tasks/"] = lose
    with pytest.raises(LabelStudioError, match="could not be read as a whole: some were deleted during each of 3"):
        reader.pull()
    reader.studio.faults.clear()
    assert reader.pull().tasks == reader.whole()


def test_a_damaged_cache_is_made_anew(reader: Reader) -> None:
    """Whatever lies in the file, all is read again and the next time only changes are."""
    reader.pull()
    reader.path.write_bytes(b"no database" * 1000)
    assert reader.pull().read == 5
    assert reader.pull().read == 0
    with sqlite3.connect(reader.path) as database:
        database.execute("UPDATE task SET data = '{'")
    database.close()
    assert reader.pull().read == 5
    assert reader.pull().read == 0


def test_a_cache_that_another_program_has_open_is_left_alone(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is read without it, a deletion is not forgotten, and afterwards only changes are read again."""
    monkeypatch.setattr(task_cache, "WAIT_S", 0)
    reader.pull()
    doubt(reader.folder, PROJECT)
    other = sqlite3.connect(reader.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    content = reader.path.read_bytes()
    with capture_logs() as logs:
        pulled = reader.pull()
    assert (pulled.read, pulled.tasks, [line["event"] for line in logs]) == (5, reader.whole(), ["cache_not_used"])
    assert reader.path.read_bytes() == content
    other.execute("ROLLBACK")
    other.close()
    assert reader.pull().why_all == "something was deleted"
    assert reader.pull().why_all == ""


def test_without_a_place_to_write_all_is_read(reader: Reader, tmp_path: Path) -> None:
    """A folder that is none, and a file that cannot be opened, cost time and nothing else."""
    (tmp_path / "file").touch()
    assert len(reader.pull(folder=tmp_path / "file").tasks) == 5
    reader.pull()
    path = reader.path
    path.unlink()
    path.mkdir()
    for _ in range(2):
        assert len(reader.pull().tasks) == 5


def test_progress_tells_the_tasks_read(reader: Reader) -> None:
    """One by one."""
    told: list[int] = []
    with reader.studio.client() as client:
        IncrementalSync(client, reader.folder, all_tasks).pull(client.project(PROJECT), "a", NOW, told.append)
    assert told == [1, 2, 3, 4, 5]
