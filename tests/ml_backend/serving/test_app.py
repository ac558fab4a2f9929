import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from structlog.testing import capture_logs

from common.label_studio.label_config import config_digest
from ml_backend.backend import Backend
from ml_backend.core.clusters import Placed
from ml_backend.predict.predict import predict
from ml_backend.serving.app import create_app
from ml_backend.serving.routes import SLOTS, TRAINING_ACTIONS
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import Samples, Web


def task(number: int, url: object) -> dict[str, Any]:
    """A task as Label Studio sends it."""
    return {"id": number, "data": {"image": url}, "meta": {}, "annotations": [], "predictions": [], "project": 7}


def ask(client: FlaskClient, config: str, *tasks: object, context: object = None) -> list[Any]:
    """The results for some tasks."""
    params = {"login": None, "password": None, "context": context}
    body = {"tasks": tasks, "project": "7.1795256176", "label_config": config, "params": params}
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200
    return answer.json["results"]


@pytest.mark.parametrize("route", ["/", "/health"])
def test_health_says_what_answers(client: FlaskClient, route: str) -> None:
    """The health page names the backbone and its weights before anything is loaded."""
    answer = client.get(route)
    assert answer.status_code == 200
    expected = {"status": "UP", "backbone": "resnet18", "weights": "random", "model_loaded": False}
    assert expected.items() <= answer.json.items()


def test_health_says_which_version_is_damaged(backend: Backend, client: FlaskClient, trained_project: int) -> None:
    """The version is told that should answer, and what does."""
    folder = backend.settings.data_dir / "projects" / str(trained_project)
    (folder / "current").write_bytes(b"\xff")
    told = client.get("/health").json["versions"]
    assert told.startswith("project 7: the file that names the version that answers is damaged")


def test_health_says_what_is_not_configured(tmp_path: Path) -> None:
    """Without address and key the backend is up, and says that it cannot ask Label Studio."""
    given = {"data_dir": tmp_path, "label_studio_url": "", "label_studio_api_key": ""}
    client = create_app(Backend(Settings.model_validate(given))).test_client()
    assert client.get("/health").json["label_studio"] == ("not configured: LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY")


@pytest.mark.usefixtures("trained_project")
def test_setup_names_the_version_that_predict_uses(client: FlaskClient, samples: "Samples") -> None:
    """Both routes agree, else Label Studio would ask for the same tasks for ever."""
    named = client.post("/setup", json={"project": "7.1795256176", "schema": "<View/>"}).json
    [made] = ask(client, samples.config, task(1, "http://x.example/black.png"))
    assert named == {"model_version": samples.version} == {"model_version": made["model_version"]}


def test_a_new_project_with_an_old_id_starts_anew(
    client: FlaskClient, backend: Backend, samples: "Samples", web: "Web"
) -> None:
    """After Label Studio was reset, the model of the project that had the id before does not answer."""
    web.pages["/black.png"] = samples.png("black")
    backend.registry.save(7, replace(samples.trained(), stamp="1795256176"))
    backend.registry.switch(7, samples.version)
    untrained = f"resnet18-random-untrained-{backend.instance}"
    for stamp, version in (("1795256176", samples.version), ("1795256177", untrained)):
        assert client.post("/setup", json={"project": f"7.{stamp}"}).json == {"model_version": version}
    body = {"tasks": [task(1, "http://x.example/black.png")], "project": "7.1795256177"}
    assert client.post("/predict", json=body | {"label_config": samples.config}).json == {"results": [[]]}
    assert web.seen == []


def test_setup_names_an_untrained_version_first(client: FlaskClient, backend: Backend) -> None:
    """A project that was never trained has a version too, by which the backend knows its connection again."""
    answer = client.post("/setup", json={"project": "8.1795256176"})
    assert answer.json == {"model_version": f"resnet18-random-untrained-{backend.instance}"}


def test_the_token_of_setup_is_not_used(client: FlaskClient, backend: Backend, web: "Web") -> None:
    """Anybody can post a token and an address to ``/setup``; nothing is sent there."""
    body = {"project": "7.1", "hostname": "http://evil.example", "access_token": "stolen"}
    assert client.post("/setup", json=body).status_code == 200
    assert backend.settings.label_studio_url == "http://label-studio.example"
    assert web.seen == []


@pytest.mark.usefixtures("trained_project")
def test_every_task_has_an_entry_in_order(client: FlaskClient, samples: "Samples") -> None:
    """Faulty tasks among good ones get an empty entry each, in their place."""
    results = ask(
        client,
        samples.config,
        task(1, "http://x.example/white.png"),
        task(2, "http://x.example/gone.png"),
        task(3, None),
        task(5, ["http://x.example/black.png"]),
        task(6, {"url": 1}),
        {"id": "x"},
        "no task",
        task(4, "http://x.example/black.png"),
    )
    choices = [entry and entry["result"][0]["value"]["choices"] for entry in results]
    assert choices == [["light"], [], [], [], [], [], [], ["dark"]]
    assert all(0.5 < results[place]["score"] <= 1 for place in (0, 7))


def test_without_a_model_nothing_is_guessed(client: FlaskClient, samples: "Samples") -> None:
    """A project that was never trained gets an empty entry a task."""
    assert ask(client, samples.config, task(1, "http://x.example/a.png"), task(2, None)) == [[], []]


@pytest.mark.usefixtures("trained_project")
def test_threads_stay_free_for_short_answers(backend: Backend, samples: "Samples") -> None:
    """A prediction too many gets an empty entry a task at once, so that short questions still have an answer."""
    app = create_app(Backend(backend.settings.model_copy(update={"threads": 4}), backend.connect))
    client, slots = app.test_client(), app.extensions[SLOTS]
    good = task(1, "http://x.example/black.png")
    for _ in range(3):
        assert slots.acquire(blocking=False)
    assert ask(client, samples.config, good, good) == [[], []]
    assert client.post("/setup", json={"project": "7.1"}).json == {"model_version": samples.version}
    slots.release()
    for _ in range(2):
        assert [bool(entry) for entry in ask(client, samples.config, good)] == [True]


@pytest.mark.usefixtures("trained_project")
def test_no_tasks_have_no_results(client: FlaskClient, samples: "Samples") -> None:
    """An empty request is answered emptily."""
    assert ask(client, samples.config) == []


@pytest.mark.usefixtures("trained_project")
def test_a_drawing_annotator_gets_the_same_suggestion(client: FlaskClient, samples: "Samples") -> None:
    """An interactive context is not used, and disturbs nothing."""
    one = task(1, "http://x.example/black.png")
    context = {"result": [{"type": "keypointlabels"}]}
    assert ask(client, samples.config, one, context=context) == ask(client, samples.config, one)


@pytest.mark.usefixtures("trained_project")
def test_a_label_that_was_removed_is_not_suggested(client: FlaskClient, samples: "Samples") -> None:
    """After the config has grey in place of dark, a dark image gets no suggestion, nor the next best label."""
    config = samples.config.replace('<Choice value="dark"/>', '<Choice value="grey"/>')
    assert ask(client, config, task(1, "http://x.example/black.png")) == [[]]


@pytest.mark.parametrize("action", sorted(TRAINING_ACTIONS))
def test_annotations_ask_for_a_training(client: FlaskClient, backend: Backend, action: str) -> None:
    """Every event that changes annotations, singular or plural, asks for one training."""
    answer = client.post("/webhook", json={"action": action, "project": {"id": 7, "label_config": "<View/>"}})
    assert (answer.status_code, answer.json) == (200, {"status": "training requested"})
    assert backend.requests.due(1e12) == [7]


@pytest.mark.parametrize("action", ["PROJECT_CREATED", "SOMETHING_NEW"])
def test_other_events_are_ignored(client: FlaskClient, backend: Backend, action: str) -> None:
    """Events that we do not need, known or not, are accepted and start nothing."""
    answer = client.post("/webhook", json={"action": action, "project": {"id": 7}})
    assert (answer.status_code, answer.json) == (200, {"status": "ignored"})
    assert backend.requests.due(1e12) == []


@pytest.mark.usefixtures("trained_project")
def test_only_another_config_makes_an_update_train(
    client: FlaskClient, backend: Backend, samples: "Samples"
) -> None:
    """Our own change of the project's version is an update as well, and must not train in a circle."""
    for config, expected in ((samples.config, []), (samples.config + " ", [7])):
        client.post("/webhook", json={"action": "PROJECT_UPDATED", "project": {"id": 7, "label_config": config}})
        assert backend.requests.due(1e12) == expected


@pytest.mark.usefixtures("trained_project")
def test_versions_are_listed(client: FlaskClient, backend: Backend, samples: "Samples") -> None:
    """Label Studio asks without naming a project; a person may name one."""
    newer = "resnet18-random-20260201T120000-00aa"
    backend.registry.save(8, replace(samples.trained(), model_version=newer))
    backend.registry.switch(8, newer)
    assert client.get("/versions").json["versions"] == [newer, samples.version]
    assert client.get("/versions?project=7").json["versions"] == [samples.version]


def test_clusters_name_their_tasks(
    client: FlaskClient, backend: Backend, samples: "Samples", web: "Web", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the version that answers, or of another; of a large project some; and nothing is fetched for it."""
    older = replace(samples.trained(), stamp="1795256176")
    newer = replace(older, model_version="resnet18-random-20260201T120000-00aa")
    for artifact in (older, newer):
        backend.registry.save(7, artifact)
        backend.registry.switch(7, artifact.model_version)
    tasks, clusters = np.array([4, 2, 7, 9]), np.array([0, 0, 0, 2])
    backend.registry.keep_clusters(7, older.model_version, Placed(tasks, clusters, without=3))
    answer = client.get("/clusters?project=7.1795256176&version=" + older.model_version)
    listed = [{"cluster": 0, "size": 3, "tasks": [4, 2, 7]}, {"cluster": 2, "size": 1, "tasks": [9]}]
    assert answer.json == {"model_version": samples.version, "every": 1, "without": 3, "clusters": listed}
    monkeypatch.setattr("ml_backend.serving.routes.CLUSTERED_TASKS", 2)
    thinned = client.get("/clusters?project=7&version=" + older.model_version).json
    assert (thinned["every"], thinned["clusters"][0]) == (2, {"cluster": 0, "size": 3, "tasks": [4, 7]})
    answer = client.get("/clusters?project=7")
    assert (answer.status_code, "train once more" in answer.json["error"]) == (404, True)
    assert web.seen == []


def test_clusters_before_the_first_training_are_refused(client: FlaskClient, backend: Backend) -> None:
    """With what helps: the version that `/setup` names then has none."""
    answer = client.get(f"/clusters?project=7&version=resnet18-random-untrained-{backend.instance}")
    assert (answer.status_code, "no version yet: annotate" in answer.json["error"]) == (404, True)


@pytest.mark.parametrize(
    "query", ["project=8", "project=7.1795256177", "project=7&version=../../x", "project=7&version=x"]
)
def test_clusters_of_what_is_not_here_are_refused(
    client: FlaskClient, backend: Backend, samples: "Samples", query: str
) -> None:
    """Of another project, of one that had the id before, of a version that was not trained here."""
    backend.registry.save(7, replace(samples.trained(), stamp="1795256176"))
    backend.registry.switch(7, samples.version)
    backend.registry.keep_clusters(7, samples.version, Placed(np.array([4]), np.array([0]), without=0))
    answer = client.get(f"/clusters?{query}")
    assert (answer.status_code, set(answer.json)) == (404, {"error"})


@pytest.mark.parametrize("route", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize("body", ["", "{", "[]", "3", '{"project": "x", "tasks": 3, "action": null}'])
def test_a_wrong_body_is_answered_in_json(client: FlaskClient, route: str, body: str) -> None:
    """What cannot be read is a 400 that says what is wrong."""
    answer = client.post(route, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    "number", [0, -7, 10**300, 2**63, "9" * 300, True, -7.5, "007", "7 ", "+7", "7.x", "", None, [7]]
)
def test_a_project_that_cannot_be_is_refused(client: FlaskClient, number: object) -> None:
    """No folder is named after a number that is no project's id."""
    event = {"action": "START_TRAINING", "project": {"id": number}}
    predict = {"project": number or -1, "tasks": []}  # a prediction may name none
    for answer in (
        client.post("/setup", json={"project": number}),
        client.post("/predict", json=predict),
        client.post("/webhook", json=event),
        client.get(f"/versions?project={number}"),
        client.get(f"/clusters?project={number}"),
    ):
        assert (answer.status_code, set(answer.json)) == (400, {"error"})


def test_too_many_tasks_are_refused(client: FlaskClient) -> None:
    """More tasks than the setting allows are refused, with its name, before an entry is made for each."""
    assert client.post("/predict", json={"project": 7, "tasks": [[]] * 20_000}).status_code == 200
    answer = client.post("/predict", json={"project": 7, "tasks": [[]] * 20_001})
    assert (answer.status_code, set(answer.json)) == (413, {"error"})
    assert "20,001 tasks in one request, and at most 20,000 (ML_BACKEND_MAX_TASKS)" in answer.json["error"]


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'""', b'{"a": [0]}', b'"a, b, [c"'])
def test_more_values_than_there_is_room_for_are_never_made(settings: Settings, value: bytes) -> None:
    """A body of brackets is refused before it is objects of a hundred times its size."""
    client = create_app(Backend(settings.model_copy(update={"max_tasks": 1000}))).test_client()
    body = b'{"project": "7", "tasks": [' + b",".join([value] * 300_000) + b"]}"
    for route in ("/predict", "/setup", "/webhook"):
        tracemalloc.start()
        answer = client.post(route, data=body, content_type="application/json")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (answer.status_code, set(answer.json)) == (413, {"error"})
        assert peak < 3 * len(body) + 1_000_000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_only_what_is_counted_is_read(client: FlaskClient, encoding: str) -> None:
    """In another encoding a letter can look like a quotation mark, and hide all that follows from the count."""
    body = '{"project": "7", "webhook": ["\u0122", [], []], "tasks": [[]]}'
    for encoded in (body.encode(encoding), b"\xff" + body.encode()):
        answer = client.post("/predict", data=encoded, content_type="application/json")
        assert (answer.status_code, answer.json["error"][:21]) == (400, "Bad Request: the body")
    assert (
        client.post("/predict", data=body.encode("utf-8-sig"), content_type="application/json").status_code == 200
    )


def test_signs_inside_of_texts_are_no_values(client: FlaskClient) -> None:
    """A text of three million commas, with escaped quotation marks around some, is one value."""
    note = '\\",[{' * 750_000
    task_of_text = {"id": 1, "data": {"image": "x", "note": note}}
    assert client.post("/predict", json={"project": 7, "tasks": [task_of_text]}).json == {"results": [[]]}
    cut_off = json.dumps({"project": 7, "tasks": [task_of_text]})[:-300]
    answer = client.post("/predict", data=cut_off, content_type="application/json")
    assert (answer.status_code, answer.json["error"]) == (400, "Bad Request: the body is not JSON")


@pytest.mark.usefixtures("trained_project")
def test_a_prediction_without_a_project_is_for_the_one_that_fits(
    client: FlaskClient, backend: Backend, samples: "Samples"
) -> None:
    """As label-studio-ml's own tests ask: by the tasks, else the config, else by what can be chosen."""
    good = task(1, "http://x.example/black.png")
    unnamed = {key: value for key, value in good.items() if key != "project"}

    def suggested(config: str, *tasks: object, **more: object) -> list[bool]:
        answer = client.post("/predict", json={"tasks": tasks, "label_config": config, **more})
        assert answer.status_code == 200, answer.json
        return [bool(entry) for entry in answer.json["results"]]

    other_spelling = samples.config.replace("<View>", "<View >")
    assert suggested(samples.config, good) == suggested(samples.config, unnamed, unnamed)[:1] == [True]
    assert suggested(other_spelling, unnamed) == suggested(samples.config, unnamed, project=None) == [True]
    assert suggested(samples.config, unnamed, project="") == [True]
    backend.registry.save(8, replace(samples.trained(), label_config=config_digest(other_spelling)))
    backend.registry.switch(8, samples.version)
    assert suggested(samples.config, unnamed) == [True]
    for config, named in (("<View></View>", "no trained project"), (samples.config + " ", "projects (7, 8)")):
        answer = client.post("/predict", json={"tasks": [unnamed], "label_config": config})
        assert answer.status_code == 400
        assert 'name the project, as in "project": "7"' in answer.json["error"]
        assert named in answer.json["error"]


def test_without_any_trained_project_no_project_is_needed(client: FlaskClient, samples: "Samples") -> None:
    """There is nothing to suggest in any."""
    body = {"tasks": [{"id": 1, "data": {"image": "x"}}], "label_config": samples.config}
    assert client.post("/predict", json=body).json == {"results": [[]]}


@pytest.mark.parametrize(("method", "route", "status"), [("GET", "/nope", 404), ("GET", "/predict", 405)])
def test_a_wrong_route_is_answered_in_json(client: FlaskClient, method: str, route: str, status: int) -> None:
    """Unknown routes and methods are JSON too."""
    answer = client.open(route, method=method)
    assert (answer.status_code, set(answer.json)) == (status, {"error"})


def test_an_internal_error_shows_no_traceback(
    client: FlaskClient, backend: Backend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault of ours is a 500 that tells the caller nothing and the log no secret."""

    def broken(*_: object) -> None:
        raise RuntimeError("secret-key in a message")

    monkeypatch.setattr(backend.registry, "current_version", broken)
    answer = client.post("/setup", json={"project": "7.1"})
    assert (answer.status_code, answer.json) == (500, {"error": "internal error: see the backend's log"})
    printed = "".join(capsys.readouterr())
    assert "RuntimeError" in printed
    assert "secret-key" not in printed
    assert "Traceback" not in printed


@pytest.mark.usefixtures("trained_project")
def test_failures_are_counted_by_reason(client: FlaskClient, samples: "Samples") -> None:
    """The metrics page shows how many tasks were left out and why, and how often each route answered."""

    def count(line: str) -> float:
        lines = [row for row in client.get("/metrics").text.splitlines() if row.startswith(line + " ")]
        return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0

    missing = 'ml_backend_task_failures_total{reason="missing"}'
    answered = 'ml_backend_requests_total{route="/predict",status="200"}'
    before = count(missing), count(answered)
    ask(client, samples.config, task(1, "http://x.example/gone.png"), task(2, "http://x.example/gone2.png"))
    assert (count(missing), count(answered)) == (before[0] + 2, before[1] + 1)


@pytest.mark.usefixtures("trained_project")
def test_a_missing_one_of_two_images_is_said(backend: Backend, samples: "Samples") -> None:
    """A task with a second, broken image has its suggestion, and the reason for the other one is kept."""
    artifact = backend.registry.current(7)
    second = replace(samples.kind, name="other", image_key="second")
    scores = replace(artifact.model.controls[0], control=second)
    both = replace(artifact.model, controls=(*artifact.model.controls, scores))
    data = {"image": "http://x.example/black.png", "second": "http://x.example/gone.png"}
    with capture_logs() as lines:
        done = predict(
            [{"id": 1, "data": data}],
            artifact=replace(artifact, model=both),
            controls=[samples.kind, second],
            gatherer=backend.gatherer,
            backbones=backend.backbones,
            deadline_s=5,
            model_wait_s=1,
        )
    assert [region["from_name"] for region in done.entries[0]["result"]] == ["kind"]
    assert (done.reasons, done.partial) == ({}, {0: "missing"})
    assert [(line["event"], line["reason"]) for line in lines] == [("images_left_out", "missing")]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.sampled_from(["/setup", "/predict", "/webhook"]),
    st.fixed_dictionaries(
        {},
        optional={
            "project": plain | st.just("7.1") | st.fixed_dictionaries({"id": plain}),
            "tasks": plain | st.lists(st.fixed_dictionaries({"id": plain, "data": plain}), max_size=3),
            "label_config": plain,
            "action": plain | st.just("ANNOTATION_CREATED"),
        },
    ),
)
@pytest.mark.usefixtures("trained_project")
def test_no_body_breaks_a_route(client: FlaskClient, route: str, body: dict[str, Any]) -> None:
    """Whatever JSON is posted, the answer is 200 or a 400 with an error; as many results as tasks."""
    answer = client.post(route, data=json.dumps(body), content_type="application/json")
    assert answer.status_code in (200, 400)
    if route == "/predict" and answer.status_code == 200:
        assert len(answer.json["results"]) == len(body["tasks"])


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(plain, max_size=3))
@pytest.mark.usefixtures("trained_project")
def test_whatever_a_task_holds_costs_nobody_else(client: FlaskClient, samples: "Samples", held: list[Any]) -> None:
    """Tasks whose data holds anything where the image should be leave the good task its suggestion."""
    good = task(1, "http://x.example/black.png")
    results = ask(client, samples.config, *(task(2 + row, url) for row, url in enumerate(held)), good)
    assert results[:-1] == [[]] * len(held)
    assert results[-1]["result"][0]["value"]["choices"] == ["dark"]
