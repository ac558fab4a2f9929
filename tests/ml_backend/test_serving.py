"""The backend as a program: gunicorn with two workers, alone and connected to a real Label Studio."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image, ImageDraw
from serving import answers, eventually, running

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples

pytestmark = pytest.mark.server

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices>
<Choices name="traits" toName="image" choice="multiple"><Choice value="striped"/><Choice value="bright"/></Choices>
<TextArea name="note" toName="image"/></View>"""


def test_two_workers_answer_every_route(tmp_path: Path) -> None:
    """All routes answer from the first moment on, both workers count into one page, and the log holds no token."""
    with running(tmp_path) as backend, httpx.Client(base_url=backend.url, timeout=30) as client:
        assert client.get("/").json()["status"] == "UP"
        setup = {"project": "7.1", "schema": "<View/>", "access_token": "stolen-token"}
        assert client.post("/setup", json=setup).json() == {"model_version": "resnet18-random-untrained"}
        tasks = [{"id": number, "data": {"image": "http://127.0.0.1:9/a.png"}} for number in range(3)]
        predict = {"tasks": tasks, "project": "7.1", "label_config": CONFIG}
        assert client.post("/predict", json=predict).json() == {"results": [[], [], []]}
        assert client.post("/webhook", json={"action": "TASKS_CREATED"}).json() == {"status": "ignored"}
        assert client.get("/versions").json()["versions"] == []
        assert client.post("/predict", content=b"{").status_code == 415
        for _ in range(20):
            httpx.get(backend.url + "/health")
        assert 'ml_backend_requests_total{route="/setup",status="200"} 1.0' in client.get("/metrics").text
        assert eventually(lambda: client.get("/health").json()["model_loaded"], 60)
    log = backend.log
    assert "stolen-token" not in log
    assert "Traceback" not in log


def test_a_training_without_a_key_fails_and_serving_goes_on(tmp_path: Path) -> None:
    """A webhook without configuration is answered, the log says what is missing, and the routes still answer."""
    with running(tmp_path, ML_BACKEND_QUIET_S="0") as backend:
        answer = httpx.post(backend.url + "/webhook", json={"action": "START_TRAINING", "project": {"id": 7}})
        assert answer.json() == {"status": "training requested"}
        assert eventually(lambda: "LABEL_STUDIO_API_KEY not set" in backend.log, 60)
        assert answers(backend.url)


@contextmanager
def pictures(samples: "Samples") -> Iterator[list[tuple[str, bytes, str | None]]]:
    """Twelve pictures, six of each kind, as name, file and kind; and one file that is no picture."""
    found: list[tuple[str, bytes, str | None]] = []
    for number in range(12):
        kind = "dark" if number % 2 else "light"
        ground, line = ("black", "white") if kind == "dark" else ("white", "black")
        image = Image.new("RGB", (48, 48), ground)
        ImageDraw.Draw(image).line((number * 3, 0, 40 - number * 3, 47), fill=line, width=1 + number // 6)
        file = io.BytesIO()
        image.save(file, "PNG")
        found.append((f"{number}.png", file.getvalue(), kind))
    yield [*found, ("corrupt.png", samples.png("red")[:40], None)]


def test_annotations_become_suggestions(
    label_studio: "RunningLabelStudio", samples: "Samples", tmp_path: Path
) -> None:
    """The whole story: annotate, and the other tasks get predictions that the label stream and the score show."""
    client = label_studio.client()
    headers = {"Authorization": f"Token {label_studio.api_key}"}
    environment = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_QUIET_S": "5",
    }
    project = client.projects.create(title="Dark and light", label_config=CONFIG)
    with pictures(samples) as made, running(tmp_path, **environment) as backend:
        files = [(name, (name, body, "image/png")) for name, body, _ in made]
        imported = httpx.post(
            f"{label_studio.url}/api/projects/{project.id}/import", headers=headers, files=files, timeout=60
        )
        imported.raise_for_status()
        kinds = {name: kind for name, _, kind in made}
        tasks = list(client.tasks.list(project=project.id))
        kind_of = {task.id: kinds[task.data["image"].rsplit("-", 1)[1]] for task in tasks}
        assert len(tasks) == 13

        connection = client.ml.create(url=backend.url, project=project.id, title="suggestions")
        assert client.projects.get(id=project.id).model_version == "suggestions"
        annotated = [task for task, kind in kind_of.items() if kind][:6]
        for task in annotated:
            client.annotations.create(id=task, result=annotation(kind_of[task]))

        def version() -> str:
            return client.projects.get(id=project.id).model_version or ""

        assert eventually(lambda: version().startswith("resnet18-random-2"), 240), backend.log
        shown = version()
        assert client.ml.get(id=connection.id).title == shown
        setup = {"project": f"{project.id}.1", "schema": CONFIG}
        assert httpx.post(backend.url + "/setup", json=setup, timeout=30).json() == {"model_version": shown}

        found = {task.id: task.model_dump() for task in client.tasks.list(project=project.id, fields="all")}
        corrupt = next(task for task, kind in kind_of.items() if kind is None)
        assert found[corrupt]["predictions"] == []
        for task, kind in kind_of.items():
            if kind is None:
                continue
            [prediction] = found[task]["predictions"]
            by_control = {region["from_name"]: region for region in prediction["result"]}
            assert prediction["model_version"] == shown
            assert by_control["kind"]["value"]["choices"] == [kind]
            assert set(by_control) <= {"kind", "traits"}
            assert 0 < prediction["score"] <= 1
            assert found[task]["predictions_score"] == pytest.approx(prediction["score"])

        following = httpx.get(f"{label_studio.url}/api/projects/{project.id}/next", headers=headers, timeout=60)
        served = following.json()
        assert served["id"] not in annotated
        if served["id"] != corrupt:
            assert [one["model_version"] for one in served["predictions"]] == [shown]

        one_by_one = ask(backend.url, project.id, [{"id": task, "data": found[task]["data"]} for task in kind_of])
        assert [bool(entry) for entry in one_by_one] == [kind is not None for kind in kind_of.values()]
        listed = httpx.get(
            f"{label_studio.url}/api/ml/{connection.id}/versions", headers=headers, timeout=30
        ).json()["versions"]
        assert listed[0] == shown
    log = backend.log
    assert label_studio.api_key not in log
    assert "Traceback" not in log


def annotation(kind: str | None) -> list[dict[str, Any]]:
    """What an annotator submits for a picture; only light ones have a trait."""
    region = {"to_name": "image", "type": "choices"}
    result = [{"id": "a", "from_name": "kind", "value": {"choices": [kind]}, **region}]
    if kind == "light":
        result.append({"id": "b", "from_name": "traits", "value": {"choices": ["bright"]}, **region})
    return result


def ask(backend: str, project_id: int, tasks: list[dict[str, Any]]) -> list[Any]:
    """The backend's own answer."""
    body = {"tasks": tasks, "project": f"{project_id}.1", "label_config": CONFIG, "params": {"context": None}}
    results: list[Any] = httpx.post(backend + "/predict", json=body, timeout=100).json()["results"]
    return results
