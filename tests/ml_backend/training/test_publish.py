import json
from collections.abc import Collection
from typing import Any

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, region
from structlog.testing import capture_logs
from training_parts import client_of, label_studio

from ml_backend.errors import LabelStudioError
from ml_backend.label_studio import storing
from ml_backend.label_studio.storing import import_missing, import_new
from ml_backend.training.publish import delete_old, show_version

V1, V2, V3, V4 = (f"resnet18-random-2026013{day}T120000-00aa" for day in range(4))


Stored = list[tuple[int, str]]


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> InMemoryStudio:
    """A project of 700 tasks without predictions, connected to a backend; nobody waits between two looks at it."""
    monkeypatch.setattr(storing.time, "sleep", lambda _: None)
    made = label_studio({number: [] for number in range(700)})
    made.connect("http://ml.example", "default")
    return made


def titles(studio: InMemoryStudio) -> list[str]:
    """Those of its connections."""
    return [row["title"] for row in studio.connections.values()]


def predictions(n: int, version: str = V1, unfit: Collection[int] = ()) -> list[dict[str, Any]]:
    """A prediction for each of ``n`` tasks; some have a choice that the label config does not have."""
    choices = {task: "unfit" if task in unfit else "dark" for task in range(n)}
    return [
        {"task": task, "model_version": version, "score": 0.5, "result": [region("kind", choice)]}
        for task, choice in choices.items()
    ]


def store(studio: InMemoryStudio, *rows: tuple[int, str]) -> None:
    """Store predictions of a version for a task."""
    for task, version in rows:
        studio.predict(task, version)


def stored(studio: InMemoryStudio) -> Stored:
    """Task and version of each prediction, in the order in which they were stored."""
    return [(row["task"], row["model_version"]) for row in studio.predictions]


def lose_answers(studio: InMemoryStudio, count: int) -> None:
    """Let half of each of the next requests arrive, and answer none of them."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        if len(studio.bodies("POST", "import/predictions")) > count:
            return None
        rows = json.loads(request.content)
        store(studio, *((row["task"], row["model_version"]) for row in rows[: len(rows) // 2]))
        return httpx.Response(502)

    studio.faults["POST import/predictions"] = answer


def be_late(studio: InMemoryStudio) -> Stored:
    """Let the first request be answered by nobody; return where its predictions will be, to be stored later."""
    late: Stored = []

    def answer(request: httpx.Request) -> None:
        if not late:
            late.extend((row["task"], row["model_version"]) for row in json.loads(request.content))
            raise httpx.ReadTimeout("late")

    studio.faults["POST import/predictions"] = answer
    return late


def import_all(studio: InMemoryStudio, rows: list[dict[str, Any]]) -> int:
    """Store those that are missing."""
    return import_missing(client_of(studio), 7, V1, rows)


def test_what_is_stored_is_not_stored_again(studio: InMemoryStudio) -> None:
    """A second import of the same version sends nothing."""
    assert import_all(studio, predictions(700)) == 700
    assert import_all(studio, predictions(700)) == 0
    assert len(studio.predictions) == 700


def test_a_lost_answer_makes_no_duplicates(studio: InMemoryStudio) -> None:
    """Two answers are lost while half of each request had arrived: every task has its prediction once."""
    lose_answers(studio, 2)
    import_all(studio, predictions(700))
    assert sorted(stored(studio)) == [(task, V1) for task in range(700)]


def test_a_request_that_label_studio_goes_on_with_is_not_sent_again(
    studio: InMemoryStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes too late, the predictions after the second look: they are found, and sent once."""
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            store(studio, *late)

    monkeypatch.setattr(storing.time, "sleep", pause)
    late = be_late(studio)
    assert import_all(studio, predictions(700)) == 700
    assert sorted(stored(studio)) == [(task, V1) for task in range(700)]
    assert (len(studio.writes), waits) == (1, [0.0, 5.0, 15.0])


def test_what_comes_after_all_is_deleted_by_the_next_run(studio: InMemoryStudio) -> None:
    """A request is done after it was sent again: of each task's two predictions of the version the first stays."""
    store(studio, (1, V2), (1, V2))
    late = be_late(studio)
    assert import_all(studio, predictions(3)) == 3
    store(studio, *late)
    assert import_all(studio, predictions(4)) == 1
    assert stored(studio) == [(1, V2), (1, V2), *((task, V1) for task in range(4))]


def test_doubles_that_cannot_be_deleted_cost_nothing_else(studio: InMemoryStudio) -> None:
    """They are named in the log and left for the next run; what is missing is stored."""
    store(studio, (0, V1), (0, V1))
    studio.faults["DELETE predictions"] = httpx.Response(400)
    with capture_logs() as lines:
        assert import_all(studio, predictions(2)) == 1
    assert [line["event"] for line in lines] == ["doubles_not_deleted", "doubles_deleted"]
    assert (lines[1]["count"], lines[1]["left"]) == (0, 1)


def test_a_task_that_was_deleted_costs_the_others_nothing(studio: InMemoryStudio) -> None:
    """Label Studio refuses the whole request because of task 5: the other seven are stored, and five is named."""
    del studio.tasks[5]
    assert import_all(studio, predictions(8)) == 7
    assert sorted(task for task, _ in stored(studio)) == [0, 1, 2, 3, 4, 6, 7]


def test_a_label_studio_that_keeps_failing_is_an_error(studio: InMemoryStudio) -> None:
    """After three attempts the training fails, and the last version goes on answering."""
    lose_answers(studio, 3)
    with pytest.raises(LabelStudioError):
        import_all(studio, predictions(8))


def test_predictions_that_do_not_fit_are_not_counted(studio: InMemoryStudio) -> None:
    """Label Studio leaves two predictions out without an error: they are named in the log, and not counted."""
    with capture_logs() as lines:
        assert import_all(studio, predictions(700, unfit={3, 650})) == 698
    assert [(line["event"], line["tasks"]) for line in lines] == [("predictions_left_out", [3, 650])]


def test_a_version_without_any_prediction_is_an_error(studio: InMemoryStudio) -> None:
    """If nothing was stored, the training fails, and the last version goes on answering."""
    with pytest.raises(LabelStudioError, match="none of 8"):
        import_all(studio, predictions(8, unfit=range(8)))


def test_the_project_follows_the_title(studio: InMemoryStudio) -> None:
    """The version shown was the connection's title, and is the new version afterwards."""
    studio.project["model_version"] = "default"
    show_version(client_of(studio), 7, V1, public_url="")
    assert (studio.project["model_version"], titles(studio)) == (V1, [V1])


@pytest.mark.parametrize("shown", [None, V1])
def test_a_lost_or_old_version_is_replaced(studio: InMemoryStudio, shown: str | None) -> None:
    """Where the project shows nothing, or an old version of ours, it shows the new one."""
    studio.project["model_version"] = shown
    store(studio, (1, V2))
    show_version(client_of(studio), 7, V2, public_url="")
    assert studio.project["model_version"] == V2


def test_an_admins_own_choice_is_left(studio: InMemoryStudio) -> None:
    """A version that is not ours stays in the label stream."""
    studio.project["model_version"] = "my-own-predictions"
    show_version(client_of(studio), 7, V2, public_url="")
    assert studio.project["model_version"] == "my-own-predictions"


def test_our_connection_is_found_among_several(studio: InMemoryStudio) -> None:
    """Of two backends the one with our public address is renamed."""
    studio.connect("http://other.example/", "other")
    show_version(client_of(studio), 7, V1, public_url="http://other.example")
    assert titles(studio) == ["default", V1]


def test_our_connection_is_found_by_what_answered_there(studio: InMemoryStudio) -> None:
    """Of two backends the one that answered with our identity, or with a version of ours, whatever its address."""
    studio.connect("http://other.example/", "other", model_version="resnet18-random-untrained-00c0ffee")
    show_version(client_of(studio), 7, V1, "", frozenset({V1}), "00c0ffee")
    assert titles(studio) == ["default", V1]
    next(row for row in studio.connections.values() if row["title"] == V1)["model_version"] = V1
    show_version(client_of(studio), 7, V2, "", frozenset({V1, V2}))
    assert titles(studio) == ["default", V2]


def test_no_foreign_connection_is_renamed(studio: InMemoryStudio) -> None:
    """Of two backends neither of which is known to be ours, none is touched."""
    studio.connect("http://other.example", "other")
    show_version(client_of(studio), 7, V1, public_url="")
    assert titles(studio) == ["default", "other"]


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
    studio: InMemoryStudio, public_url: str, shown: str | None, title: str
) -> None:
    """The only connection is ours if it has our address, or if no address is set and the project uses it."""
    studio.connections.clear()
    studio.connect("http://ml.example", "other")
    studio.project["model_version"] = shown
    show_version(client_of(studio), 7, V2, public_url)
    assert titles(studio) == [title.replace("V2", V2)]


@pytest.mark.parametrize("shown", [None, V1])
def test_without_a_connection_only_stored_versions_are_shown(studio: InMemoryStudio, shown: str | None) -> None:
    """Label Studio refuses to show a version that nothing has: it is not asked to."""
    studio.connections.clear()
    studio.project["model_version"] = shown
    show_version(client_of(studio), 7, V2, public_url="")
    assert studio.project["model_version"] == shown
    store(studio, (1, V2))
    show_version(client_of(studio), 7, V2, public_url="")
    assert studio.project["model_version"] == V2


def test_old_versions_go_and_others_stay(studio: InMemoryStudio) -> None:
    """Of four versions of ours the newest two stay; consensus's predictions are not ours to delete."""
    store(studio, *((1, version) for version in (V1, V2, V3, V4, "consensus/Discovered")))
    studio.project["model_version"] = V4
    assert sorted(delete_old(client_of(studio), 7, [V4, V3, V2, V1], keep=2, limit_s=60).gone) == [V1, V2]
    assert sorted(studio.versions()) == ["consensus/Discovered", V3, V4]


def test_deleting_does_not_change_what_is_shown(studio: InMemoryStudio) -> None:
    """Label Studio can clear the project's version when another version is deleted: it is set again."""
    store(studio, (1, V1), (1, V2))
    studio.connect("http://ml.example", V2)
    studio.project["model_version"] = V2
    delete_old(client_of(studio), 7, [V2, V1], keep=1, limit_s=60)
    assert studio.project["model_version"] == V2


def test_requests_are_few_and_others_come_between(studio: InMemoryStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request costs Label Studio time for the whole project: as many go in one as may, then others."""
    pauses: list[float] = []
    monkeypatch.setattr(storing, "IMPORTED", 300)
    monkeypatch.setattr(storing.time, "sleep", pauses.append)
    assert import_new(client_of(studio), 7, V1, predictions(700)) == []
    assert [len(sent) for sent in studio.bodies("POST", "import/predictions")] == [300, 300, 100]
    assert len(pauses) == 2


def test_old_versions_go_a_little_at_a_time(studio: InMemoryStudio) -> None:
    """Nobody waits for many predictions: they go one by one until the time is over, and the last fifty at once."""
    for number in range(120):
        studio.add_task({"image": "/x.png"}, task_id=100 + number)
        studio.predict(100 + number, V1)
    studio.predict(100, V2)
    ticks = iter(range(1000))
    first = delete_old(client_of(studio), 7, [V2, V1], 1, limit_s=30, clock=lambda: float(next(ticks)))
    assert (first.gone, first.left, studio.versions()[V1]) == ([], [V1], 90)
    second = delete_old(client_of(studio), 7, [V2, V1], 1, limit_s=60)
    assert (second.gone, second.left, studio.versions()) == ([V1], [], {V2: 1})


def test_a_failing_delete_does_not_change_what_is_shown(studio: InMemoryStudio) -> None:
    """Also where the answer to the deletion never comes, the project's version is set again."""
    store(studio, (1, V1), (1, V2))
    studio.connect("http://ml.example", V2)
    studio.project["model_version"] = V2

    def fail(_: httpx.Request) -> httpx.Response:
        studio.project["model_version"] = None
        return httpx.Response(400)

    studio.faults["DELETE versions"] = fail
    with pytest.raises(LabelStudioError):
        delete_old(client_of(studio), 7, [V2, V1], keep=1, limit_s=60)
    assert studio.project["model_version"] == V2


def test_another_backends_versions_stay(studio: InMemoryStudio) -> None:
    """A second backend on the same project names its versions in the same way: they are not deleted."""
    store(studio, *((1, version) for version in (V1, V2, V3, V4)))
    studio.project["model_version"] = V3
    assert delete_old(client_of(studio), 7, [V4, V3, V2], keep=1, limit_s=60).gone == [V2]
    assert sorted(studio.versions()) == [V1, V3, V4]
