"""The edge to Label Studio where Label Studio fails; what works is tested on a real one."""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import httpx
import pytest

from common.contract import signed_meta
from common.errors import SettingsError
from common.label_studio.client import READINGS, LabelStudioClient
from common.label_studio.session import Session
from consensus.core.decide.writeback import Difference, Entry, Written
from consensus.errors import LabelStudioError
from consensus.label_studio import Studio

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


def project(config: str, **more: object) -> dict[str, object]:
    """A project as Label Studio sends it."""
    return {"id": 7, "title": "Seven", "label_config": config, "task_number": 3, "model_version": None, **more}


def changes(**parts: object) -> Difference:
    """A difference of one kind."""
    return Difference(**{"create": [], "update": [], "delete": [], "clear": [], **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"refused the token for project 7 \(401\); check LABEL_STUDIO_API_KEY"),
        (403, r"refused the token for project 7 \(403\)"),
        (404, r"has no project 7, or the account may not see it"),
        (400, "answered 400 about project 7: .*broken"),
        (200, r"answered about project 7 cannot be read: it is no JSON, or is cut off"),
    ],
)
def test_an_answer_of_trouble_is_one_sentence(make: Make, status: int, message: str) -> None:
    """The message names the address, the project and the remedy, and holds no token."""
    studio = make(lambda _: httpx.Response(status, text="<html>\n<b>broken</b>\n</html>"))
    with pytest.raises(LabelStudioError, match=message) as error:
        studio.project(7)
    assert URL in str(error.value)
    assert TOKEN not in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.__suppress_context__


@pytest.mark.parametrize("status", [500, 502])
def test_a_failure_of_the_server_is_named(make: Make, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the SDK's own tries the message says what was answered."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    tries: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        return httpx.Response(status, json={"detail": "oh"})

    with pytest.raises(LabelStudioError, match=f"answered {status} about the list of accounts: .*oh"):
        make(answer).accounts()
    assert len(tries) == 3


@pytest.mark.parametrize(
    "fault", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")]
)
def test_a_server_that_is_not_there_is_named(
    make: Make, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the address and the variable to look at."""
    monkeypatch.setattr("time.sleep", lambda _: None)

    def fail(_: httpx.Request) -> httpx.Response:
        raise fault

    studio = make(fail)
    for read in (lambda: studio.project(7), studio.accounts, studio.project_numbers, lambda: studio.pull(7, {})):
        with pytest.raises(
            LabelStudioError, match=f"{URL} cannot be reached .*is LABEL_STUDIO_URL right"
        ) as error:
            read()
        assert TOKEN not in str(error.value)


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("", TOKEN, "LABEL_STUDIO_URL is not set"),
        (URL, "", "LABEL_STUDIO_API_KEY is not set"),
        ("", "", "LABEL_STUDIO_URL is not set"),
        ("http://[::1", TOKEN, r"LABEL_STUDIO_URL is 'http://\[::1', which is no address"),
        (URL, TOKEN + "é", "LABEL_STUDIO_API_KEY is no token"),
        (f"http://a1:{TOKEN}@label-studio.test", TOKEN, "LABEL_STUDIO_URL holds a password; the token in"),
        (f"https://{TOKEN}@label-studio.test/", TOKEN, "LABEL_STUDIO_URL holds a password"),
    ],
)
def test_an_address_or_a_token_that_cannot_be_one_is_refused(url: str, token: str, message: str) -> None:
    """Before anything is sent, by the name of the variable."""
    with pytest.raises(SettingsError, match=message) as error:
        LabelStudioClient(Session(url, token))
    assert TOKEN not in str(error.value)


def test_an_answer_is_waited_for_as_long_as_was_said() -> None:
    """A Label Studio that takes the connection and says nothing is given up."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        LabelStudioClient(Session(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, timeout_s=0.2)) as studio,
        pytest.raises(
            LabelStudioError,
            match=r"cannot be reached for the list of accounts \(no answer in time, ReadTimeout\)",
        ),
    ):
        studio.accounts()


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
    make: Make, forged: dict[str, object], kind: str | None
) -> None:
    """A signed report that is posted again with another score or choice is one that the next run replaces."""
    prediction = {"id": 3, "model_version": "consensus/Discovered", "score": 0.9, "result": [signed_region(0.9)]}
    task = {"id": 1, "data": {}, "annotations": [], "predictions": [prediction | forged]}

    def answer(request: httpx.Request) -> httpx.Response:
        project = {"id": 7, "title": "t", "task_number": 1, "label_config": "<View/>"}
        return httpx.Response(
            200, json={"tasks": [task], "total": 1} if request.url.path == "/api/tasks/" else project
        )

    [written] = make(answer).pull(7, {}).written
    assert written.entry.kind == kind


def test_predictions_that_were_not_stored_are_noticed(make: Make) -> None:
    """Label Studio drops what it cannot store and says 201: the number tells."""
    studio = make(lambda _: httpx.Response(201, json={"created": 1}))
    with pytest.raises(LabelStudioError, match="stored 1 of 2 predictions of project 7; were tasks"):
        studio.write(7, changes(create=[CAT, CAT]), {"kind": "image"})


def test_a_prediction_that_is_gone_already_is_deleted(make: Make) -> None:
    """The try before may have got through; other refusals are told."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        return httpx.Response(404 if request.url.path == "/api/predictions/5/" else 204)

    make(answer).write(7, changes(delete=[5, 6]), {})
    assert asked == ["DELETE /api/predictions/5/", "DELETE /api/predictions/6/"]
    with pytest.raises(LabelStudioError, match="refused the token for prediction 5"):
        make(lambda _: httpx.Response(403)).write(7, changes(delete=[5]), {})


def test_what_is_new_is_sent_before_what_is_old_is_taken_away(make: Make) -> None:
    """An interruption after any write loses nothing; progress counts what was sent."""
    asked: list[tuple[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((f"{request.method} {request.url.path}", json.loads(request.content or "null")))
        return httpx.Response(200, json={"created": 1, "id": 3})

    told: list[int] = []
    new = Entry(1, "NoVotes", "", "", 0.25)
    make(answer).write(7, changes(create=[new], update=[Written(3, CAT)], delete=[4]), TO, told.append)
    row = {"task": 1, "model_version": "consensus/NoVotes", "score": 0.25, "result": []}
    assert asked == [
        ("POST /api/projects/7/import/predictions", [row]),
        ("PATCH /api/predictions/3/", {"task": 1, "score": 0.9, "result": [signed_region(0.9)]}),
        ("DELETE /api/predictions/4/", None),
    ]
    assert told == [1, 2, 3]


def test_a_prediction_shows_its_choice_and_has_one_score(make: Make) -> None:
    """The score is the prediction's; its region has none, which Label Studio would show a second time."""
    asked: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(201, json={"created": 1})

    make(answer).write(7, changes(create=[CAT]), TO)
    row = {"task": 1, "model_version": "consensus/Discovered", "score": 0.9, "result": [signed_region(0.9)]}
    assert asked == [[row]]


def _forgetful(asked: list[str], after: str | None, refuse: int | None = None) -> Answers:
    """A Label Studio that shows m1, and another version, or none, after predictions were deleted."""
    shown: list[str | None] = ["m1"]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            shown[0] = after
        if request.method != "GET":
            asked.append(f"{request.method} {request.content.decode()}")
        if request.method == "PATCH" and refuse:
            return httpx.Response(refuse, json={"model_version": ["Model version doesn't exist"]})
        return httpx.Response(200, json=project(CONFIG, model_version=shown[0]))

    return answer


@pytest.mark.parametrize(
    ("after", "sent"),
    [(None, ["DELETE", "PATCH"]), ("", ["DELETE", "PATCH"]), ("m1", ["DELETE"]), ("m2", ["DELETE"])],
)
def test_the_annotators_version_is_set_again_only_where_it_was_forgotten(
    make: Make, after: str | None, sent: list[str]
) -> None:
    """A version that a new training chose meanwhile stays."""
    asked: list[str] = []
    make(_forgetful(asked, after)).write(7, changes(clear=["consensus/Discovered"]), {})
    assert [line.split()[0] for line in asked] == sent
    assert json.loads(asked[0].removeprefix("DELETE ")) == {"model_version": "consensus/Discovered"}
    assert all(json.loads(line.removeprefix("PATCH ")) == {"model_version": "m1"} for line in asked[1:])


def test_a_version_that_nobody_has_any_more_is_left_alone(make: Make) -> None:
    """Label Studio refuses to show it, and the run goes on; another refusal is told."""
    make(_forgetful([], None, refuse=400)).write(7, changes(clear=["consensus/Discovered"]), {})
    with pytest.raises(LabelStudioError, match="refused the token for model version 'm1' of project 7"):
        make(_forgetful([], None, refuse=403)).write(7, changes(clear=["consensus/Discovered"]), {})


def test_emptying_that_fails_is_told(make: Make) -> None:
    """Where a report cannot be emptied nothing is created, so that nothing is there twice."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(400 if request.method == "DELETE" else 200, json=project(CONFIG))

    with pytest.raises(LabelStudioError, match="answered 400 about model version 'consensus/Discovered'"):
        make(answer).write(7, changes(clear=["consensus/Discovered"], create=[CAT]), {"kind": "image"})
    assert "POST" not in asked


@pytest.mark.parametrize("fails", [1, 2])
def test_the_annotators_version_is_set_again_though_emptying_failed(make: Make, fails: int) -> None:
    """Label Studio may have forgotten it before it failed, or over the report before."""
    forgetting, asked = _forgetful([], None), list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        told = forgetting(request)
        return (
            httpx.Response(400, text="broken")
            if asked.count("DELETE") == fails and asked[-1] == "DELETE"
            else told
        )

    versions = ["consensus/Discovered", "consensus/NoVotes"]
    with pytest.raises(LabelStudioError, match="answered 400 about model version 'consensus/"):
        make(answer).write(7, changes(clear=versions, create=[CAT]), {"kind": "image"})
    assert [method for method in asked if method != "GET"] == ["DELETE"] * fails + ["PATCH"]


def test_a_project_comes_with_the_reading_of_its_config(make: Make) -> None:
    """The choices about whole tasks, and why others are passed over."""
    found = make(lambda _: httpx.Response(200, json=project(ASKING.format('perRegion="true"')))).project(7)
    assert found.config.reasons == ("kind: labels regions, not tasks (perRegion)",)
    found = make(lambda _: httpx.Response(200, json=project(CONFIG))).project(7)
    assert [(tag.name, tag.labels) for tag in found.config.choices] == [("kind", ("cat", "hound"))]
    assert make(lambda _: httpx.Response(200, json=project(""))).project(7).config.choices == ()


def test_a_config_that_cannot_be_read_is_told(make: Make) -> None:
    """In one sentence."""
    with pytest.raises(LabelStudioError, match="the label config cannot be read: "):
        make(lambda _: httpx.Response(200, json=project("<View"))).project(7)


Reading = tuple[int, Sequence[Sequence[int]], int | None]
"""How many tasks there are before, the ids on each page, and how many there are after; None: that is not asked."""


def _readings(*readings: Reading) -> Answers:
    """A Label Studio whose tasks come and go between the pages, by reading."""
    counts = iter([count for before, _, after in readings for count in (before, after) if count is not None])
    pages = iter([pages for _, pages, _ in readings])
    now: list[Sequence[Sequence[int]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/projects/7/":
            return httpx.Response(200, json=project(CONFIG, task_number=next(counts)))
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
    pulled = make(_readings((3, [[1, 2], [2, 3]], 3))).pull(7, {1: "a1@example.com"}, told.append)
    assert [one.id for one in pulled.tasks] == [1, 2, 3]
    annotators = [one.annotations[0].annotator for one in pulled.tasks]
    assert annotators == ["a1@example.com", "account 2", "account 3"]
    assert [one.annotations[0].skipped for one in pulled.tasks] == [False, False, True]
    assert [one.id for one in pulled.written] == [100, 101, 200, 201, 300, 301]
    assert pulled.written[0].entry.identity == (1, "Discovered", "kind", "cat", "None")
    assert pulled.written[1].entry.identity == (1, "Old", "", "", "")
    assert told[-1] == 3
    assert pulled.tasks[0].predictions == {"m1": []}


def test_an_annotation_knows_the_suggestion_that_it_began_from(make: Make) -> None:
    """Its regions while the prediction is there; none where it is gone, or holds something else than regions."""
    kept = {"id": 8, "model_version": "m1", "result": [{"from_name": "kind", "value": {"choices": ["cat"]}}]}
    broken = {"id": 9, "model_version": "m1", "result": ["nonsense"]}
    annotations = [{"id": number, "parent_prediction": parent} for number, parent in enumerate((8, 9, 10, None))]
    row = {"id": 1, "data": {}, "annotations": annotations, "predictions": [kept, broken]}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/projects/7/":
            return httpx.Response(200, json=project(CONFIG, task_number=1))
        rows = [row] if request.url.params["page"] == "1" else []
        totals = {"total": 1, "total_annotations": 4, "total_predictions": 2}
        return httpx.Response(200, json={"tasks": rows, **totals})

    found = make(answer).pull(7, {}).tasks[0].annotations
    assert [(one.from_prediction, one.suggestion) for one in found] == [
        (8, kept["result"]), (9, None), (10, None), (None, None),
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
    make: Make, annotated: tuple[int, ...], made: tuple[int, ...], label: str | None
) -> None:
    """The last of a model's predictions that is older than the first annotation; reports are no suggestions."""

    def at(day: int) -> str:
        return f"2026-01-0{day}T12:00:00.000000Z"

    annotations = [{"id": day, "created_at": at(day)} for day in annotated]
    predictions = [
        {
            "id": day,
            "model_version": "m1",
            "created_at": at(day),
            "score": day / 10,
            "result": [{"from_name": "kind", "value": {"choices": [f"of {day}"]}}],
        }
        for day in made
    ]
    report = {"id": 99, "model_version": "consensus/Discovered", "created_at": at(1), "score": 0.9, "result": []}
    row = {"id": 1, "data": {}, "annotations": annotations, "predictions": [report, *predictions]}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/projects/7/":
            return httpx.Response(200, json=project(CONFIG, task_number=1))
        rows = [row] if request.url.params["page"] == "1" else []
        totals = {"total": 1, "total_annotations": 4, "total_predictions": 2}
        return httpx.Response(200, json={"tasks": rows, **totals})

    found = make(answer).pull(7, {}).tasks[0]
    if label is None:
        assert (found.suggestion, found.suggestion_score) == (None, None)
    else:
        assert found.suggestion == [{"from_name": "kind", "value": {"choices": [label]}}]
        assert found.suggestion_score == int(label[-1]) / 10


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

    pulled = make(answer).pull(7, {})
    assert [one.id for one in pulled.tasks] == found
    assert len(pulled.written) == 2 * len(found)
    counts = sum(1 + (after is not None) for _, _, after in readings)
    assert asked.count("/api/projects/7/") == counts


@pytest.mark.parametrize("reading", [(9, [[1, 2], [3]], None), (3, [[1, 2], [3]], 2)])
def test_tasks_that_go_during_every_reading_end_in_an_error(
    make: Make, monkeypatch: pytest.MonkeyPatch, reading: Reading
) -> None:
    """What was read is perhaps not all: nothing is computed from it."""
    monkeypatch.setattr("common.label_studio.client.PAGE", 2)
    with pytest.raises(LabelStudioError, match="project 7 could not be read as a whole: some were deleted"):
        make(_readings(*[reading] * READINGS)).pull(7, {})


@pytest.mark.parametrize("arrives", [True, False])
def test_an_import_whose_answer_was_lost_is_not_there_twice(make: Make, *, arrives: bool) -> None:
    """What has arrived is looked for, and only what has not is sent again."""
    there: list[dict[str, object]] = []
    imports: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            rows = json.loads(request.content)
            imports.append(len(rows))
            if arrives or len(imports) > 1:
                there.extend(rows)
            return httpx.Response(201, json={"created": len(rows)}) if len(imports) > 1 else httpx.Response(502)
        tasks = [
            {"id": 1, "predictions": [{"id": number, **row} for number, row in enumerate(there, start=1)]},
        ]
        return httpx.Response(200, json={"tasks": tasks, "total": 1})

    make(answer).write(7, changes(create=[CAT]), {"kind": "image"})
    assert (imports, len(there)) == ([1] if arrives else [1, 1], 1)


@pytest.mark.parametrize("stored", [True, False])
def test_a_tab_whose_answer_was_lost_is_not_there_twice(make: Make, *, stored: bool) -> None:
    """It is looked for; where it is not there, the next run makes it."""
    views: list[dict[str, object]] = [{"id": 1, "data": {"title": "Default"}}]
    posts: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=views)
        posts.append(request)
        if stored:
            views.append(json.loads(request.content))
        return httpx.Response(502)

    if stored:
        assert len(make(answer).make_tabs(7)) == 5
        assert (len(posts), len(views)) == (5, 6)
    else:
        with pytest.raises(LabelStudioError, match="answered 502 about tab 'AllConfirmed'"):
            make(answer).make_tabs(7)
        assert len(posts) == 1
