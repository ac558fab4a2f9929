"""Images, a trained project and a backend without a network, for the tests of the ML backend."""

import hashlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
import structlog
from flask.testing import FlaskClient
from PIL import Image
from web_in_memory import Web

from common.images.fetch import Connect
from common.label_studio.label_config import config_digest
from common.logs import ToStructlog
from ml_backend.backend import Backend
from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence, fit_model
from ml_backend.embedding.cache import EmbeddingCache
from ml_backend.model_registry import Artifact
from ml_backend.serving.app import create_app
from ml_backend.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))
from connected import Studio
from running_backend import RunningBackend, running

if TYPE_CHECKING:
    from conftest import RunningLabelStudio

collect_ignore = ["stand_in"]
"""As the package does, it makes a file in the current folder where it is imported."""

VERSION = "resnet18-random-20260131T120000-00aa"
CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices>
<TextArea name="note" toName="image"/></View>"""
KIND = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")
EMBEDDING_KEY = "resnet18:random-0:abc"
DARK = np.array([-1, 0, 0, 0], dtype=np.float32)
LIGHT = np.array([1, 0, 0, 0], dtype=np.float32)


@dataclass(frozen=True)
class Samples:
    """Makers of what several tests need."""

    version = VERSION
    config = CONFIG
    kind = KIND
    embedding_key = EMBEDDING_KEY
    dark = DARK
    light = LIGHT

    def png(self, colour: str = "black", size: tuple[int, int] = (8, 8)) -> bytes:
        """A PNG file of one colour."""
        file = io.BytesIO()
        Image.new("RGB", size, colour).save(file, "PNG")
        return file.getvalue()

    def content(self, body: bytes) -> str:
        """The name of a file's content in the cache."""
        return hashlib.sha256(body).hexdigest()

    def trained(self, version: str = VERSION, label_config: str = "", n: int = 8) -> Artifact:
        """A model of dark and light images, half of each annotated."""
        noise = np.random.default_rng(0).normal(scale=0.01, size=(2 * n, 4)).astype(np.float32)
        embeddings = np.concatenate([np.tile(DARK, (n, 1)), np.tile(LIGHT, (n, 1))]) + noise
        rows = np.arange(0, 2 * n, 2)
        shares = np.array([[1, 0] if row < n else [0, 1] for row in rows], dtype=np.float32)
        return Artifact(
            model_version=version,
            created_at=datetime(2026, 1, 31, 12, tzinfo=UTC).isoformat(),
            backbone="resnet18",
            weights_id="random",
            seed=0,
            embedding_key=EMBEDDING_KEY,
            label_config=label_config,
            n_images=2 * n,
            n_calibrated=2 * n,
            model=fit_model(embeddings, [Evidence(KIND, rows, shares)]),
            calibration={"bn1.running_mean": np.zeros(64, dtype=np.float32)},
        )


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder without a ``.env``: the settings of whoever runs the tests stay out of them."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Take back what a command changed in the logs."""
    hooks = sys.excepthook, threading.excepthook
    yield
    structlog.reset_defaults()
    others = logging.getLogger()
    others.handlers[:] = [handler for handler in others.handlers if not isinstance(handler, ToStructlog)]
    sys.excepthook, threading.excepthook = hooks


@pytest.fixture(scope="session")
def samples() -> Samples:
    """Pictures and models."""
    return Samples()


@pytest.fixture
def web() -> Web:
    """A network without pages."""
    return Web()


@pytest.fixture
def connections(web: Web) -> Connect:
    """Connections to that network, whatever hosts are allowed."""
    return lambda _: httpx.MockTransport(web.answer)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a folder of their own."""
    return Settings.model_validate(
        {
            "label_studio_url": "http://label-studio.example",
            "label_studio_api_key": "secret-key",
            "data_dir": tmp_path / "backend",
            "weights": "random",
            "engine": "torch",  # exporting takes seconds: the tests of engines do it once for all
            "model_wait_s": 0.01,  # a model that is not loaded is not waited for
        }
    )


@pytest.fixture
def backend(settings: Settings, connections: Connect) -> Iterator[Backend]:
    """A backend whose images come from ``web``; nothing runs in its background."""
    made = Backend(settings, connections)
    yield made
    made.close()


@pytest.fixture
def client(backend: Backend) -> FlaskClient:
    """Someone who calls the routes."""
    return create_app(backend).test_client()


@pytest.fixture(scope="session")
def studio(label_studio: "RunningLabelStudio") -> Iterator[Studio]:
    """The real Label Studio, as its administrator uses it."""
    made = Studio(label_studio)
    yield made
    made.close()


@pytest.fixture(scope="session")
def own_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a state dict: random, but not called so, and so used as it is."""
    import torch  # noqa: PLC0415 - takes seconds
    from torchvision import models  # noqa: PLC0415

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "own.pt"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    return path


@pytest.fixture
def serve_backend(tmp_path: Path) -> Callable[..., AbstractContextManager[RunningBackend]]:
    """Starts ``ml-backend serve`` in the test's folder; takes what ``serving.running`` takes."""
    return partial(running, tmp_path)


@pytest.fixture
def trained_project(backend: Backend, samples: Samples, web: Web) -> int:
    """A trained project, whose pictures of black and white are embedded already."""
    artifact = samples.trained(label_config=config_digest(samples.config))
    backend.registry.save(7, artifact)
    backend.registry.switch(7, artifact.model_version)
    cache = EmbeddingCache(backend.settings.data_dir / "embeddings.sqlite")
    for colour, vector in (("black", samples.dark), ("white", samples.light)):
        body = samples.png(colour)
        web.pages[f"/{colour}.png"] = body
        cache.put(samples.embedding_key, {samples.content(body): vector})
    cache.close()
    return 7
