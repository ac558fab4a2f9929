import base64

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from common.errors import SettingsError
from ml_backend.backend import Backend
from ml_backend.serving.app import create_app
from ml_backend.serving.auth import largest_request, webhook_headers
from ml_backend.serving.serve import hint_at_names, warn_of_access
from ml_backend.settings import Settings, read_settings

ROUTES = [
    ("GET", "/metrics"),
    ("GET", "/versions"),
    ("GET", "/clusters?project=7"),
    ("GET", "/openapi.json"),
    ("GET", "/nope"),
    ("POST", "/setup"),
    ("POST", "/predict"),
    ("POST", "/webhook"),
    ("OPTIONS", "/predict"),
]


def basic(pair: str, encoding: str = "utf-8") -> str:
    """The header value of an account and its password."""
    return "Basic " + base64.b64encode(pair.encode(encoding)).decode()


ACCOUNT, TOKEN = basic("ls:päss:word"), "Bearer tok-en"


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """Someone who calls a backend that asks for credentials."""
    given = {"basic_user": "ls", "basic_password": "päss:word", "token": "tok-en"}
    return guarded(settings, **given)


def guarded(settings: Settings, **given: str) -> FlaskClient:
    """A backend with these credentials."""
    return create_app(Backend(Settings.model_validate(settings.model_dump() | given))).test_client()


def status(client: FlaskClient, method: str, route: str, authorization: str | None) -> int:
    """What is answered to a request with a header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    return client.open(route, method=method, headers=headers).status_code


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_every_route_wants_credentials(client: FlaskClient, method: str, route: str) -> None:
    """Without credentials, or with wrong ones, a route says nothing, not even whether it exists."""
    for wrong in (None, "Bearer x", basic("ls:x")):
        assert status(client, method, route, wrong) == 401
    for right in (ACCOUNT, TOKEN):
        assert status(client, method, route, right) != 401


@pytest.mark.parametrize("route", ["/", "/health"])
def test_health_says_only_that_it_is_up(client: FlaskClient, route: str) -> None:
    """Who has no credentials learns that the backend is up, who has them the rest, and wrong ones are refused."""
    assert client.get(route).json == {"status": "UP"}
    assert client.get(route, headers={"Authorization": TOKEN}).json["backbone"] == "resnet18"
    assert client.get(route, headers={"Authorization": basic("ls:wrong")}).status_code == 401


def test_a_refusal_names_what_is_accepted(client: FlaskClient) -> None:
    """A 401 is JSON and carries a challenge for each scheme."""
    answer = client.get("/versions")
    assert set(answer.json) == {"error"}
    challenges = ", ".join(answer.headers.getlist("WWW-Authenticate"))
    assert 'Basic realm="ML backend"' in challenges
    assert 'Bearer realm="ML backend"' in challenges


@pytest.mark.parametrize(
    "authorization",
    [
        basic("ls:päss:word", "latin-1"),  # as the library that Label Studio calls with sends it
        "basic " + ACCOUNT.removeprefix("Basic "),
        "BEARER tok-en",
        "Bearer   tok-en ",
    ],
)
def test_the_same_credentials_may_look_different(client: FlaskClient, authorization: str) -> None:
    """The scheme's case, blanks and the password's encoding do not matter."""
    assert status(client, "GET", "/versions", authorization) == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer tok-en2",
        "Bearer tok-e",
        "Bearer TOK-EN",
        "Token tok-en",
        "tok-en",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic tok-en",
        basic("ls:"),
        basic(":päss:word"),
        basic("LS:päss:word"),
        "Bearer " + ACCOUNT.removeprefix("Basic "),
        f"{TOKEN}, {TOKEN}",
        "Bearer tök-en",
    ],
)
def test_anything_else_is_wrong(client: FlaskClient, authorization: str) -> None:
    """Parts, other cases, other schemes and broken headers open nothing."""
    assert status(client, "GET", "/versions", authorization) == 401


def test_a_password_that_latin_1_lacks_matches_no_question_marks(settings: Settings) -> None:
    """Characters that an encoding cannot hold are not compared as something else."""
    client = guarded(settings, basic_user="ls", basic_password="ключ")
    assert status(client, "GET", "/versions", basic("ls:????")) == 401
    assert status(client, "GET", "/versions", basic("ls:ключ")) == 200


def test_one_scheme_does_not_open_the_other(settings: Settings) -> None:
    """Where only a token is set, no account is accepted, an empty one neither."""
    client = guarded(settings, token="tok-en")
    assert status(client, "GET", "/versions", TOKEN) == 200
    for wrong in (basic(":"), basic("ls:tok-en"), ACCOUNT):
        assert status(client, "GET", "/versions", wrong) == 401
    assert client.get("/versions").headers.getlist("WWW-Authenticate") == ['Bearer realm="ML backend"']


def test_without_settings_everybody_may_call(settings: Settings) -> None:
    """Empty settings ask for nothing, and credentials that are sent all the same do no harm."""
    client = guarded(settings)
    assert status(client, "GET", "/versions", None) == 200
    assert status(client, "GET", "/versions", ACCOUNT) == 200
    assert client.get("/health").json["backbone"] == "resnet18"


@pytest.mark.parametrize(
    ("given", "authorization"),
    [
        ({}, None),
        ({"token": "tok-en"}, TOKEN),
        ({"basic_user": "ls", "basic_password": "päss:word"}, ACCOUNT),
        ({"basic_user": "ls", "basic_password": "päss:word", "token": "tok-en"}, TOKEN),
    ],
)
def test_a_webhook_with_our_headers_is_let_in(
    settings: Settings, given: dict[str, str], authorization: str | None
) -> None:
    """The headers that a webhook of Label Studio gets open its route, whichever credentials are set."""
    changed = Settings.model_validate(settings.model_dump() | given)
    headers = webhook_headers(changed)
    assert headers.get("Authorization") == authorization
    answer = guarded(settings, **given).post("/webhook", json={"action": "X"}, headers=headers)
    assert (answer.status_code, answer.json) == (200, {"status": "ignored"})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"basic_user": "ls"}, "ML_BACKEND_BASIC_PASSWORD is not"),
        ({"basic_password": "secret-one"}, "ML_BACKEND_BASIC_USER is not"),
        ({"basic_user": "l:s", "basic_password": "secret-one"}, "BASIC_USER"),
        ({"basic_user": "ls", "basic_password": "secret\x00one"}, "BASIC_PASSWORD"),
        ({"token": "secret one"}, "TOKEN"),
        ({"token": "secrét-one"}, "TOKEN"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused(given: dict[str, str], named: str) -> None:
    """Half an account, or a secret that no header can carry, is an error at the start that does not show it."""
    with pytest.raises(SettingsError, match=named) as wrong:
        read_settings(**given)
    assert "secret" not in str(wrong.value)
    assert "secrét" not in str(wrong.value)


def test_credentials_are_not_shown(settings: Settings) -> None:
    """Printed settings hide them; a secret from a file loses its line break."""
    given = {"basic_user": "ls", "basic_password": "secret-one", "token": "secret-two\n"}
    made = Settings.model_validate(settings.model_dump() | given)
    assert "secret-" not in repr(made)
    assert made.token.get_secret_value() == "secret-two"


@pytest.mark.parametrize(
    ("given", "events"),
    [
        ({"host": "127.0.0.1"}, []),
        ({"host": "::1"}, []),
        ({"host": "localhost"}, []),
        ({"host": "0.0.0.0"}, ["everybody_may_call"]),
        ({"host": "ml-backend.internal"}, ["everybody_may_call"]),
        ({"host": "0.0.0.0", "basic_user": "ls", "basic_password": "secret-one"}, []),
        ({"host": "0.0.0.0", "token": "secret-two"}, ["label_studio_cannot_log_in"]),
    ],
)
def test_what_is_probably_not_meant_is_said_once(
    settings: Settings, given: dict[str, str], events: list[str]
) -> None:
    """Serving to others without credentials, or with a token alone, which Label Studio cannot send, warns."""
    with capture_logs() as lines:
        warn_of_access(Settings.model_validate(settings.model_dump() | given))
    assert [line["event"] for line in lines] == events
    assert "secret-" not in str(lines)


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_a_web_page_cannot_call_under_a_name_of_its_own(settings: Settings, method: str, route: str) -> None:
    """Where everybody may call, a public name that nobody has set is refused, with the setting's name."""
    client = guarded(settings, public_url="http://ml.example.org:9090")
    for host in ("evil.example", "10.0.0.1.evil.example:9090", "ml.example.org.evil.example"):
        answer = client.open(route, method=method, headers={"Host": host})
        assert answer.status_code == 421
        assert "ML_BACKEND_ALLOWED_HOSTS" in answer.json["error"]
    for host in ("ml.example.org:9090", "ML.Example.org", "127.0.0.1:9090", "[::1]:9090", "ml-backend.internal"):
        assert client.open(route, method=method, headers={"Host": host}).status_code != 421


def test_names_are_set_and_credentials_go_without(settings: Settings) -> None:
    """A name in the setting is answered; where credentials are asked for, any name is, unless names are set."""
    host, account = {"Host": "ml.example.net"}, {"ML_BACKEND_ALLOWED_HOSTS": "*.example.net"}
    assert guarded(settings, **account).get("/versions", headers=host).status_code == 200
    token = {"token": "tok-en"}
    assert guarded(settings, **token).get("/versions", headers=host | {"Authorization": TOKEN}).status_code == 200
    named = guarded(settings, served_hosts="ml.example.org", **token)
    assert named.get("/versions", headers=host | {"Authorization": TOKEN}).status_code == 421


def test_health_checks_need_no_name(settings: Settings) -> None:
    """What watches the backend may know it by any name, and so may a web page, which learns no more than that."""
    for route in ("/", "/health"):
        answer = guarded(settings).get(route, headers={"Host": "status.example.com"})
        assert (answer.status_code, answer.json) == (200, {"status": "UP"})


def test_what_label_studio_ml_calls_its_credentials_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that was set for that server lets nobody in without it here; our own names go first."""
    monkeypatch.setenv("BASIC_AUTH_USER", "theirs")
    monkeypatch.setenv("BASIC_AUTH_PASS", "pass")
    settings = read_settings()
    assert (settings.basic_user, settings.basic_password.get_secret_value()) == ("theirs", "pass")
    monkeypatch.setenv("ML_BACKEND_BASIC_USER", "ours")
    assert read_settings().basic_user == "ours"
    monkeypatch.delenv("BASIC_AUTH_PASS")
    with pytest.raises(SettingsError, match="ML_BACKEND_BASIC_USER is set and ML_BACKEND_BASIC_PASSWORD is not"):
        read_settings()


def test_other_settings_of_label_studio_ml_are_named_with_ours() -> None:
    """Those without an effect, unless ours is set too."""
    with capture_logs() as lines:
        hint_at_names(
            {"WORKERS": "4", "LOG_LEVEL": "DEBUG", "PORT": "9090", "ML_BACKEND_PORT": "9090", "PATH": "/"}
        )
    assert [(line["name"], line["remedy"].split(":")[0]) for line in lines] == [
        ("WORKERS", "set ML_BACKEND_WORKERS"),
        ("LOG_LEVEL", "the log is as it is"),
    ]


@pytest.mark.parametrize(
    ("given", "megabytes"),
    [
        ({"host": "0.0.0.0"}, 50),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "0.0.0.0", "token": "a-long-token-0123456789"}, 200),
        ({"host": "0.0.0.0", "max_request_bytes": 120_000_000}, 120),
    ],
)
def test_strangers_send_less(given: dict[str, object], megabytes: int) -> None:
    """Where everybody may call from other machines, a body without credentials is read up to 50 MB, unless set."""
    settings = Settings.model_validate(given)
    assert largest_request(settings) == megabytes * 1_000_000
    assert create_app(Backend(settings)).config["MAX_CONTENT_LENGTH"] == megabytes * 1_000_000
