import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from made_service import TOKEN, made_service
from made_store import MOMENT
from structlog.testing import capture_logs

from consensus.errors import ConfigError
from consensus.serving.app import create_app
from consensus.serving.serve import token_for
from consensus.serving.service import MAX_BYTES
from consensus.store.store import Store


def served(app: Flask) -> set[str]:
    """The routes, as method and rule."""
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def described(client: FlaskClient) -> dict[str, Any]:
    """The document."""
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json)


def test_every_route_wants_the_token(app: Flask) -> None:
    """Whatever its method, and whether it exists; of the health page the bare status is for all."""
    client = app.test_client()
    for route in (*served(app), "GET /nothing"):
        method, _, rule = route.partition(" ")
        path = re.sub(r"<(int:)?(\w+)>", "7", rule)
        for header in ({}, {"Authorization": "Bearer another-token-here"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = client.open(path, method=method, headers=header)
            if rule == "/health" and not header:
                assert answer.json == {"status": "UP"}
            else:
                assert answer.status_code == 401, route
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                assert answer.json.keys() == {"error"}


def test_what_stands_in_a_webhook_opens_the_webhook_alone(store: Store) -> None:
    """Every member of Label Studio can read it there; any other token is refused as before."""
    app = create_app(replace(made_service(store), webhook_token="a-token-in-a-webhook"))
    client = app.test_client()
    for route in served(app):
        method, _, rule = route.partition(" ")
        path = re.sub(r"<(int:)?(\w+)>", "7", rule)
        asked = {"json": {"action": "NOTHING"}} if method == "POST" else {}
        shown = {"Authorization": "Bearer a-token-in-a-webhook"}
        answer = client.open(path, method=method, headers=shown, **asked)
        assert answer.status_code == (200 if rule == "/webhook" else 401), route
    for wrong in ({}, {"Authorization": "Bearer another-token-here"}):
        assert client.post("/webhook", json={"action": "NOTHING"}, headers=wrong).status_code == 401


def test_the_token_is_in_no_log_and_no_answer(app: Flask) -> None:
    """Neither a right nor a wrong one, nor a fault of ours, repeats it."""
    client = app.test_client()
    app.view_functions["about.metrics"] = lambda: 1 / 0
    with capture_logs() as logs:
        answers = [
            client.get(path, headers={"Authorization": f"Bearer {token}"})
            for path in ("/metrics", "/openapi.json", "/api/projects/7")
            for token in (TOKEN, "wrong-token-of-a-guest")
        ]
    assert [answer.status_code for answer in answers] == [500, 401, 200, 401, 200, 401]
    assert "see the log of consensus serve" in answers[0].json["error"]
    assert not re.search("a-token-of|wrong-token", json.dumps(logs) + "".join(answer.text for answer in answers))


def test_without_a_token_only_this_machine_is_answered(store: Store) -> None:
    """A web page that reaches us under a name of its own is refused."""
    client = create_app(made_service(store, token="")).test_client()
    statuses = {
        host: client.get("/health", headers={"Host": host}).status_code
        for host in ("localhost:9091", "127.0.0.1", "[::1]:9091", "evil.example.org", "10.0.0.1:9091")
    }
    assert statuses == {
        "localhost:9091": 200, "127.0.0.1": 200, "[::1]:9091": 200, "evil.example.org": 421, "10.0.0.1:9091": 421,
    }  # fmt: skip
    assert "securitySchemes" in described(client)["components"]


@pytest.mark.parametrize(
    ("host", "token", "without", "message"),
    [
        ("127.0.0.1", "", False, "CONSENSUS_API_TOKEN is not set"),
        ("0.0.0.0", "", True, "an address that this machine alone reaches"),
        ("0.0.0.0", "short", False, "has 5 characters; take at least 16"),
    ],
)
def test_it_does_not_start_where_anybody_could_call(host: str, token: str, *, without: bool, message: str) -> None:
    """Each refusal says what to do."""
    with pytest.raises(ConfigError, match=message):
        token_for(host, token, without=without)


def test_it_starts_with_a_token_or_for_this_machine() -> None:
    """Without one only where nobody else reaches it, and by an option."""
    assert token_for("0.0.0.0", TOKEN, without=False) == TOKEN
    assert token_for("::1", "", without=True) == ""


def test_a_store_without_tables_is_said_and_found_later(store: Store, tmp_path: Path) -> None:
    """The service may begin before the first run has made them."""
    url = f"sqlite:///{tmp_path}/later.db"
    client = create_app(replace(made_service(store), opened=lambda: Store(url))).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    assert "has no tables yet" in client.get("/health").json["store"]
    answer = client.get("/api/projects/7")
    assert (answer.status_code, "has no tables yet" in answer.json["error"]) == (503, True)
    Store.migrated(url)
    assert client.get("/health").json["store"] == "answers"
    assert client.get("/api/projects/7").status_code == 404


def test_the_document_lists_what_is_served(app: Flask, client: FlaskClient) -> None:
    """Each operation once, with a sentence, its parameters and how it refuses."""
    document = described(client)
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {re.sub(r"<(?:int:)?(\w+)>", r"{\1}", route) for route in served(app)}
    names = [operation["operationId"] for operation in operations.values()]
    assert sorted(set(names)) == sorted(names)
    assert all(operation["summary"].endswith(".") for operation in operations.values())
    assert all("401" in operation["responses"] for operation in operations.values())
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named <= set(document["components"]["schemas"])
    page = operations["GET /api/projects/{project}/classifications"]
    assert {parameter["name"] for parameter in page["parameters"]} >= {
        "project",
        "after",
        "limit",
        "min_confidence",
    }


def test_large_bodies_are_refused_unread(client: FlaskClient) -> None:
    """By their length alone."""
    assert client.post("/metrics", data=b"x").status_code == 405
    assert MAX_BYTES == 64 << 20


def test_requests_are_counted_by_route(client: FlaskClient) -> None:
    """Not by address: the page grows with the routes alone."""
    client.get("/api/projects/7/labels")
    client.get("/no/such/place")
    lines = client.get("/metrics").text.splitlines()
    counted = {line.rpartition(" ")[0] for line in lines if line.startswith("consensus_requests_total")}
    assert 'consensus_requests_total{route="/api/projects/<int:project>/labels",status="200"}' in counted
    assert 'consensus_requests_total{route="other",status="404"}' in counted


def test_the_metrics_say_how_old_the_reports_are(client: FlaskClient, store: Store, tmp_path: Path) -> None:
    """And what waits for review; of a store that cannot be read, only that."""
    entries = [{"task": task, "control": "kind", "priority": 0.5, "detail": {}} for task in (1, 2)]
    store.decisions.enter(7, "pending", entries, MOMENT)
    lines = client.get("/metrics").text.splitlines()
    assert "consensus_store_up 1.0" in lines
    (began,) = (line for line in lines if line.startswith('consensus_last_run_timestamp_seconds{project="7"}'))
    assert float(began.split()[-1]) == MOMENT.timestamp()
    assert 'consensus_last_run_finished{project="7"} 0.0' in lines
    assert 'consensus_review_waiting{project="7",queue="pending"} 2.0' in lines
    away = replace(made_service(store), opened=lambda: Store(f"sqlite:///{tmp_path}/away.db"))
    asked = create_app(away).test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert "consensus_store_up 0.0" in asked.text.splitlines()
