"""The serving process computes in ONNX Runtime and never loads torch: seen in the memory maps of its processes."""

import dataclasses
import functools
import http.server
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image
from running_backend import eventually, running

from common.label_studio.suggestions import as_chosen
from ml_backend.core.embedder import TorchEmbedder
from ml_backend.core.identity import Identity
from ml_backend.core.model import Evidence, fit_model
from ml_backend.core.preparing import EFFICIENTNET_LITE0
from ml_backend.embedding.checkpoints import IMAGENET, state_file
from ml_backend.embedding.networks import torch_embedder
from ml_backend.images.decoding import decode
from ml_backend.model_registry import Artifact, ModelRegistry
from ml_backend.settings import read_settings

if TYPE_CHECKING:
    from conftest import Samples

pytestmark = pytest.mark.server


def picture(number: int) -> Image.Image:
    """Noise, dark for even numbers and light for odd ones."""
    noise = np.random.default_rng(number).integers(0, 100, (300, 400, 3), dtype=np.uint8)
    return Image.fromarray(noise + np.uint8(155 * (number % 2)))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


def jpeg(number: int) -> bytes:
    """A picture as the server sends it: of noise, compression leaves another image."""
    file = io.BytesIO()
    picture(number).save(file, "JPEG")
    return file.getvalue()


@contextmanager
def pictures(folder: Path, count: int) -> Iterator[str]:
    """A server of JPEG files; yields its address."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def trained(samples: "Samples", base: TorchEmbedder) -> Artifact:
    """A model of dark and light noise; random weights are calibrated."""
    prepared = [base.prepare(decode(jpeg(number))) for number in range(16)]
    embedder = base.calibrate(prepared) if base.weights_id == "random" else base
    shares = np.array([[1, 0], [0, 1]] * 8, dtype=np.float32)
    model = fit_model(embedder.embed(prepared), [Evidence(samples.kind, np.arange(16), shares)], 0)
    return dataclasses.replace(
        samples.trained(),
        backbone=embedder.backbone,
        weights_id=embedder.weights_id,
        embedding_key=embedder.key,
        model=model,
        calibration=embedder.calibration,
        n_images=16,
        n_calibrated=16,
    )


def with_torch(master: int) -> dict[int, bool]:
    """Whether torch's library is mapped into a process, of the master and its children."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return {
        pid: "libtorch" in Path(f"/proc/{pid}/maps").read_text()
        for pid in (master, *(int(pid) for pid in children))
    }


def ask(url: str, images: str, numbers: range, samples: "Samples") -> list[Any]:
    """The choices that are suggested."""
    tasks = [{"id": number, "data": {"image": f"{images}/{number}.jpg"}} for number in numbers]
    body = {"tasks": tasks, "project": "7.1", "label_config": samples.config}
    results = httpx.post(f"{url}/predict", json=body, timeout=100).json()["results"]
    return [as_chosen(entry["result"])[0]["value"]["choices"][0] if entry else None for entry in results]


def test_serving_never_loads_torch(samples: "Samples", tmp_path: Path) -> None:
    """A start without an engine exports one apart; the next start opens it. No serving process maps torch."""
    artifact = trained(samples, TorchEmbedder())
    registry = ModelRegistry(tmp_path / "backend")
    registry.save(7, artifact)
    registry.switch(7, artifact.model_version)
    engines = tmp_path / "backend" / "engines"
    with pictures(tmp_path / "pictures", 8) as images:
        settings = {"ML_BACKEND_IMAGE_HOSTS": images.removeprefix("http://"), "ML_BACKEND_MODEL_WAIT_S": "90"}
        for numbers in (range(4), range(4, 8)):  # each time pictures that are not in the cache
            with running(tmp_path, shared=False, **settings) as backend:
                health = httpx.get(f"{backend.url}/health", timeout=5).json()
                assert (health["engine"], health["error"]) == ("onnxruntime-cpu", None)
                asked = functools.partial(ask, backend.url, images, numbers, samples)
                assert eventually(lambda asked=asked: asked() == ["dark", "light"] * 2, 240), backend.log
                assert eventually(lambda: set(with_torch(backend.pid).values()) == {False}, 30)
                assert len(with_torch(backend.pid)) == 3
                assert len(list(engines.glob("*.onnx"))) == 1
                assert "Traceback" not in backend.log


def test_weights_of_imagenet_suggest_where_the_network_is_silent(samples: "Samples", tmp_path: Path) -> None:
    """Where a proxy never answers, EfficientNet-Lite0 sees, and the next start asks nobody."""
    identity = Identity(EFFICIENTNET_LITE0, IMAGENET)
    artifact = trained(samples, torch_embedder(identity, state_file(identity, read_settings())))
    registry = ModelRegistry(tmp_path / "backend")
    registry.save(7, artifact)
    registry.switch(7, artifact.model_version)
    with socket.create_server(("127.0.0.1", 0)) as silent, pictures(tmp_path / "pictures", 4) as images:
        settings = {
            "ML_BACKEND_WEIGHTS": IMAGENET,
            "ML_BACKEND_IMAGE_HOSTS": images.removeprefix("http://"),
            "TORCH_HOME": str(tmp_path),
            "HTTPS_PROXY": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        for _ in range(2):
            with running(tmp_path, workers=1, shared=False, **settings) as backend:
                health = functools.partial(httpx.get, f"{backend.url}/health", timeout=5)
                assert eventually(lambda health=health: health().json()["model_loaded"], 240), backend.log
                status = health().json()
                assert (status["backbone"], status["weights"]) == (EFFICIENTNET_LITE0, IMAGENET)
                assert ask(backend.url, images, range(4), samples) == ["dark", "light"] * 2
        assert "resnet_weights_unavailable" not in backend.log  # the second start asks nobody
