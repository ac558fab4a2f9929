import threading
from typing import Any

import pytest
from flask.testing import FlaskClient
from made_service import TOKEN, made_service

from consensus.serving.app import create_app
from consensus.store.store import Store

WAIT_S = 10.0


def caller(store: Store, **more: Any) -> FlaskClient:  # noqa: ANN401
    """Somebody with the token."""
    client = create_app(made_service(store, **more)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


def ended(client: FlaskClient, job: dict[str, Any]) -> dict[str, Any]:
    """The job, once it has ended."""
    pause = threading.Event()
    for _ in range(int(WAIT_S * 100)):
        now = client.get(f"/api/projects/{job['project']}/jobs/{job['id']}").json
        if now["finished_at"]:
            return dict(now)
        pause.wait(0.01)
    raise AssertionError("it did not end")


def test_reports_are_updated_in_the_background(store: Store) -> None:
    """The answer comes at once; what came of it can be asked for."""
    client = caller(store)
    answer = client.post("/api/projects/9/runs", json={"made_by": "a@example.com"})
    assert (answer.status_code, answer.json["kind"], answer.json["made_by"]) == (202, "run", "a@example.com")
    assert ended(client, answer.json)["result"] == {"votes": 9}
    assert [job["id"] for job in client.get("/api/projects/9/jobs").json["items"]] == [answer.json["id"]]
    assert client.get(f"/api/projects/7/jobs/{answer.json['id']}").status_code == 404


def test_a_repeated_request_is_done_once(store: Store) -> None:
    """With its key it gets the first answer; with another body it is refused; a key that is none as well."""
    runs: list[int] = []
    client = caller(store, run=lambda project: {"n": runs.append(project)})
    sent = {"json": {"made_by": "a@example.com"}, "headers": {"Idempotency-Key": "once"}}
    first, second = (client.post("/api/projects/9/runs", **sent) for _ in range(2))
    assert (first.json, second.status_code) == (second.json, 202)
    ended(client, first.json)
    assert client.post("/api/projects/9/runs", **sent).json == first.json
    assert runs == [9]
    other = client.post("/api/projects/9/runs", json={"made_by": "b@example.com"}, headers=sent["headers"])
    assert (other.status_code, "another body" in other.json["error"]) == (422, True)
    for key in ("", "x" * 201):
        answer = client.post("/api/projects/9/runs", json=sent["json"], headers={"Idempotency-Key": key})
        assert (answer.status_code, "1 to 200 characters" in answer.json["error"]) == (400, True)


def test_a_refused_request_may_be_repeated(store: Store) -> None:
    """A refusal is not remembered: what was wrong may be right now."""
    client = caller(store)
    sent = {"json": {"made_by": "a@example.com"}, "headers": {"Idempotency-Key": "again"}}
    for _ in range(2):
        assert client.post("/api/projects/7/batches/0123456789ab/undo", **sent).status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "made_by: Field required"),
        ({"made_by": ""}, "made_by: String should have at least 1"),
        ({"made_by": "a@example.com", "dryrun": True}, "dryrun: Extra inputs"),
    ],
)
def test_what_does_not_fit_is_named(store: Store, body: dict[str, object], message: str) -> None:
    """A member that is misspelt is no member."""
    answer = caller(store).post("/api/projects/7/runs", json=body)
    assert (answer.status_code, message in answer.json["error"]) == (400, True), answer.json


def test_a_form_is_no_request(store: Store) -> None:
    """A page of another site can send forms, but no JSON."""
    answer = caller(store).post("/api/projects/7/runs", data={"made_by": "a@example.com"})
    assert answer.status_code == 415
