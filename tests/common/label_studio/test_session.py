"""One policy for all requests: what is repeated, how long an answer may be, who answers."""

import base64
import contextlib
import json
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from common.errors import LabelStudioError, LostAnswerError, SettingsError
from common.label_studio import session
from common.label_studio.client import LabelStudioClient
from common.label_studio.session import Session

URL, TOKEN, SECRET = "http://label-studio.test", "s3cret-token", "the patient's name"
Answer = Callable[[httpx.Request], httpx.Response]
ACTIONS = frozenset({"ANNOTATION_CREATED"})
CREATING: dict[str, Callable[[LabelStudioClient], object]] = {
    "predictions": lambda client: client.import_predictions(7, [{"task": 1}]),
    "a prediction": lambda client: client.create_prediction({"task": 1}),
    "a tab": lambda client: client.add_tab(7, {"title": "NoVotes"}),
    "a webhook": lambda client: client.add_webhook(7, "http://ml.test/webhook", ACTIONS, {}),
    "a connection": lambda client: client.add_connection(7, "http://ml.test", "ours", None),
}
SETTING: dict[str, Callable[[LabelStudioClient], object]] = {
    "an overlap": lambda client: client.set_overlap(1, 3, closed=False),
    "a score": lambda client: client.change_prediction(1, {"score": 0.5}),
    "a version": lambda client: client.show_version(7, "v"),
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK does not wait between its tries."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def client_of(answer: Answer, url: str = URL, token: str = TOKEN) -> LabelStudioClient:
    """A client whose every request is answered by a function."""
    return LabelStudioClient(Session(url, token, transport=httpx.MockTransport(answer)))


def label_studio(answer: Answer) -> Answer:
    """The same, by a Label Studio that says who it is."""
    return lambda request: (
        httpx.Response(200, json={"release": "1.23.2"}) if request.url.path == "/api/version" else answer(request)
    )


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("create", CREATING.values(), ids=CREATING)
def test_what_is_created_is_sent_once(create: Callable[[LabelStudioClient], object], status: int) -> None:
    """A second request whose first answer was lost would make it twice."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, json={"detail": "later"})

    with client_of(label_studio(answer)) as client, pytest.raises(LabelStudioError) as error:
        create(client)
    assert [request.method for request in seen] == ["POST"]
    assert isinstance(error.value, LostAnswerError) is (status in (408, 502, 503, 504))


@pytest.mark.parametrize("fault", [httpx.ReadTimeout("late"), httpx.RemoteProtocolError("closed"), None])
@pytest.mark.parametrize("create", CREATING.values(), ids=CREATING)
def test_an_answer_that_does_not_arrive_is_lost(
    create: Callable[[LabelStudioClient], object], fault: Exception | None
) -> None:
    """Also one that was cut off: what was asked for may be done."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if fault:
            raise fault
        return httpx.Response(201, content=b'{"created": ')

    with client_of(label_studio(answer)) as client:
        if fault is None and "import" not in create.__code__.co_names[0]:
            create(client)  # its answer is not read
        else:
            with pytest.raises(LostAnswerError):
                create(client)
    assert len(seen) == 1


@pytest.mark.parametrize("change", SETTING.values(), ids=SETTING)
def test_what_is_set_to_a_value_is_tried_again(change: Callable[[LabelStudioClient], object]) -> None:
    """Twice is as good as once."""
    answers = [httpx.Response(502), httpx.Response(503), httpx.Response(200, json={})]
    with client_of(lambda _: answers.pop(0)) as client:
        change(client)
    assert answers == []


@pytest.mark.parametrize(
    "content", [b'[{"id": 1, "data": "the patient\'s name', b"\xff\xfe the patient's name", b"", b"[" * 100_000]
)
def test_an_answer_that_is_cut_off_is_not_shown(content: bytes) -> None:
    """It may hold the data of tasks."""
    with (
        client_of(label_studio(lambda _: httpx.Response(200, content=content))) as client,
        pytest.raises(LabelStudioError, match="about the list of accounts cannot be read") as error,
    ):
        client.accounts()
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, content=b'{"acc'), httpx.Response(200, content=b"\xff"), httpx.Response(200, json=[1]),
     httpx.Response(200, content=b"[" * 100_000),
     httpx.Response(401, text="<html>"), httpx.Response(401, json={"detail": "Token is invalid"})],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The `parse_obj`")  # the SDK's own
def test_a_token_that_cannot_be_renewed_is_one_sentence(answer: httpx.Response) -> None:
    """Whatever is answered in place of an access token."""
    claims = base64.urlsafe_b64encode(json.dumps({"token_type": "refresh", "exp": 2**32}).encode()).rstrip(b"=")
    token = f"eyJhbGciOiJIUzI1NiJ9.{claims.decode()}.c2ln"
    with (
        client_of(label_studio(lambda _: answer), token=token) as client,
        pytest.raises(LabelStudioError) as error,
    ):
        client.accounts()
    assert token not in str(error.value)


class Endless(httpx.SyncByteStream):
    """Bytes without end."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b" " * 1000


@pytest.mark.parametrize(("largest", "clock"), [(10_000, 0.0), (10**9, 100.0)], ids=["too much", "too long"])
def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch, largest: int, clock: float) -> None:
    """A timeout is about silence alone."""
    monkeypatch.setattr(session, "LARGEST_ANSWER", largest)
    times = iter(range(10**6))
    made = session.Session(
        URL,
        TOKEN,
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless())),
        clock=lambda: next(times) * clock,
    )
    with pytest.raises(LabelStudioError, match="does not come to an end"):
        made.json("GET", "api/users/", "the list of accounts")
    made.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"), "SSL_CERT_FILE"),
        (httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "begins with http://"),
        (httpx.ConnectError("[Errno -2] Name or service not known"), "Name or service not known"),
        (httpx.ConnectTimeout(""), "no answer in time"),
        (httpx.ReadTimeout("slow"), "no answer in time"),
        (httpx.RemoteProtocolError("cut"), "is LABEL_STUDIO_URL right"),
    ],
)
def test_why_nothing_answers_is_named(fault: Exception, message: str) -> None:
    """A certificate, a wrong scheme, a name or a port: each has another remedy."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise fault

    with client_of(fail) as client, pytest.raises(LabelStudioError, match=message) as error:
        client.project(7)
    assert not isinstance(error.value, LostAnswerError)


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="<html>a page</html>"), httpx.Response(404, json={"detail": "Not Found"}),
     httpx.Response(404, text="nginx"), httpx.Response(401, text="<h1>Login</h1>")],
)  # fmt: skip
def test_another_program_at_the_address_is_named(answer: httpx.Response) -> None:
    """Also a wrong path: what is there does not say Label Studio's version."""
    with (
        client_of(lambda _: answer, f"{URL}/wrong") as client,
        pytest.raises(LabelStudioError, match=r"/wrong/api/version answers .*another program or a wrong path"),
    ):
        client.project(7)


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
def test_an_answer_of_trouble_is_one_sentence(status: int, message: str) -> None:
    """The message names the address, the project and the remedy, and holds no token."""
    answer = httpx.Response(status, text="<html>\n<b>broken</b>\n</html>")
    with (
        client_of(label_studio(lambda _: answer)) as client,
        pytest.raises(LabelStudioError, match=message) as error,
    ):
        client.project(7)
    assert URL in str(error.value)
    assert TOKEN not in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.__suppress_context__
    assert getattr(error.value, "http_status", 200) == status


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
        *(
            (url, TOKEN, "does not begin with http:// or https://")
            for url in ("localhost:8080", "label-studio.test", "ftp://label-studio.test", "http://")
        ),
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
        LabelStudioClient(Session(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, timeout_s=0.2)) as client,
        pytest.raises(
            LabelStudioError,
            match=r"cannot be reached for the list of accounts \(no answer in time, ReadTimeout\)",
        ),
    ):
        client.accounts()


READING: dict[str, Callable[[LabelStudioClient], object]] = {
    "accounts": lambda client: client.accounts(),
    "projects": lambda client: client.project_ids(),
    "a project": lambda client: client.project(7),
    "settings": lambda client: client.project_settings(7),
    "tasks": lambda client: list(client.tasks(7, "id")),
    "a count": lambda client: client.count_tasks(7),
    "predictions": lambda client: list(client.predictions(7, 3, "v")),
    "versions": lambda client: client.version_counts(7),
    "connections": lambda client: client.connections(7),
    "webhooks": lambda client: client.webhooks(),
    "an import": lambda client: client.import_predictions(7, [{"task": 1}]),
}


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("body", [[], "x", 3, [3], [{}], {"tasks": 3, "results": 3}, {"tasks": [{}], "id": "x"}])
def test_json_of_another_program_is_named(name: str, body: object) -> None:
    """Whatever form it has, it is empty or there is one sentence about the address, and nothing else."""
    with contextlib.suppress(LabelStudioError):
        READING[name](client_of(lambda _: httpx.Response(200, json=body)))


def test_another_program_that_answers_in_json_is_told_from_a_changed_label_studio() -> None:
    """By what answers for the version."""
    with pytest.raises(LabelStudioError, match="/api/version answers 200 with something else, not with"):
        client_of(lambda _: httpx.Response(200, json={"status": "UP"})).project_settings(7)
    with pytest.raises(LabelStudioError, match="has another form than that of the versions that are known"):
        client_of(label_studio(lambda _: httpx.Response(200, json={"status": "UP"}))).project_settings(7)
