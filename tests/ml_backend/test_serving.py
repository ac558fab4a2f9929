"""The backend as a program: gunicorn with two workers, alone and connected to a real Label Studio."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from administrator import Administrator, file_name
from PIL import Image, ImageDraw
from running_backend import RunningBackend, answers, eventually, running

from ml_backend.model_registry import ModelRegistry

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples

pytestmark = pytest.mark.server

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices>
<Choices name="traits" toName="image" choice="multiple"><Choice value="striped"/><Choice value="bright"/></Choices>
<TextArea name="note" toName="image"/></View>"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    """Two workers that train nothing, for all tests that leave them as they were."""
    with running(tmp_path_factory.mktemp("pair"), ML_BACKEND_QUIET_S="3600") as backend:
        yield backend


def test_two_workers_answer_every_route(pair: RunningBackend) -> None:
    """All routes answer from the first moment on, both workers count into one page, and the log holds no token."""
    with httpx.Client(base_url=pair.url, timeout=30) as client:
        assert client.get("/").json()["status"] == "UP"
        setup = {"project": "7.1", "schema": "<View/>", "access_token": "stolen-token"}
        version = client.post("/setup", json=setup).json()["model_version"]
        assert version.startswith("resnet18-random-untrained-")
        tasks = [{"id": number, "data": {"image": "http://127.0.0.1:9/a.png"}} for number in range(3)]
        predict = {"tasks": tasks, "project": "7.1", "label_config": CONFIG}
        assert client.post("/predict", json=predict).json() == {"results": [[], [], []]}
        assert client.post("/webhook", json={"action": "TASKS_CREATED"}).json() == {"status": "ignored"}
        assert client.get("/versions").json()["versions"] == []
        assert client.post("/predict", content=b"{").status_code == 415
        for _ in range(20):
            httpx.get(pair.url + "/health")
        assert 'ml_backend_requests_total{route="/setup",status="200"} 1.0' in client.get("/metrics").text
        assert eventually(lambda: client.get("/health").json()["model_loaded"], 60)
    assert "stolen-token" not in pair.log
    assert "Traceback" not in pair.log
    assert all(json.loads(line)["event"] for line in pair.log.splitlines())


def test_all_workers_name_a_new_version_at_once(pair: RunningBackend, samples: "Samples") -> None:
    """After a training, and after going back, no worker names the version before, on whatever connection."""
    registry = ModelRegistry(pair.log_file.parent / "backend")
    newer = "resnet18-random-20260201T120000-00aa"
    for version in (samples.version, newer):
        registry.save(8, replace(samples.trained(), model_version=version))
    with httpx.Client(timeout=30) as connection:
        for version in (samples.version, newer, samples.version):
            registry.switch(8, version)
            named = [
                client.post(pair.url + "/setup", json={"project": "8.1"}).json()["model_version"]
                for client in [connection] * 3 + [httpx] * 8
            ]
            assert set(named) == {version}


def test_a_training_without_a_key_fails_and_serving_goes_on(tmp_path: Path) -> None:
    """A webhook without configuration is answered, the log says what is missing, and the routes still answer."""
    with running(tmp_path, ML_BACKEND_QUIET_S="0") as backend:
        answer = httpx.post(backend.url + "/webhook", json={"action": "START_TRAINING", "project": {"id": 7}})
        assert answer.json() == {"status": "training requested"}
        assert eventually(lambda: "LABEL_STUDIO_API_KEY are not set" in backend.log, 60)
        assert answers(backend.url)


@contextmanager
def pictures(samples: "Samples") -> Iterator[list[tuple[str, bytes, str | None]]]:
    """Twelve pictures, six of each kind, as name, file and kind; and one file that is no picture."""
    made: list[tuple[str, bytes, str | None]] = []
    for number in range(12):
        kind = "dark" if number % 2 else "light"
        ground, line = ("black", "white") if kind == "dark" else ("white", "black")
        image = Image.new("RGB", (48, 48), ground)
        ImageDraw.Draw(image).line((number * 3, 0, 40 - number * 3, 47), fill=line, width=1 + number // 6)
        file = io.BytesIO()
        image.save(file, "PNG")
        made.append((f"{number}.png", file.getvalue(), kind))
    yield [*made, ("corrupt.png", samples.png("red")[:40], None)]


def test_annotations_become_suggestions(
    label_studio: "RunningLabelStudio", samples: "Samples", tmp_path: Path
) -> None:
    """The whole story: annotate, and the other tasks get predictions that the label stream and the score show."""
    admin = label_studio.administrator
    environment = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_QUIET_S": "5",
    }
    project = admin.create_project(CONFIG)
    with pictures(samples) as made, running(tmp_path, **environment) as backend:
        kind_of = upload(admin, project, made)
        assert len(kind_of) == 13

        annotated = [task for task, kind in kind_of.items() if kind][:6]
        submit(admin, annotated[0], kind_of[annotated[0]])
        admin.add_connection(project, backend.url, "suggestions", None)
        [connection] = admin.connections(project)
        assert admin.project(project).model_version == "suggestions"
        for task in annotated[1:]:
            admin.annotate(task, *annotation(kind_of[task]))

        def version() -> str:
            return admin.project(project).model_version or ""

        assert eventually(lambda: version().startswith("resnet18-random-2"), 240), backend.log
        shown = version()
        assert [row.title for row in admin.connections(project)] == [shown]
        setup = {"project": str(project), "schema": CONFIG}
        assert httpx.post(backend.url + "/setup", json=setup, timeout=30).json() == {"model_version": shown}

        tasks = {task["id"]: task for task in admin.whole_tasks(project)}
        corrupt = next(task for task, kind in kind_of.items() if kind is None)
        assert tasks[corrupt]["predictions"] == []
        for task, kind in kind_of.items():
            if kind is None:
                continue
            [prediction] = tasks[task]["predictions"]
            by_control = {region["from_name"]: region for region in prediction["result"]}
            assert prediction["model_version"] == shown
            assert by_control["kind"]["value"]["choices"] == [kind]
            assert set(by_control) <= {"kind", "traits"}
            assert 0 < prediction["score"] <= 1
            assert tasks[task]["predictions_score"] == pytest.approx(prediction["score"])

        served = admin.next_task(project)
        assert served["id"] not in annotated
        if served["id"] != corrupt:
            assert [one["model_version"] for one in served["predictions"]] == [shown]

        one_by_one = ask(backend.url, project, [{"id": task, "data": tasks[task]["data"]} for task in kind_of])
        assert [bool(entry) for entry in one_by_one] == [kind is not None for kind in kind_of.values()]
        assert admin.ask("GET", f"/api/ml/{connection.id}/versions")["versions"][0] == shown

        admin.ask("POST", f"/api/ml/{connection.id}/train")
        assert eventually(lambda: trains(backend.url), 60)
        submit(admin, annotated[0], kind_of[annotated[0]])
        assert trains(backend.url)
    log = backend.log
    assert label_studio.api_key not in log
    assert "Traceback" not in log


def upload(
    admin: Administrator, project_id: int, made: list[tuple[str, bytes, str | None]]
) -> dict[int, str | None]:
    """Import pictures, a task each, and give their kinds by task."""
    admin.upload(project_id, {name: body for name, body, _ in made}, make_tasks=True)
    kinds = {name: kind for name, _, kind in made}
    return {task["id"]: kinds[file_name(task["data"]["image"])] for task in admin.tasks(project_id, "id,data")}


def submit(admin: Administrator, task: int, kind: str | None) -> None:
    """Submit three times, as annotators do."""
    for _ in range(3):
        admin.annotate(task, *annotation(kind))


def trains(url: str) -> bool:
    """Whether a training runs at this moment."""
    return "ml_backend_trainings_running 1.0" in httpx.get(url + "/metrics", timeout=30).text


def annotation(kind: str | None) -> list[dict[str, Any]]:
    """What an annotator submits for a picture; only light ones have a trait."""
    region = {"to_name": "image", "type": "choices"}
    result = [{"id": "a", "from_name": "kind", "value": {"choices": [kind]}, **region}]
    if kind == "light":
        result.append({"id": "b", "from_name": "traits", "value": {"choices": ["bright"]}, **region})
    return result


def ask(backend: str, project_id: int, tasks: list[dict[str, Any]]) -> list[Any]:
    """The backend's own answer."""
    body = {"tasks": tasks, "project": project_id, "label_config": CONFIG, "params": {"context": None}}
    results: list[Any] = httpx.post(backend + "/predict", json=body, timeout=100).json()["results"]
    return results
