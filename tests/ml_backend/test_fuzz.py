"""Whatever is sent, the answer is 2xx, or 4xx with an error in JSON; no task loses its suggestion to another."""

import contextlib
import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from werkzeug.test import TestResponse

from ml_backend.backend import Backend
from ml_backend.serving.app import create_app
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from conftest import Samples
    from running_backend import RunningBackend

ROUTES = ("/setup", "/predict", "/webhook")
NESTED: list[Any] = json.loads("[" * 90 + "]" * 90)
GOOD = "http://x.example/black.png"


def steady(number: int) -> examples:
    """The same examples in every run."""
    return examples(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=number,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def app(backend: Backend) -> Flask:
    """The application, with a network of few pages behind it."""
    return create_app(backend)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Someone who sends anything."""
    return app.test_client()


def well_refused(answer: TestResponse) -> bool:
    """Whether a request was answered, or refused with a reason in JSON and nothing else."""
    if answer.status_code < 300:
        return True
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.is_json, answer.text
    assert set(answer.json) == {"error"}
    assert "Traceback" not in answer.text
    return True


# What the OpenAPI document says


@pytest.mark.usefixtures("trained_project")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize(
    "operation", ["GET /versions", "GET /clusters", "POST /setup", "POST /predict", "POST /webhook"]
)
def test_answers_are_as_described(app: Flask, operation: str, mode: schemathesis.GenerationMode) -> None:
    """Requests that fit our document are served as it says, those that do not are refused as it says."""
    document = schemathesis.openapi.from_wsgi("/openapi.json", app)
    all_operations = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    [described] = [result for result in all_operations if result.label == operation]

    @steady(25)
    @given(described.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate()

    ask()


# What Label Studio sends, changed


def from_label_studio(config: str) -> dict[str, dict[str, Any]]:
    """The bodies of real requests, by route; the token and the names are made up."""
    when = "2026-01-31T12:00:00.000000Z"
    one = {
        "id": 1,
        "data": {"image": GOOD},
        "meta": {},
        "created_at": when,
        "updated_at": when,
        "is_labeled": False,
        "overlap": 1,
        "inner_id": 1,
        "total_annotations": 0,
        "cancelled_annotations": 0,
        "total_predictions": 0,
        "comment_count": 0,
        "unresolved_comment_count": 0,
        "last_comment_updated_at": None,
        "project": 7,
        "updated_by": None,
        "file_upload": 3,
        "comment_authors": [],
        "annotations": [],
        "predictions": [],
    }
    region = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["dark"]}}
    annotation = {"id": 5, "completed_by": 1, "result": [region], "was_cancelled": False, "task": 1, "project": 7}
    project = {
        "id": 7,
        "title": "Dark and light",
        "label_config": config,
        "created_by": {"id": 1, "email": "a@b.c"},
    }
    return {
        "/setup": {
            "project": "7.1795256176",
            "schema": config,
            "hostname": "http://label-studio.example",
            "access_token": "0123456789abcdef0123456789abcdef01234567",
            "extra_params": None,
        },
        "/predict": {
            "tasks": [one, one | {"id": 2}, one | {"id": 3, "data": {"image": "http://x.example/gone.png"}}],
            "project": "7.1795256176",
            "label_config": config,
            "params": {"login": None, "password": None, "context": None},
        },
        "/webhook": {"action": "ANNOTATION_CREATED", "project": project, "annotation": annotation, "task": one},
    }


def places(body: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths to all parts of a body."""
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**4000, -(10**400), 1e308, -0.0, 0.5]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", " ", "\x00", "a\x00b", "\ud800", "\U0010ffff", "\u202e", "7.", "7.1.1", "\u0663"]),
    st.sampled_from(
        ["../../x", "file:///etc/passwd", "http://", "http://[", "data:,", "s3://", "//x", "x" * 100_000]
    ),
    st.sampled_from([[], {}, [[]], [{}], {"id": {}}, {"image": GOOD}, [None] * 1000, NESTED]),
)
DROPPED = object()


@st.composite
def changed(draw: st.DrawFn, bodies: dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A real request with up to three parts dropped or replaced."""
    route = draw(st.sampled_from(ROUTES))
    body = copy.deepcopy(bodies[route])
    for path in draw(st.lists(st.sampled_from(list(places(body))), min_size=1, max_size=3)):
        inner: Any = body
        with contextlib.suppress(LookupError, TypeError):  # a change before this one took the place away
            for key in path[:-1]:
                inner = inner[key]
            value = draw(st.just(DROPPED) | odd)
            if value is DROPPED:
                del inner[path[-1]]
            else:
                inner[path[-1]] = copy.deepcopy(value)
    return route, body


@pytest.mark.usefixtures("trained_project")
def test_changed_requests_cost_nobody_else(client: FlaskClient, samples: "Samples") -> None:
    """Real requests with parts dropped, retyped, huge or broken are refused, or serve every good task."""
    bodies = from_label_studio(samples.config)
    intact = bodies["/predict"]["tasks"][0]

    @steady(300)
    @given(changed(bodies))
    def ask(sent: tuple[str, dict[str, Any]]) -> None:
        route, body = sent
        answer = client.post(route, data=json.dumps(body), content_type="application/json")
        assert well_refused(answer)
        if route == "/predict" and answer.status_code == 200:
            results = answer.json["results"]
            assert len(results) == len(body["tasks"])
            for task, entry in zip(body["tasks"], results, strict=True):
                same = isinstance(task, dict) and task | {"id": 1} == intact and type(task.get("id")) is int
                if (
                    same
                    and body.get("label_config") == samples.config
                    and str(body["project"]).split(".")[0] == "7"
                ):
                    assert entry["result"][0]["value"]["choices"] == ["dark"]

    ask()


WHOLE = '{"project": 7, "tasks": [], "action": "X", "more": %s}'
ODD_BODIES: dict[str, tuple[bytes, int]] = {
    "deep lists": ((WHOLE % ("[" * 100_000 + "]" * 100_000)).encode(), 400),
    "deep objects": ((WHOLE % ('{"a":' * 50_000 + "1" + "}" * 50_000)).encode(), 400),
    "unclosed": (b"[" * 1_000_000, 400),
    "huge whole number": ((WHOLE % ("9" * 100_000)).encode(), 400),
    "large whole number": ((WHOLE % ("9" * 4000)).encode(), 200),
    "huge float": ((WHOLE % "1e400").encode(), 200),
    "NaN": ((WHOLE % "NaN").encode(), 400),
    "Infinity": ((WHOLE % "-Infinity").encode(), 400),
    "a name twice": (b'{"project": 7, "project": 8, "tasks": [], "action": "X"}', 400),
    "a name twice, deep": ((WHOLE % '[{"a": 1, "a": 1}]').encode(), 400),
    "no UTF-8": ((WHOLE % '"\xff\xfe"').encode("latin-1"), 400),
    "half a character": ((WHOLE % '"\\ud800"').encode(), 200),
    "NUL": ((WHOLE % '"\\u0000"').encode(), 200),
    "a raw NUL": ((WHOLE % '"\x00"').encode(), 400),
    "byte order mark": (b"\xef\xbb\xbf" + (WHOLE % "1").encode(), 200),
    "trailing text": ((WHOLE % "1").encode() + b"}", 400),
    "a text": (b'"{}"', 400),
    "null": (b"null", 400),
    "empty": (b"", 400),
    "a form": (b"project=7&tasks=", 400),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", 400),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("body", "status"), ODD_BODIES.values(), ids=ODD_BODIES)
def test_json_at_its_limits(client: FlaskClient, route: str, body: bytes, status: int) -> None:
    """What has no reading, or two, is refused; what is only strange, in a part that nobody reads, is not."""
    answer = client.post(route, data=fitting(route, body), content_type="application/json")
    assert (answer.status_code, well_refused(answer)) == (status, True)


def fitting(route: str, body: bytes) -> bytes:
    """The same with the project as the route wants it."""
    return body.replace(b'"project": 7', b'"project": {"id": 7}') if route == "/webhook" else body


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\x7f", "a/b; c"]
)
def test_other_content_types_are_refused(client: FlaskClient, route: str, kind: str | None) -> None:
    """Only what is declared as JSON is read: a web page's script cannot send that to another address unasked."""
    answer = client.post(route, data=(WHOLE % 1).encode(), content_type=kind)
    assert (answer.status_code, well_refused(answer)) == (415, True)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"])
def test_json_by_another_name_is_read(client: FlaskClient, kind: str) -> None:
    """Parameters, case and suffixes of the content type do not matter."""
    assert client.post("/setup", data=b'{"project": 7}', content_type=kind).status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_is_too_large_is_refused(settings: Settings, route: str) -> None:
    """More bytes than are allowed are not read."""
    small = Settings.model_validate(settings.model_dump() | {"max_request_bytes": 1000})
    client = create_app(Backend(small)).test_client()
    for size, status in ((900, 200), (1100, 413)):
        body = fitting(route, (WHOLE % 1).encode()).ljust(size)
        answer = client.post(route, data=body, content_type="application/json")
        assert (answer.status_code, well_refused(answer)) == (status, True)


methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "X"])
known = st.sampled_from([*ROUTES, "/", "/health", "/metrics", "/versions", "/clusters", "/openapi.json"])
parts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["..", "%00", "%2e%2e", "a" * 9000, ";", "\\"]
)
paths = (
    known
    | st.just("")
    | st.builds(lambda *found: "/" + "/".join(found), parts, parts)
    | known.map(lambda path: path + "/")
)
queries = st.dictionaries(st.text(max_size=8) | st.just("project"), st.text(max_size=20), max_size=3)


@pytest.mark.usefixtures("trained_project")
def test_any_method_path_and_query_is_answered(client: FlaskClient) -> None:
    """Unknown ways to ask are refused in JSON, with the allowed methods where only the method is wrong."""

    @steady(200)
    @given(methods, paths, queries)
    def ask(method: str, path: str, query: dict[str, str]) -> None:
        as_sent = {"PATH_INFO": path.encode().decode("latin-1")}
        answer = client.open("/", method=method, query_string=query, environ_overrides=as_sent)
        if method == "HEAD":
            assert answer.status_code < 500
        else:
            assert well_refused(answer)
        assert (answer.status_code != 405) or answer.headers["Allow"]

    ask()


@pytest.mark.server
def test_the_real_server_answers_as_described(
    serve_backend: "Callable[..., AbstractContextManager[RunningBackend]]",
) -> None:
    """Schemathesis finds no fault in our document and what gunicorn answers, whatever the credentials."""
    with serve_backend(ML_BACKEND_TOKEN="tok-en", workers=1) as backend:
        command = [sys.executable, "-m", "schemathesis.cli", "run", backend.url + "/openapi.json"]
        command += ["--header", "Authorization: Bearer tok-en", "--seed", "1", "--generation-deterministic"]
        command += ["--max-examples", "15", "--phases", "coverage,fuzzing"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in backend.log
        assert "uncaught_error" not in backend.log
