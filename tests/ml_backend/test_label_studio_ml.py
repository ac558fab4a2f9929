"""The model as a subclass of label-studio-ml's, where that is installed in a 2.x version."""

from typing import TYPE_CHECKING

import pytest

from ml_backend.backend import Backend
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache
from ml_backend.settings import Settings

pytest.importorskip(
    "label_studio_ml.response", reason="label-studio-ml 2.x is not installed (it is not on the index)"
)

from ml_backend import label_studio_ml

if TYPE_CHECKING:
    from conftest import Samples


@pytest.fixture
def parts(settings: Settings, monkeypatch: pytest.MonkeyPatch, samples: "Samples") -> Backend:
    """A backend with a trained project, on which nothing runs in the background."""
    made = Backend(settings)
    made.registry.save(7, samples.trained())
    made.registry.switch(7, samples.version)
    monkeypatch.setattr(label_studio_ml, "_started", [made])
    return made


@pytest.fixture
def model(parts: Backend, samples: "Samples") -> label_studio_ml.ResNetKMeans:
    """The model of that project."""
    assert parts.version(7) == samples.version
    return label_studio_ml.ResNetKMeans(project_id="7", label_config=samples.config)


def test_it_names_the_version_that_answers(model: label_studio_ml.ResNetKMeans, samples: "Samples") -> None:
    """What label-studio-ml tells Label Studio is the version of the project's model."""
    assert str(model.get("model_version")) == samples.version


def test_predictions_come_in_order_and_a_fault_costs_one_task(
    model: label_studio_ml.ResNetKMeans, parts: Backend, samples: "Samples"
) -> None:
    """A cached image gets its suggestion; a task without an image gets an empty list in its place."""
    cache = EmbeddingCache(parts.settings.data_dir / "embeddings.sqlite")
    cache.write(
        [
            Embedded(samples.embedding_key, "content", samples.light),
            Address(7, "/data/upload/7/a.png", "content", float("inf")),
        ]
    )
    cache.close()
    tasks = [{"id": 1, "data": {}}, {"id": 2, "data": {"image": "/data/upload/7/a.png"}}]
    empty, made = model.predict(tasks).predictions
    assert empty == []
    assert made.result[0]["value"]["choices"] == ["light"]
    assert made.model_version == samples.version


def test_an_event_asks_for_a_training_and_returns(model: label_studio_ml.ResNetKMeans, parts: Backend) -> None:
    """An annotation of project 7 requests its training; an event that changes nothing requests none."""
    model.fit("PROJECT_CREATED", {"project": {"id": 7}})
    assert parts.requests.due(float("inf")) == []
    model.fit("ANNOTATION_CREATED", {"project": {"id": 7}})
    assert parts.requests.due(float("inf")) == [7]
