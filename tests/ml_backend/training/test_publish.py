from typing import Any

import pytest
from structlog.testing import capture_logs

from common.label_studio.rows import ConnectionRow
from ml_backend.errors import LabelStudioError, LostAnswerError
from ml_backend.label_studio import storing
from ml_backend.label_studio.client import Project, Task
from ml_backend.label_studio.storing import import_missing
from ml_backend.training.publish import delete_old, show_version

V1, V2, V3, V4 = (f"resnet18-random-2026013{day}T120000-00aa" for day in range(4))


class Memory:
    """A Label Studio in memory, with the faults that a real one shows only now and then."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, str]] = []
        self.shown: str | None = None
        self.backends = [ConnectionRow(1, "http://ml.example", "default")]
        self.lose_answers = self.sent = 0
        self.slow = False
        self.late: list[tuple[int, str]] = []
        self.removed: list[int] = []
        self.clears_version = self.fails_to_delete = False
        self.unfit: set[int] = set()
        self.deleted: set[int] = set()

    def tasks_with_version(self, _: int, version: str) -> set[int]:
        """Ids of the tasks with a version."""
        return {task for task, stored in self.stored if stored == version}

    def import_predictions(self, _: int, predictions: list[dict[str, Any]]) -> int:
        """Store half of a request and lose the answer, or store all that fit."""
        if self.deleted & {one["task"] for one in predictions}:
            raise LabelStudioError("answered 400: task not found")
        rows = [(one["task"], one["model_version"]) for one in predictions if one["task"] not in self.unfit]
        self.sent += 1
        if self.slow:
            self.slow, self.late = False, rows
            raise LostAnswerError("cannot be reached (ReadTimeout)")
        if self.lose_answers:
            self.lose_answers -= 1
            self.stored += rows[: len(rows) // 2]
            raise LabelStudioError("answered 502")
        self.stored += rows
        return len(rows)

    def version_counts(self, _: int) -> dict[str, tuple[int, str]]:
        """How many predictions each version has."""
        return {version: ([one for _, one in self.stored].count(version), "") for version in self.versions(7)}

    def prediction_ids(self, _: int, version: str, total: int) -> list[tuple[int, int]]:
        """The predictions of a version by their number, with their tasks."""
        assert total == len(self.stored)
        return [(number, task) for number, (task, stored) in enumerate(self.stored) if stored == version]

    def delete_prediction(self, number: int) -> None:
        """Note that it goes, or fail."""
        if self.fails_to_delete:
            raise LabelStudioError("cannot be reached")
        self.removed.append(number)

    def tasks_alone(self, _: int) -> list[Task]:
        """The tasks that there are."""
        return [Task(number, {}, ()) for number in range(700) if number not in self.deleted]

    def connections(self, _: int) -> list[ConnectionRow]:
        """The ML backends of the project."""
        return self.backends

    def rename_connection(self, _: int, connection: ConnectionRow, title: str) -> None:
        """Rename; the project follows if it showed the old title."""
        if self.shown == connection.title:
            self.shown = title
        self.backends = [
            ConnectionRow(one.id, one.url, title if one.id == connection.id else one.title)
            for one in self.backends
        ]

    def project(self, project_id: int) -> Project:
        """The project."""
        return Project(project_id, "<View/>", self.shown)

    def show_version(self, _: int, version: str) -> None:
        """Show a version, or refuse one that nothing has."""
        if version not in self.versions(7) and version not in {one.title for one in self.backends}:
            raise LabelStudioError("answered 400")
        self.shown = version

    def versions(self, _: int) -> list[str]:
        """The versions of all predictions."""
        return sorted({version for _, version in self.stored})

    def delete_version(self, _: int, version: str) -> None:
        """Delete a version's predictions, and perhaps clear the project's version with them."""
        self.stored = [row for row in self.stored if row[1] != version]
        if self.clears_version:
            self.shown = None
        if self.fails_to_delete:
            raise LabelStudioError("cannot be reached")


@pytest.fixture
def memory() -> Memory:
    """A project without predictions."""
    return Memory()


def predictions(n: int, version: str = V1) -> list[dict[str, Any]]:
    """A prediction for each of ``n`` tasks."""
    return [{"task": task, "model_version": version, "score": 0.5, "result": []} for task in range(n)]


def test_what_is_stored_is_not_stored_again(memory: Memory) -> None:
    """A second import of the same version sends nothing."""
    assert import_missing(memory, 7, V1, predictions(700)) == 700
    assert import_missing(memory, 7, V1, predictions(700)) == 0
    assert len(memory.stored) == 700


def test_a_lost_answer_makes_no_duplicates(memory: Memory) -> None:
    """Two answers are lost while half of each request had arrived: every task has its prediction once."""
    memory.lose_answers = 2
    import_missing(memory, 7, V1, predictions(700))
    assert sorted(memory.stored) == [(task, V1) for task in range(700)]


def test_a_request_that_label_studio_goes_on_with_is_not_sent_again(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes too late, the predictions after the second look: they are found, and sent once."""
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            memory.stored += memory.late

    monkeypatch.setattr(storing.time, "sleep", pause)
    memory.slow = True
    assert import_missing(memory, 7, V1, predictions(700)) == 700
    assert sorted(memory.stored) == [(task, V1) for task in range(700)]
    assert (memory.sent, waits) == (1, [0.0, 5.0, 15.0])


def test_what_comes_after_all_is_deleted_by_the_next_run(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is done after it was sent again: of each task's two predictions of the version the first stays."""
    monkeypatch.setattr(storing.time, "sleep", lambda _: None)
    memory.stored = [(1, V2), (1, V2)]
    memory.slow = True
    assert import_missing(memory, 7, V1, predictions(3)) == 3
    memory.stored += memory.late
    assert import_missing(memory, 7, V1, predictions(4)) == 1
    assert memory.stored[2:] == [(task, V1) for task in (0, 1, 2, 0, 1, 2, 3)]
    assert memory.removed == [5, 6, 7]


def test_doubles_that_cannot_be_deleted_cost_nothing_else(memory: Memory) -> None:
    """They are named in the log and left for the next run; what is missing is stored."""
    memory.stored, memory.fails_to_delete = [(0, V1), (0, V1)], True
    with capture_logs() as lines:
        assert import_missing(memory, 7, V1, predictions(2)) == 1
    assert [line["event"] for line in lines] == ["doubles_not_deleted", "doubles_deleted"]
    assert (lines[1]["count"], lines[1]["left"]) == (0, 1)


def test_a_task_that_was_deleted_costs_the_others_nothing(memory: Memory) -> None:
    """Label Studio refuses the whole request because of task 5: the other seven are stored, and five is named."""
    memory.deleted = {5}
    assert import_missing(memory, 7, V1, predictions(8)) == 7
    assert sorted(task for task, _ in memory.stored) == [0, 1, 2, 3, 4, 6, 7]


def test_a_label_studio_that_keeps_failing_is_an_error(memory: Memory) -> None:
    """After three attempts the training fails, and the last version goes on answering."""
    memory.lose_answers = 3
    with pytest.raises(LabelStudioError):
        import_missing(memory, 7, V1, predictions(8))


def test_predictions_that_do_not_fit_are_not_counted(memory: Memory) -> None:
    """Label Studio leaves two predictions out without an error: they are named in the log, and not counted."""
    memory.unfit = {3, 650}
    with capture_logs() as lines:
        assert import_missing(memory, 7, V1, predictions(700)) == 698
    assert [(line["event"], line["tasks"]) for line in lines] == [("predictions_left_out", [3, 650])]


def test_a_version_without_any_prediction_is_an_error(memory: Memory) -> None:
    """If nothing was stored, the training fails, and the last version goes on answering."""
    memory.unfit = set(range(8))
    with pytest.raises(LabelStudioError, match="none of 8"):
        import_missing(memory, 7, V1, predictions(8))


def test_the_project_follows_the_title(memory: Memory) -> None:
    """The version shown was the connection's title, and is the new version afterwards."""
    memory.shown = "default"
    show_version(memory, 7, V1, public_url="")
    assert (memory.shown, memory.backends[0].title) == (V1, V1)


@pytest.mark.parametrize("shown", [None, V1])
def test_a_lost_or_old_version_is_replaced(memory: Memory, shown: str | None) -> None:
    """Where the project shows nothing, or an old version of ours, it shows the new one."""
    memory.shown, memory.stored = shown, [(1, V2)]
    show_version(memory, 7, V2, public_url="")
    assert memory.shown == V2


def test_an_admins_own_choice_is_left(memory: Memory) -> None:
    """A version that is not ours stays in the label stream."""
    memory.shown = "my-own-predictions"
    show_version(memory, 7, V2, public_url="")
    assert memory.shown == "my-own-predictions"


def test_our_connection_is_found_among_several(memory: Memory) -> None:
    """Of two backends the one with our public address is renamed."""
    memory.backends.append(ConnectionRow(2, "http://other.example/", "other"))
    show_version(memory, 7, V1, public_url="http://other.example")
    assert [one.title for one in memory.backends] == ["default", V1]


def test_no_foreign_connection_is_renamed(memory: Memory) -> None:
    """Of two backends neither of which is known to be ours, none is touched."""
    memory.backends.append(ConnectionRow(2, "http://other.example", "other"))
    show_version(memory, 7, V1, public_url="")
    assert [one.title for one in memory.backends] == ["default", "other"]


@pytest.mark.parametrize(
    ("public_url", "shown", "title"),
    [
        ("http://mine.example", "other", "other"),  # not our address
        ("", "consensus/Discovered", "other"),  # not in use
        ("", "other", "V2"),
        ("", None, "V2"),
        ("http://ml.example", "consensus/Discovered", "V2"),
    ],
)
def test_the_only_connection_may_be_another_backends(
    memory: Memory, public_url: str, shown: str | None, title: str
) -> None:
    """The only connection is ours if it has our address, or if no address is set and the project uses it."""
    memory.backends, memory.shown = [ConnectionRow(1, "http://ml.example", "other")], shown
    show_version(memory, 7, V2, public_url)
    assert memory.backends[0].title == title.replace("V2", V2)


@pytest.mark.parametrize("shown", [None, V1])
def test_without_a_connection_only_stored_versions_are_shown(memory: Memory, shown: str | None) -> None:
    """Label Studio refuses to show a version that nothing has: it is not asked to."""
    memory.backends, memory.shown = [], shown
    show_version(memory, 7, V2, public_url="")
    assert memory.shown == shown
    memory.stored = [(1, V2)]
    show_version(memory, 7, V2, public_url="")
    assert memory.shown == V2


def test_old_versions_go_and_others_stay(memory: Memory) -> None:
    """Of four versions of ours the newest two stay; consensus's predictions are not ours to delete."""
    memory.stored = [(1, version) for version in (V1, V2, V3, V4, "consensus/Discovered")]
    memory.shown = V4
    assert delete_old(memory, 7, [V4, V3, V2, V1], keep=2) == [V2, V1]
    assert memory.versions(7) == ["consensus/Discovered", V3, V4]


def test_deleting_does_not_change_what_is_shown(memory: Memory) -> None:
    """Label Studio can clear the project's version when another version is deleted: it is set again."""
    memory.stored = [(1, version) for version in (V1, V2)]
    memory.shown, memory.clears_version = V2, True
    delete_old(memory, 7, [V2, V1], keep=1)
    assert memory.shown == V2


def test_a_failing_delete_does_not_change_what_is_shown(memory: Memory) -> None:
    """Also where the answer to the deletion never comes, the project's version is set again."""
    memory.stored = [(1, version) for version in (V1, V2)]
    memory.shown, memory.clears_version, memory.fails_to_delete = V2, True, True
    with pytest.raises(LabelStudioError):
        delete_old(memory, 7, [V2, V1], keep=1)
    assert memory.shown == V2


def test_another_backends_versions_stay(memory: Memory) -> None:
    """A second backend on the same project names its versions in the same way: they are not deleted."""
    memory.stored = [(1, version) for version in (V1, V2, V3, V4)]
    memory.shown = V3
    assert delete_old(memory, 7, [V4, V3, V2], keep=1) == [V2]
    assert memory.versions(7) == [V1, V3, V4]
