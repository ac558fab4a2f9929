"""The edge to Label Studio where Label Studio fails; what works is tested on a real one."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from in_memory_label_studio import NOW, InMemoryStudio, region

from common.contract import signed_meta
from common.label_studio.client import READINGS, LabelStudioClient
from common.label_studio.session import Session
from consensus.core.decide.writeback import Difference, Entry, Written
from consensus.errors import LabelStudioError
from consensus.label_studio import CachedTasks, Studio

TOKEN = "s3cret-token"
URL = "http://label-studio.test"
Answers = Callable[[httpx.Request], httpx.Response]
Make = Callable[[Answers], Studio]
TO = {"kind": "image"}
CAT = Entry(1, "Discovered", "kind", "cat", 0.9)
ASKING = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image" {}><Choice value="cat"/><Choice value="dog" alias="hound"/></Choices></View>"""
CONFIG = ASKING.format("")


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes a studio whose every request is answered by a function."""
    with ExitStack() as closing_all:

        def _make(answers: Answers) -> Studio:
            def answer(request: httpx.Request) -> httpx.Response:
                if request.url.path == "/api/version":
                    return httpx.Response(200, json={"release": "1.23.2"})
                return answers(request)

            client = LabelStudioClient(Session(URL, TOKEN, transport=httpx.MockTransport(answer)))
            return Studio(closing_all.enter_context(client), TOKEN, sleep=lambda _: None)

        yield _make


@pytest.fixture
def studio() -> InMemoryStudio:
    """A project of one task."""
    made = InMemoryStudio(CONFIG)
    made.add_task({"image": "i"}, task_id=1)
    return made


def edge(studio: InMemoryStudio) -> Studio:
    """The edge of consensus to it."""
    return Studio(studio.client(), TOKEN, sleep=lambda _: None)


def project(config: str, **more: object) -> dict[str, object]:
    """A project as Label Studio sends it."""
    return {"id": 7, "title": "Seven", "label_config": config, "task_number": 3, "model_version": None, **more}


def changes(**parts: object) -> Difference:
    """A difference of one kind."""
    return Difference(**{"create": [], "update": [], "delete": [], "clear": [], **parts})  # type: ignore[arg-type]


def signed_region(score: float) -> dict[str, object]:
    """What is written of CAT with a score."""
    region: dict[str, object] = {
        "id": "Discovered-kind-1", "from_name": "kind", "to_name": "image", "type": "choices",
        "value": {"choices": ["cat"]},
    }  # fmt: skip
    return {**region, "meta": signed_meta(TOKEN, 1, "consensus/Discovered", score, region, "choices")}


@pytest.mark.parametrize(
    ("forged", "kind"),
    [
        ({}, "choices"),
        ({"score": 0.99}, None),
        ({"model_version": "consensus/AllConfirmed"}, None),
        ({"result": [{**signed_region(0.9), "value": {"choices": ["dog"]}}]}, None),
    ],
)
def test_a_signed_report_that_was_changed_is_read_as_unsigned(
    studio: InMemoryStudio, forged: dict[str, Any], kind: str | None
) -> None:
    """A signed report that is posted again with another score or choice is one that the next run replaces."""
    studio.predict(
        1, **{"model_version": "consensus/Discovered", "score": 0.9, "result": [signed_region(0.9)], **forged}
    )
    [(_, [written])] = edge(studio).pull(7, {}, NOW, CachedTasks.read).tasks
    assert written.entry.kind == kind


def test_predictions_that_were_not_stored_are_noticed(studio: InMemoryStudio) -> None:
    """Label Studio drops what it cannot store and says 201: the number tells."""
    with pytest.raises(LabelStudioError, match="stored 1 of 2 predictions of project 7; were tasks"):
        edge(studio).write(7, changes(create=[CAT, replace(CAT, choice="owl")]), TO)


def test_a_prediction_that_is_gone_already_is_deleted(studio: InMemoryStudio) -> None:
    """The try before may have got through; other refusals are told."""
    there = studio.predict(1, "consensus/Old")["id"]
    edge(studio).write(7, changes(delete=[there + 1, there]), {})
    assert (studio.predictions, len(studio.writes)) == ([], 2)
    studio.faults["DELETE predictions"] = httpx.Response(403)
    with pytest.raises(LabelStudioError, match="refused the token for prediction 5"):
        edge(studio).write(7, changes(delete=[5]), {})


def test_what_is_new_is_sent_before_what_is_old_is_taken_away(studio: InMemoryStudio) -> None:
    """An interruption after any write loses nothing; progress counts what was sent."""
    progress: list[int] = []
    kept, old = (studio.predict(1, "consensus/Discovered")["id"] for _ in range(2))
    new = Entry(1, "NoVotes", "", "", 0.25)
    edge(studio).write(7, changes(create=[new], update=[Written(kept, CAT)], delete=[old]), TO, progress.append)
    assert studio.writes == [
        "POST /api/projects/7/import/predictions",
        f"PATCH /api/predictions/{kept}/",
        f"DELETE /api/predictions/{old}/",
    ]
    shown = [(row["model_version"], row["score"], row["result"]) for row in studio.predictions]
    assert shown == [("consensus/Discovered", 0.9, [signed_region(0.9)]), ("consensus/NoVotes", 0.25, [])]
    assert progress == [1, 2, 3]


def test_a_prediction_shows_its_choice_and_has_one_score(studio: InMemoryStudio) -> None:
    """The score is the prediction's; its region has none, which Label Studio would show a second time."""
    edge(studio).write(7, changes(create=[CAT]), TO)
    row = {"task": 1, "model_version": "consensus/Discovered", "score": 0.9, "result": [signed_region(0.9)]}
    assert studio.bodies("POST", "import/predictions") == [[row]]


def forget(studio: InMemoryStudio, after: str | None) -> None:
    """Let the project show m1, and another version, or none, after predictions were deleted."""
    studio.project["model_version"] = "m1"
    studio.predict(1, "m1")

    def answer(_: httpx.Request) -> httpx.Response:
        studio.project["model_version"] = after
        return httpx.Response(200, json={"deleted_predictions": 0})

    studio.faults["DELETE versions"] = answer


@pytest.mark.parametrize(
    ("after", "shown"),
    [(None, ["m1"]), ("", ["m1"]), ("m1", []), ("m2", [])],
)
def test_the_annotators_version_is_set_again_only_where_it_was_forgotten(
    studio: InMemoryStudio, after: str | None, shown: list[str]
) -> None:
    """A version that a new training chose meanwhile stays."""
    forget(studio, after)
    edge(studio).write(7, changes(clear=["consensus/Discovered"]), {})
    assert studio.bodies("DELETE", "model-versions") == [{"model_version": "consensus/Discovered"}]
    assert [changed["model_version"] for changed in studio.bodies("PATCH", "projects/7")] == shown


def test_a_version_that_nobody_has_any_more_is_left_alone(studio: InMemoryStudio) -> None:
    """Label Studio refuses to show it, and the run goes on; another refusal is told."""
    forget(studio, None)
    studio.tasks[1]["predictions"].clear()
    edge(studio).write(7, changes(clear=["consensus/Discovered"]), {})
    studio.project["model_version"] = "m1"
    studio.faults["PATCH projects/7"] = httpx.Response(403)
    with pytest.raises(LabelStudioError, match="refused the token for model version 'm1' of project 7"):
        edge(studio).write(7, changes(clear=["consensus/Discovered"]), {})


def test_emptying_that_fails_is_told(studio: InMemoryStudio) -> None:
    """Where a report cannot be emptied nothing is created, so that nothing is there twice."""
    studio.faults["DELETE versions"] = httpx.Response(400)
    with pytest.raises(LabelStudioError, match="answered 400 about model version 'consensus/Discovered'"):
        edge(studio).write(7, changes(clear=["consensus/Discovered"], create=[CAT]), TO)
    assert studio.predictions == []


@pytest.mark.parametrize("fails", [1, 2])
def test_the_annotators_version_is_set_again_though_emptying_failed(studio: InMemoryStudio, fails: int) -> None:
    """Label Studio may have forgotten it before it failed, or over the report before."""
    forget(studio, None)
    forgetting = studio.faults["DELETE versions"]

    def answer(request: httpx.Request) -> httpx.Response:
        forgetting(request)
        return httpx.Response(400 if len(studio.bodies("DELETE", "model-versions")) == fails else 200, json={})

    studio.faults["DELETE versions"] = answer
    versions = ["consensus/Discovered", "consensus/NoVotes"]
    with pytest.raises(LabelStudioError, match="answered 400 about model version 'consensus/"):
        edge(studio).write(7, changes(clear=versions, create=[CAT]), TO)
    assert [line.split()[0] for line in studio.writes] == ["DELETE"] * fails + ["PATCH"]


@pytest.mark.parametrize(
    ("label_config", "labels", "reasons"),
    [
        (ASKING.format('perRegion="true"'), [], ("kind: labels regions, not tasks (perRegion)",)),
        (CONFIG, [("cat", "hound")], ()),
        ("", [], ()),
    ],
)
def test_a_project_comes_with_the_reading_of_its_config(
    label_config: str, labels: list[tuple[str, ...]], reasons: tuple[str, ...]
) -> None:
    """The choices about whole tasks, and why others are passed over."""
    found = edge(InMemoryStudio(label_config)).project(7).config
    assert ([tag.labels for tag in found.choices], found.reasons) == (labels, reasons)


def test_a_config_that_cannot_be_read_is_told() -> None:
    """In one sentence."""
    with pytest.raises(LabelStudioError, match="the label config cannot be read: "):
        edge(InMemoryStudio("<View")).project(7)


Reading = tuple[int, Sequence[Sequence[int]], int | None]
"""How many tasks there are before, the ids on each page, and how many there are after; None: that is not asked."""


def _readings(*readings: Reading) -> Answers:
    """A Label Studio whose tasks come and go between the pages, by reading."""
    counts = iter([9, *(count for before, _, after in readings for count in (before, after) if count is not None)])
    pages = iter([pages for _, pages, _ in readings])
    now: list[Sequence[Sequence[int]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/projects/7/":
            return httpx.Response(200, json=project(CONFIG, task_number=next(counts)))
        if request.url.path == "/api/projects/7/model-versions/":
            return httpx.Response(200, json=[])
        page = int(request.url.params["page"])
        if page == 1:
            now.append(next(pages))
        rows = [task(number) for number in now[-1][page - 1]] if page <= len(now[-1]) else []
        totals = {"total": 9, "total_annotations": 0, "total_predictions": 0}
        return httpx.Response(200, json={"tasks": rows, **totals})

    return answer


def task(number: int) -> dict[str, object]:
    """A task with an annotation of a nameless account, a prediction of ours and one of another's."""
    annotation = {"id": number * 10, "completed_by": number, "was_cancelled": number == 3, "result": []}
    region = {"from_name": "kind", "value": {"choices": ["cat"]}}
    ours = {"id": number * 100, "model_version": "consensus/Discovered", "score": None, "result": [region]}
    odd = {"id": number * 100 + 1, "model_version": "consensus/Old", "score": 0.5, "result": [{"value": None}]}
    other = {"id": number * 100 + 2, "model_version": "m1", "score": 0.5, "result": []}
    data = {"image": "i", "kind": "cat"}
    return {"id": number, "data": data, "annotations": [annotation], "predictions": [ours, odd, other]}


def test_tasks_are_read_once_though_pages_overlap(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that moves from one page to the other is one task; of its predictions ours are known."""
    monkeypatch.setattr("common.label_studio.client.PAGE", 2)
    told: list[int] = []
    pulled = make(_readings((3, [[1, 2], [2, 3]], 3))).pull(
        7, {1: "a1@example.com"}, NOW, CachedTasks.read, told.append
    )
    tasks = [task for task, _ in pulled.tasks]
    assert [task.id for task in tasks] == [1, 2, 3]
    annotators = [one.annotations[0].annotator for one in tasks]
    assert annotators == ["a1@example.com", "account 2", "account 3"]
    assert [one.annotations[0].skipped for one in tasks] == [False, False, True]
    written = [each for _, of_task in pulled.tasks for each in of_task]
    assert [each.id for each in written] == [100, 101, 200, 201, 300, 301]
    assert written[0].entry.identity == (1, "Discovered", "kind", "cat", "None", "", ())
    assert written[1].entry.identity == (1, "Old", "", "", "", "", ())
    assert told[-1] == 3
    assert tasks[0].predictions == {"m1": []}


def test_an_annotation_knows_the_suggestion_that_it_began_from(studio: InMemoryStudio) -> None:
    """Its regions while the prediction is there; none where it is gone, or holds something else than regions."""
    cat = [region("kind", "cat")]
    studio.predict(1, "m1", cat, id=8)
    studio.predict(1, "m1", ["nonsense"], id=9)
    for parent in (8, 9, 10, None):
        studio.annotate(1, parent_prediction=parent)
    [(task, _)] = edge(studio).pull(7, {}, NOW, CachedTasks.read).tasks
    assert [(annotation.from_prediction, annotation.suggestion) for annotation in task.annotations] == [
        (8, cat), (9, None), (10, None), (None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("annotated", "made", "label"),
    [
        ((), (1, 2), "of 2"),
        ((5,), (1, 2), "of 2"),
        ((5, 2), (1, 3), "of 1"),
        ((2,), (2, 3), None),
        ((), (), None),
    ],
    ids=["nobody annotated", "all before", "some before the first annotation", "all after", "no prediction"],
)
def test_a_suggestion_counts_if_it_was_made_before_anybody_annotated(
    studio: InMemoryStudio, annotated: tuple[int, ...], made: tuple[int, ...], label: str | None
) -> None:
    """The last of a model's predictions that is older than the first annotation; reports are no suggestions."""

    def at(day: int) -> str:
        return f"2026-01-0{day}T12:00:00.000000Z"

    studio.predict(1, "consensus/Discovered", created_at=at(1), score=0.9)
    for day in made:
        studio.predict(1, "m1", [region("kind", f"of {day}")], created_at=at(day), score=day / 10)
    for day in annotated:
        studio.annotate(1, created_at=at(day))
    [(task, _)] = edge(studio).pull(7, {}, NOW, CachedTasks.read).tasks
    expected = (None, None) if label is None else ([region("kind", label)], int(label[-1]) / 10)
    assert (task.suggestion, task.suggestion_score) == expected


@pytest.mark.parametrize(
    ("readings", "found"),
    [
        pytest.param([(3, [[1, 2], [3]], 3)], [1, 2, 3], id="nothing happens"),
        pytest.param([(2, [[1, 2]], 3)], [1, 2], id="one comes after its page"),
        pytest.param([(2, [[1, 2], [3]], 3)], [1, 2, 3], id="one comes"),
        pytest.param(
            [(4, [[1, 2], [4]], None), (3, [[2, 3], [4]], 3)], [2, 3, 4], id="one goes and another slips"
        ),
        pytest.param([(3, [[1, 2], [3]], 2), (2, [[2, 3]], 2)], [2, 3], id="one goes after it was read"),
        pytest.param([(4, [[1, 2], [4]], None), (4, [[2, 3], [4, 5]], 4)], [2, 3, 4, 5], id="one goes, one comes"),
        pytest.param([(0, [], 0)], [], id="none is there"),
    ],
)
def test_tasks_are_read_again_while_some_go(
    make: Make, monkeypatch: pytest.MonkeyPatch, readings: list[Reading], found: list[int]
) -> None:
    """A task that goes moves others to pages that were read already; then all is read again."""
    monkeypatch.setattr("common.label_studio.client.PAGE", 2)
    asked: list[str] = []
    answers = _readings(*readings)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return answers(request)

    pulled = make(answer).pull(7, {}, NOW, CachedTasks.read)
    assert [task.id for task, _ in pulled.tasks] == found
    assert [len(written) for _, written in pulled.tasks] == [2] * len(found)
    counts = 1 + sum(1 + (after is not None) for _, _, after in readings)
    assert asked.count("/api/projects/7/") == counts


@pytest.mark.parametrize("reading", [(9, [[1, 2], [3]], None), (3, [[1, 2], [3]], 2)])
def test_tasks_that_go_during_every_reading_end_in_an_error(
    make: Make, monkeypatch: pytest.MonkeyPatch, reading: Reading
) -> None:
    """What was read is perhaps not all: nothing is computed from it."""
    monkeypatch.setattr("common.label_studio.client.PAGE", 2)
    with pytest.raises(LabelStudioError, match="project 7 could not be read as a whole: some were deleted"):
        make(_readings(*[reading] * READINGS)).pull(7, {}, NOW, CachedTasks.read)


@pytest.mark.parametrize("arrives", [True, False])
def test_an_import_whose_answer_was_lost_is_not_there_twice(studio: InMemoryStudio, *, arrives: bool) -> None:
    """What has arrived is looked for, and only what has not is sent again."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        if arrives:
            for row in json.loads(request.content):
                studio.predict(row.pop("task"), **row)
        return httpx.Response(502) if len(studio.writes) == 1 else None

    studio.faults["POST import/predictions"] = answer
    edge(studio).write(7, changes(create=[CAT]), TO)
    assert (len(studio.writes), len(studio.predictions)) == (1 if arrives else 2, 1)


@pytest.mark.parametrize("stored", [True, False])
def test_a_tab_whose_answer_was_lost_is_not_there_twice(studio: InMemoryStudio, *, stored: bool) -> None:
    """It is looked for; where it is not there, the next run makes it."""
    studio.views.append({"id": 1, "project": 7, "data": {"title": "Default"}})

    def answer(request: httpx.Request) -> httpx.Response:
        if stored:
            studio.views.append(json.loads(request.content))
        return httpx.Response(502)

    studio.faults["POST views"] = answer
    if stored:
        assert len(edge(studio).make_tabs(7)) == 6
        assert (len(studio.writes), len(studio.views)) == (6, 7)
    else:
        with pytest.raises(LabelStudioError, match="answered 502 about tab 'AllConfirmed'"):
            edge(studio).make_tabs(7)
        assert len(studio.writes) == 1
