"""The model as a subclass of label-studio-ml's 2.x, or of a stand-in for it where that is not installed."""

import contextlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml_backend.backend import Backend
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache
from ml_backend.settings import Settings, get_settings

os.environ["MODEL_DIR"] = os.path.relpath(tempfile.mkdtemp())  # as a folder that is named relatively
installed = None
with contextlib.suppress(ModuleNotFoundError):
    installed = importlib.util.find_spec("label_studio_ml.response")
if installed is None:
    sys.path.insert(0, str(Path(__file__).with_name("stand_in")))

from ml_backend import label_studio_ml  # noqa: E402 - the package, or what stands in for it, is found by now

del os.environ["MODEL_DIR"]

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


def test_its_cache_is_found_from_every_folder(
    model: label_studio_ml.ResNetKMeans, samples: "Samples", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept is there after the program has changed its folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert str(model.get("model_version")) == samples.version
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_model_without_a_project_answers_for_the_one_that_fits(parts: Backend, samples: "Samples") -> None:
    """As that package's own tests make it: by the label config; one that fits nothing gets nothing."""
    known = parts.registry.current(7)
    assert known is not None
    tasks = [{"id": 1, "data": {"image": "http://x.example/gone.png"}}]
    fitting = label_studio_ml.ResNetKMeans(label_config=samples.config)
    assert fitting.predict(tasks).model_version == samples.version
    other = label_studio_ml.ResNetKMeans(label_config="<View></View>")
    assert other.predict(tasks).predictions == [[]]


def test_the_backbone_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also one that a package registers: the adapter reads the settings that the server reads."""
    monkeypatch.setattr(label_studio_ml, "_started", [])
    monkeypatch.setattr(Backend, "start", lambda _: None)
    monkeypatch.setenv("ML_BACKEND_BACKBONE", "resnet34")
    monkeypatch.setenv("ML_BACKEND_DATA_DIR", str(tmp_path / "backend"))
    get_settings.cache_clear()
    assert label_studio_ml.backend().settings.backbone == "resnet34"
    assert label_studio_ml.backend().backbones.backbone == "resnet34"
    label_studio_ml.backend().close()
    get_settings.cache_clear()
