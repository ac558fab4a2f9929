import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_backend.backend import Backend
from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.errors import LabelStudioError
from ml_backend.label_studio.client import Counts, Project, Task
from ml_backend.label_studio.pulling import Pulled, Puller, doubt
from ml_backend.serving.app import create_app

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DISCOVERED = Verdict("Discovered", "kind", "dark", 0.875)


class Studio:
    """A Label Studio in memory, which notes what it was asked for."""

    def __init__(self) -> None:
        self.now = NOW
        self.found: dict[int, tuple[datetime, Task]] = {}
        self.made = "1795256176"
        self.asked: list[str] = []
        self.versions: dict[str, tuple[int, str]] = {}
        self.spoken: list[tuple[int, Verdict]] = []
        self.meanwhile: list[int] = []
        self.refuses = False
        for number in range(5):
            self.annotate(number, "dark")

    def annotate(self, number: int, *labels: str) -> None:
        """Give a task these annotations at the moment."""
        annotations = tuple(
            Annotation(n, "2026-01-01", skipped=False, ground_truth=False, choices={"kind": (label,)})
            for n, label in enumerate(labels)
        )
        said = tuple(one for task_id, one in self.spoken if task_id == number)
        self.found[number] = self.now, Task(number, {"image": f"/{number}.png"}, annotations, said)

    def project(self, project_id: int = 7) -> Project:
        """The project with its counts."""
        submitted = sum(len(task.annotations) for _, task in self.found.values())
        counts = Counts(len(self.found), submitted, 0)
        return Project(project_id, "", None, stamp=self.made, counts=counts, read_at=self.now)

    def annotated_tasks(
        self, _: int, *, since: datetime | None = None, with_verdicts: bool = False
    ) -> Iterator[Task]:
        """All tasks, or those changed later."""
        if self.refuses:
            raise LabelStudioError("answered 500")
        self.asked.append("changes" if since else "all")
        if self.meanwhile:
            self.annotate(self.meanwhile.pop(), "light")
        for changed, task in self.found.values():
            if since is None or changed > since:
                yield task if with_verdicts else replace(task, verdicts=())

    def version_counts(self, _: int) -> dict[str, tuple[int, str]]:
        """The versions of the predictions."""
        return self.versions

    def verdicts(self, _: int, n_predictions: int) -> list[tuple[int, Verdict]]:
        """What consensus says."""
        self.asked.append(f"verdicts of {n_predictions}")
        return self.spoken


@pytest.fixture
def studio() -> Studio:
    """Five annotated tasks."""
    return Studio()


def pull(studio: Studio, folder: Path, hours: float = 0, config: str = "a") -> Pulled:
    """Read the project some time later; five minutes pass in Label Studio before."""
    studio.asked.clear()
    studio.now += timedelta(minutes=5)
    return Puller(studio, folder).pull(studio.project(), config, NOW + timedelta(hours=hours))  # type: ignore[arg-type]


def test_only_what_has_changed_is_read_again(studio: Studio, tmp_path: Path) -> None:
    """The first time all, then nothing, then the one task that was annotated."""
    assert pull(studio, tmp_path).read == 5
    assert pull(studio, tmp_path) == Pulled([task for _, task in studio.found.values()], 0)
    studio.annotate(3, "dark", "light")
    studio.annotate(9, "light")
    pulled = pull(studio, tmp_path)
    assert (pulled.read, studio.asked) == (2, ["changes"])
    assert [(task.id, len(task.annotations)) for task in pulled.tasks] == [
        (0, 1), (1, 1), (2, 1), (3, 2), (4, 1), (9, 1),
    ]  # fmt: skip


def test_a_submission_during_the_reading_is_no_reason_to_read_all(studio: Studio, tmp_path: Path) -> None:
    """The counts of before do not fit any more, but those of after do."""
    pull(studio, tmp_path)
    studio.meanwhile = [8]
    pulled = pull(studio, tmp_path)
    assert studio.asked == ["changes"]
    assert [task.id for task in pulled.tasks] == [0, 1, 2, 3, 4, 8]


def test_a_deletion_that_left_no_trace_is_found_by_the_counts(studio: Studio, tmp_path: Path) -> None:
    """A task that is gone changed no other task: all is read, and it is gone here."""
    pull(studio, tmp_path)
    del studio.found[2]
    pulled = pull(studio, tmp_path)
    assert studio.asked == ["changes"] * 3 + ["all"]
    assert pulled.why_all == "the counts of tasks or annotations do not fit"
    assert [task.id for task in pulled.tasks] == [0, 1, 3, 4]


def test_a_deletion_that_the_counts_hide_is_found_by_its_event(studio: Studio, tmp_path: Path) -> None:
    """One task comes and another goes: only the event tells."""
    pull(studio, tmp_path)
    del studio.found[2]
    studio.annotate(9, "light")
    doubt(tmp_path, 7)
    assert [task.id for task in pull(studio, tmp_path).tasks] == [0, 1, 3, 4, 9]
    assert studio.asked == ["all"]
    pull(studio, tmp_path)
    assert studio.asked == ["changes"]


@pytest.mark.parametrize("action", ["ANNOTATION_DELETED", "ANNOTATIONS_DELETED", "TASKS_DELETED"])
def test_a_webhook_tells_of_deletions(studio: Studio, backend: Backend, action: str) -> None:
    """After the event of a deletion all is read, and after other events only changes are."""
    folder, client = backend.settings.data_dir, create_app(backend).test_client()
    pull(studio, folder)
    client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 7}})
    assert pull(studio, folder).why_all == ""
    client.post("/webhook", json={"action": action, "project": {"id": 7}})
    assert pull(studio, folder).why_all == "something was deleted"


def test_a_failed_reading_forgets_no_deletion(studio: Studio, tmp_path: Path) -> None:
    """If Label Studio fails, what is to be read again stays so, and what was read before stays too."""
    pull(studio, tmp_path)
    doubt(tmp_path, 7)
    studio.refuses = True
    with pytest.raises(LabelStudioError):
        pull(studio, tmp_path)
    studio.refuses = False
    assert pull(studio, tmp_path).why_all == "something was deleted"


@pytest.mark.parametrize(
    ("hours", "config", "stamp", "why"),
    [
        (24, "a", "1795256176", ""),
        (24.1, "a", "1795256176", "all was last read over a day ago"),
        (-1, "a", "1795256176", "all was last read over a day ago"),
        (1, "b", "1795256176", "the label config has changed"),
        (1, "a", "1795256177", "another project had its id"),
    ],
)
def test_when_all_is_read_again(
    studio: Studio, tmp_path: Path, hours: float, config: str, stamp: str, why: str
) -> None:
    """An old mirror, one from the future, and one of another config or project are not trusted."""
    pull(studio, tmp_path)
    studio.made = stamp
    assert pull(studio, tmp_path, hours, config).why_all == why


def test_without_counts_all_is_read(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would tell that something is missing."""
    monkeypatch.setattr(studio, "project", lambda: Project(7, "", None))
    pull(studio, tmp_path)
    assert pull(studio, tmp_path).read == 5


def test_verdicts_are_asked_for_only_where_consensus_has_run(studio: Studio, tmp_path: Path) -> None:
    """Predictions of a model alone cost nothing; a new run of consensus is read, and once."""
    studio.versions = {"resnet18-random-20260131T120000-00aa": (5, "a")}
    pull(studio, tmp_path)
    assert studio.asked == ["all"]
    studio.spoken = [(3, DISCOVERED)]
    studio.versions |= {"consensus/Discovered": (1, "b")}
    assert [task.verdicts for task in pull(studio, tmp_path).tasks] == [(), (), (), (DISCOVERED,), ()]
    assert studio.asked == ["changes", "verdicts of 6"]
    assert pull(studio, tmp_path).tasks[3].verdicts == (DISCOVERED,)
    assert studio.asked == ["changes"]


def test_a_changed_score_is_read_with_its_task(studio: Studio, tmp_path: Path) -> None:
    """The counts stay the same, but the task has changed."""
    studio.versions, studio.spoken = {"consensus/Discovered": (1, "b")}, [(3, DISCOVERED)]
    pull(studio, tmp_path)
    studio.spoken = [(3, replace(DISCOVERED, score=0.9375))]
    studio.annotate(3, "dark")
    assert pull(studio, tmp_path).tasks[3].verdicts[0].score == 0.9375
    assert studio.asked == ["changes"]


def test_verdicts_go_when_consensus_is_gone(studio: Studio, tmp_path: Path) -> None:
    """Its predictions were deleted: the votes are what is left."""
    studio.versions, studio.spoken = {"consensus/Discovered": (1, "b")}, [(3, DISCOVERED)]
    pull(studio, tmp_path)
    studio.versions, studio.spoken = {}, []
    assert not any(task.verdicts for task in pull(studio, tmp_path).tasks)


def test_a_damaged_mirror_is_made_anew(studio: Studio, tmp_path: Path) -> None:
    """Whatever lies in the file, all is read again and the next time only changes are."""
    path = tmp_path / "projects" / "7" / "mirror.sqlite"
    pull(studio, tmp_path)
    path.write_bytes(b"no database" * 1000)
    assert pull(studio, tmp_path).read == 5
    assert pull(studio, tmp_path).read == 0
    with sqlite3.connect(path) as database:
        database.execute("UPDATE task SET data = '{'")
    database.close()
    assert pull(studio, tmp_path).read == 5
    assert pull(studio, tmp_path).read == 0


def test_without_a_place_to_write_all_is_read_into_memory(studio: Studio, tmp_path: Path) -> None:
    """A mirror that cannot be opened costs time, not the training."""
    (tmp_path / "projects" / "7" / "mirror.sqlite").mkdir(parents=True)
    for _ in range(2):
        assert len(pull(studio, tmp_path).tasks) == 5


def test_progress_tells_the_tasks_read(studio: Studio, tmp_path: Path) -> None:
    """One by one."""
    told: list[int] = []
    Puller(studio, tmp_path).pull(studio.project(), "a", NOW, told.append)  # type: ignore[arg-type]
    assert told == [1, 2, 3, 4, 5]
