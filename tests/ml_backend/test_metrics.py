import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ml_backend import metrics
from ml_backend.backend import Backend

if TYPE_CHECKING:
    from conftest import Samples


def families(client: FlaskClient) -> dict[str, Metric]:
    """The page, as Prometheus reads it."""
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(client: FlaskClient, sample: str, **labels: str) -> float:
    """One number of the page; 0 where it is not there yet."""
    values = [
        row.value
        for family in families(client).values()
        for row in family.samples
        if row.name == sample and labels.items() <= row.labels.items()
    ]
    return sum(values)


def ask(client: FlaskClient, samples: "Samples", *urls: str) -> None:
    """Ask for predictions of project 7."""
    tasks: list[dict[str, Any]] = [{"id": row, "data": {"image": url}} for row, url in enumerate(urls, 1)]
    body = {"project": "7.1", "tasks": tasks, "label_config": samples.config}
    assert client.post("/predict", json=body).status_code == 200


@pytest.mark.usefixtures("trained_project")
def test_prometheus_reads_the_page(client: FlaskClient, samples: "Samples") -> None:
    """Every family has a type, a help text and a name of ours."""
    ask(client, samples, "http://x.example/black.png")
    page = families(client)
    kinds = {name: family.type for name, family in page.items() if not name.endswith("_created")}
    assert kinds == {
        "ml_backend_requests": "counter",
        "ml_backend_request_seconds": "histogram",
        "ml_backend_tasks": "counter",
        "ml_backend_task_failures": "counter",
        "ml_backend_embeddings": "counter",
        "ml_backend_batch_images": "histogram",
        "ml_backend_trainings": "counter",
        "ml_backend_training_seconds": "histogram",
        "ml_backend_model_info": "gauge",
        "ml_backend_versions": "gauge",
        "ml_backend_trainings_waiting": "gauge",
        "ml_backend_trainings_running": "gauge",
    }
    assert all(family.documentation for family in page.values())


@pytest.mark.usefixtures("trained_project")
def test_a_request_is_counted(client: FlaskClient, samples: "Samples") -> None:
    """Tasks by outcome and reason, embeddings by source, requests by route and status, and the time."""
    numbers: list[tuple[str, dict[str, str]]] = [
        ("ml_backend_tasks_total", {"outcome": "suggested"}),
        ("ml_backend_tasks_total", {"outcome": "empty"}),
        ("ml_backend_task_failures_total", {"reason": "missing"}),
        ("ml_backend_embeddings_total", {"source": "cache"}),
        ("ml_backend_requests_total", {"route": "/predict", "status": "200"}),
        ("ml_backend_request_seconds_count", {"route": "/predict"}),
    ]
    before = [value(client, name, **labels) for name, labels in numbers]
    ask(client, samples, "http://x.example/black.png", "http://x.example/white.png", "http://x.example/gone.png")
    after = [value(client, name, **labels) for name, labels in numbers]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1, 1, 2, 1, 1]


def test_the_bars_lie_between_buckets(client: FlaskClient) -> None:
    """A quantile is read exactly at 0.1 and 0.3 s, and within a fifth around them."""
    client.get("/health")
    buckets = families(client)["ml_backend_request_seconds"].samples
    bounds = sorted({float(sample.labels["le"]) for sample in buckets if sample.name.endswith("_bucket")})
    assert {0.1, 0.3} <= set(bounds)
    near = [bound for bound in bounds if 0.08 <= bound <= 0.4]
    assert all(above / below <= 1.34 for below, above in itertools.pairwise(near))


def test_each_project_has_one_version(client: FlaskClient, backend: Backend, samples: "Samples") -> None:
    """However often a project was trained, one line names what answers; others say what was held back."""
    older, held = "resnet18-random-20260101T120000-00aa", "resnet18-random-20260301T120000-00aa"
    for version, reason in ((older, ""), (samples.version, ""), (held, "less accurate")):
        backend.registry.save(7, replace(samples.trained(), model_version=version, held_back=reason))
    backend.registry.switch(7, older)
    backend.registry.switch(7, samples.version)
    page = families(client)
    assert [sample.labels for sample in page["ml_backend_model_info"].samples] == [
        {"project": "7", "version": samples.version}
    ]
    assert [sample.value for sample in page["ml_backend_model_info"].samples] == [1]
    assert value(client, "ml_backend_versions", project="7", result="promoted") == 2
    assert value(client, "ml_backend_versions", project="7", result="held_back") == 1


def test_waiting_trainings_are_counted(client: FlaskClient, backend: Backend) -> None:
    """Requests that wait and trainings that run are read from what all workers share."""
    for project_id in (7, 8, 9):
        backend.requests.add(project_id, 0)
    backend.requests.begin(8)
    assert value(client, "ml_backend_trainings_waiting") == 2
    assert value(client, "ml_backend_trainings_running") == 1


def test_made_up_reasons_do_not_make_the_page_grow(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statuses count by their hundreds, long texts and endlessly many reasons together."""
    monkeypatch.setattr(metrics, "_counted", set(metrics._counted))  # other tests have reasons of their own
    for status in range(400, 600):
        metrics.count_failures(f"http_{status}", 1)
    assert value(client, "ml_backend_task_failures_total", reason="http_4xx") >= 100
    before = value(client, "ml_backend_task_failures_total", reason="other")
    for number in range(300):
        metrics.count_failures(f"made_up_{number}", 1)
    metrics.count_failures('an "odd"\nreason', 2)
    reasons = {
        sample.labels["reason"] for sample in families(client)["ml_backend_task_failures"].samples if sample.labels
    }
    assert len(reasons) <= 61
    assert value(client, "ml_backend_task_failures_total", reason="other") >= before + 242


def test_unknown_paths_count_together(client: FlaskClient) -> None:
    """Who asks for many paths makes no new lines."""
    client.get("/nope-1")
    before = value(client, "ml_backend_requests_total", route="other", status="404")
    client.get("/nope-2")
    assert value(client, "ml_backend_requests_total", route="other", status="404") == before + 1
    assert "nope" not in client.get("/metrics").text
