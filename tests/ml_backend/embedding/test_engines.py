import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ml_backend.core.embedder import TorchEmbedder
from ml_backend.core.identity import Identity
from ml_backend.embedding import exporting
from ml_backend.embedding.engines import (
    Embedder,
    EngineError,
    OnnxEmbedder,
    choose,
    engine_file,
    may_need_torch,
    open_session,
)
from ml_backend.embedding.exporting import export

KEY = "resnet18:random-0"
IMAGES = list(np.random.default_rng(1).normal(size=(5, 3, 224, 224)).astype(np.float32))


class NoOrigin:
    """An engine's origin that is not to be asked."""

    def embedder(self, identity: Identity) -> Embedder:
        """Nothing."""
        raise AssertionError(identity)

    def calibrated(self, identity: Identity, prepared: Sequence[np.ndarray]) -> Embedder:
        """Nothing."""
        raise AssertionError(identity, prepared)


@pytest.fixture(scope="module")
def by_torch() -> TorchEmbedder:
    """A ResNet-18 of torch with random weights."""
    return TorchEmbedder(batch_size=2)


@pytest.fixture(scope="module")
def file(by_torch: TorchEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its engine."""
    path = engine_file(tmp_path_factory.mktemp("backend"), by_torch.key)
    export(by_torch, path)
    return path


@pytest.fixture(scope="module")
def by_engine(file: Path) -> OnnxEmbedder:
    """The same in ONNX Runtime, two images at a time."""
    session = open_session(file, key=KEY)
    return OnnxEmbedder(Identity("resnet18", "random"), lambda: session, origin=NoOrigin(), batch_size=2)


def test_the_engine_embeds_as_torch_does(by_torch: TorchEmbedder, by_engine: OnnxEmbedder) -> None:
    """Embeddings of both belong under one key: they agree to 1e-4, and so does what is asked of the image."""
    assert (by_engine.key, by_engine.dimension, by_engine.short_side) == (by_torch.key, 512, by_torch.short_side)
    np.testing.assert_allclose(by_engine.embed(IMAGES), by_torch.embed(IMAGES), rtol=0, atol=1e-4)
    image = Image.linear_gradient("L").convert("RGB")
    np.testing.assert_array_equal(by_engine.prepare(image), by_torch.prepare(image))


def test_batches_do_not_matter(by_engine: OnnxEmbedder) -> None:
    """An image has the same embedding alone as among others."""
    alone = np.concatenate([by_engine.embed([image]) for image in IMAGES])
    np.testing.assert_allclose(by_engine.embed(IMAGES), alone, rtol=0, atol=1e-4)


def test_no_images_have_no_embeddings(by_engine: OnnxEmbedder) -> None:
    """Nothing in, nothing out."""
    assert by_engine.embed([]).shape == (0, 512)


def test_threads_share_an_engine(by_engine: OnnxEmbedder) -> None:
    """Four threads that embed at once get each its own image's embedding."""
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda image: by_engine.embed([image])[0], IMAGES))
    np.testing.assert_allclose(vectors, by_engine.embed(IMAGES), rtol=0, atol=1e-4)


def test_without_calibration_an_embedder_is_itself(by_engine: OnnxEmbedder) -> None:
    """No calibration changes nothing."""
    assert by_engine.with_calibration({}) is by_engine


def test_an_engine_of_another_key_is_refused(file: Path) -> None:
    """A file that was put in another's place does not answer for it."""
    with pytest.raises(EngineError, match="is of resnet18:random-0, not of resnet18:imagenet"):
        open_session(file, key="resnet18:imagenet")


@pytest.mark.parametrize("size", [0, 1000, 20_000_000])
def test_a_damaged_engine_is_refused(file: Path, tmp_path: Path, size: int) -> None:
    """A file that was cut off is named."""
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(file.read_bytes()[:size])
    with pytest.raises(EngineError, match=r"cut\.onnx"):
        open_session(cut, key=KEY)


def test_an_engine_that_differs_from_torch_is_refused(
    by_torch: TorchEmbedder, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even a rounding is allowed, there is no engine, and no unfinished file either."""
    monkeypatch.setattr(exporting, "_write", lambda _, path: shutil.copy(file, path))
    monkeypatch.setattr(exporting, "TOLERANCE", 0)
    with pytest.raises(EngineError, match="differs from torch by"):
        export(by_torch, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_torch_is_needed_where_there_is_a_graphics_processor(tmp_path: Path) -> None:
    """Only a device of NVIDIA's driver, or the wish for torch, is a reason to import it."""
    assert not may_need_torch("auto", tmp_path)
    (tmp_path / "nvidia-modeset").touch()
    assert not may_need_torch("auto", tmp_path)
    (tmp_path / "nvidia0").touch()
    assert may_need_torch("auto", tmp_path)
    assert not may_need_torch("onnx", tmp_path)
    assert may_need_torch("torch", tmp_path / "nowhere")


def test_torch_takes_the_graphics_processor_if_there_is_one() -> None:
    """Who insists on torch gets the best that it finds, and who insists on ONNX gets that."""
    assert choose("torch") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose("onnx") == "onnx"
