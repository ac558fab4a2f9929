import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest

from common.errors import SettingsError
from ml_backend.errors import LabelStudioError, LostAnswerError
from ml_backend.label_studio.client import Counts, LabelStudioClient
from ml_backend.settings import Settings


@contextmanager
def answering(
    settings: Settings, answer: Callable[[httpx.Request], httpx.Response]
) -> Iterator[LabelStudioClient]:
    """A client whose Label Studio answers so."""

    def answers(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/version":
            return httpx.Response(200, json={"release": "1.23.2"})
        return answer(request)

    with LabelStudioClient(settings, httpx.MockTransport(answers)) as client:
        yield client


def test_an_unreachable_label_studio_is_one_line(settings: Settings) -> None:
    """The message names the address and the remedy, not the key."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with (
        answering(settings, refuse) as client,
        pytest.raises(LabelStudioError, match=r"label-studio\.example cannot be reached") as failed,
    ):
        client.project(7)
    assert "secret-key" not in str(failed.value)


def test_a_refusal_is_passed_on(settings: Settings) -> None:
    """What Label Studio says about a wrong key reaches the person."""
    refusal = httpx.Response(401, json={"detail": "Invalid token."})
    with (
        answering(settings, lambda _: refusal) as client,
        pytest.raises(LabelStudioError, match=r"401.*Invalid token\."),
    ):
        client.project(7)


def test_without_a_key_there_is_no_client(settings: Settings) -> None:
    """A missing variable is named before anything is sent."""
    missing = settings.model_copy(update={"label_studio_url": ""})
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL is not set"):
        LabelStudioClient(missing)


@pytest.mark.parametrize(
    ("fault", "lost"),
    [
        (httpx.ReadTimeout("late"), True),
        (httpx.RemoteProtocolError("closed"), True),
        (httpx.Response(504), True),
        (httpx.ConnectTimeout("nobody"), False),
        (httpx.Response(400, json={"detail": "no"}), False),
        (httpx.Response(500), False),
    ],
)
def test_a_lost_answer_is_no_refusal(settings: Settings, fault: Exception | httpx.Response, lost: bool) -> None:  # noqa: FBT001
    """Where Label Studio may go on with a request, that can be told from one that it refused or never got."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if isinstance(fault, Exception):
            raise fault
        return fault

    with answering(settings, answer) as client, pytest.raises(LabelStudioError) as failed:
        client.import_predictions(7, [{"task": 1, "result": [], "score": 0.5, "model_version": "v"}])
    assert isinstance(failed.value, LostAnswerError) is lost
    assert len(sent) == 1


def test_predictions_of_a_version_are_listed_oldest_first(settings: Settings) -> None:
    """By id, each with its task; those of other versions are passed over."""
    rows = [
        {"id": number, "task": task, "model_version": version}
        for number, task, version in ((9, 1, "v"), (3, 1, "v"), (5, 2, "other"), (4, 2, "v"))
    ]
    with answering(settings, lambda _: httpx.Response(200, json=rows)) as client:
        assert client.prediction_ids(7, "v", 4) == [(3, 1), (4, 2), (9, 1)]


def test_a_prediction_that_is_gone_is_deleted(settings: Settings) -> None:
    """Two programs may delete the same one; any other refusal is an error."""
    for status in (204, 404):
        with answering(settings, lambda _, status=status: httpx.Response(status)) as client:
            client.delete_prediction(3)
    refusal = httpx.Response(403, json={"detail": "no"})
    with answering(settings, lambda _: refusal) as client, pytest.raises(LabelStudioError, match=r"403.*\(no\)"):
        client.delete_prediction(3)


def test_what_was_stored_is_counted(settings: Settings) -> None:
    """Label Studio answers 201 and stores fewer predictions than it was sent."""
    answer = httpx.Response(201, json={"created": 1})
    prediction = {"task": 1, "result": [], "score": 0.5, "model_version": "v"}
    with answering(settings, lambda _: answer) as client:
        assert client.import_predictions(7, [prediction] * 2) == 1


def test_a_page_instead_of_an_answer_is_one_line(settings: Settings) -> None:
    """A page, or an answer that was cut off, is not shown."""
    page = httpx.Response(200, text="<html>")
    with (
        answering(settings, lambda _: page) as client,
        pytest.raises(LabelStudioError, match="no JSON, or is cut off"),
    ):
        client.versions(7)


def test_deleting_may_take_long(settings: Settings) -> None:
    """Label Studio deletes some seventy predictions a second: that is waited for."""
    seen: list[httpx.Request] = []
    with answering(settings, lambda request: seen.append(request) or httpx.Response(200, json={})) as client:
        client.delete_version(7, "v")
    assert seen[0].extensions["timeout"]["read"] >= 600


def test_predictions_are_sent_once(settings: Settings) -> None:
    """The SDK must not repeat an import whose answer was lost: the predictions would be there twice."""
    seen: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(503)

    with answering(settings, fail) as client, pytest.raises(LabelStudioError):
        client.import_predictions(7, [{"task": 1, "result": [], "score": 0.5, "model_version": "v"}])
    [only] = seen
    assert json.loads(only.content) == [{"task": 1, "result": [], "score": 0.5, "model_version": "v"}]


def test_changes_are_asked_for_in_the_only_format_that_works(settings: Settings) -> None:
    """Label Studio fails on a time without a fraction, without a Z or with an offset."""
    seen: list[httpx.Request] = []
    page = httpx.Response(200, json={"tasks": [], "total": 0, "total_annotations": 0, "total_predictions": 0})
    since = datetime(2026, 1, 31, 14, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    with answering(settings, lambda request: seen.append(request) or page) as client:
        assert list(client.annotated_tasks(7, since=since)) == []
    [item] = json.loads(seen[0].url.params["query"])["filters"]["items"]
    assert item == {
        "filter": "filter:tasks:updated_at",
        "operator": "greater",
        "type": "Datetime",
        "value": "2026-01-31T12:00:05.000000Z",
    }


@pytest.mark.parametrize(
    ("answered", "date", "stamp", "counts", "read_at"),
    [
        (
            {"created_at": "2026-11-21T19:42:45.999Z", "task_number": 5, "total_annotations_number": 4,
             "skipped_annotations_number": 1},
            "Sat, 21 Nov 2026 19:51:32 GMT", "1795290165", Counts(5, 4, 1),
            datetime(2026, 11, 21, 19, 51, 32, tzinfo=UTC),
        ),
        ({"created_at": "yesterday", "task_number": 5}, "soon", "", None, None),
        ({}, None, "", None, None),
    ],
)  # fmt: skip
def test_what_a_project_tells_of_itself(
    settings: Settings,
    answered: dict[str, object],
    date: str | None,
    stamp: str,
    counts: Counts | None,
    read_at: datetime | None,
) -> None:
    """When it was made, what it holds and when that was, where Label Studio says so."""
    headers = {"date": date} if date else {}
    answer = httpx.Response(200, json={"id": 7, "label_config": "<View/>", **answered}, headers=headers)
    with answering(settings, lambda _: answer) as client:
        project = client.project(7)
    assert (project.stamp, project.counts, project.read_at) == (stamp, counts, read_at)
