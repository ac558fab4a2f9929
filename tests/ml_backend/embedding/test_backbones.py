import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from ml_backend.core.embedder import ResNetEmbedder
from ml_backend.core.identity import Identity
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.checkpoints import content_id, kept_weights
from ml_backend.embedding.engines import Embedder, engine_file
from ml_backend.embedding.weights import EmbedderLoader
from ml_backend.errors import WeightsError
from ml_backend.settings import Settings

CALIBRATION = {"bn1.running_mean": np.full(64, 0.25, dtype=np.float32)}
IMAGES = list(np.random.default_rng(1).normal(size=(4, 3, 224, 224)).astype(np.float32))

SECOND_START = """
import json, sys
import numpy as np
from ml_backend.embedding.backbones import Backbones
from ml_backend.core.identity import Identity
from ml_backend.settings import read_settings
origin = Backbones(read_settings(data_dir=sys.argv[1], engine="onnx"))
calibration = {"bn1.running_mean": np.full(64, 0.25, dtype=np.float32)}
embedder = origin.embedder(Identity("resnet18", sys.argv[2], calibration=calibration))
images = np.random.default_rng(1).normal(size=(4, 3, 224, 224)).astype(np.float32)
print(json.dumps([embedder.embed(list(images)).tolist(), origin.engine, "torch" in sys.modules]))
"""


def fine_tuned(folder: Path) -> tuple[Path, ResNetEmbedder]:
    """The file of a state dict, and its embedder."""
    made = ResNetEmbedder(seed=3)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.pt"
    torch.save(made.network.state_dict(), path)
    return path, made


def test_an_engine_is_exported_once_and_opened_without_torch(settings: Settings) -> None:
    """A damaged engine is replaced by a good one; a second start opens it and never imports torch.

    The export runs in a process of its own, which gets a state dict and a calibration.
    """
    path, by_torch = fine_tuned(settings.data_dir)
    by_torch = by_torch.with_calibration(CALIBRATION)
    identity = Identity("resnet18", content_id(path), calibration=CALIBRATION)
    file = engine_file(settings.data_dir, identity.key)
    file.parent.mkdir()
    file.write_bytes(b"damaged")
    expected = by_torch.embed(IMAGES)
    with capture_logs() as lines:
        origin = Backbones(settings.model_copy(update={"engine": "onnx", "weights": str(path)}))
        np.testing.assert_allclose(origin.embedder(identity).embed(IMAGES), expected, rtol=0, atol=1e-4)
    assert [line["event"] for line in lines] == ["engine_unusable_exporting_again"]
    assert [one.name for one in file.parent.glob("*.onnx*")] == [file.name]
    written = file.stat().st_mtime_ns
    path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", SECOND_START, str(settings.data_dir), identity.weights_id],
        capture_output=True,
        check=True,
    )
    found, engine, has_torch = json.loads(done.stdout)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert (engine, has_torch) == ("onnxruntime-cpu", False)
    assert file.stat().st_mtime_ns == written


def test_a_calibrated_network_becomes_an_engine_of_its_own(settings: Settings) -> None:
    """Random weights are calibrated by torch, and what comes back computes in ONNX Runtime as torch would."""
    origin = Backbones(settings.model_copy(update={"engine": "onnx"}))
    base = origin.uncalibrated(origin.preferred())
    calibrated = base.calibrate(IMAGES)
    by_torch = ResNetEmbedder().calibrate(IMAGES)
    assert (calibrated.engine, calibrated.key) == ("onnxruntime-cpu", by_torch.key)
    np.testing.assert_allclose(calibrated.embed(IMAGES), by_torch.embed(IMAGES), rtol=0, atol=1e-4)
    assert [path.name for path in (settings.data_dir / "engines").glob("*.onnx")] == [
        engine_file(settings.data_dir, by_torch.key).name
    ]
    again = base.with_calibration(by_torch.calibration)
    assert (again.engine, again.key) == ("onnxruntime-cpu", by_torch.key)


def test_where_nothing_can_be_exported_torch_answers(settings: Settings) -> None:
    """A folder that takes no engine costs speed but no suggestion: a warning and the reason say so."""
    settings.data_dir.mkdir()
    (settings.data_dir / "engines").touch()
    loader = EmbedderLoader(settings.model_copy(update={"engine": "auto"}))
    assert (loader.engine, loader.error) == ("onnxruntime-cpu", None)
    with capture_logs() as lines:
        calibrated = loader.preferred().calibrate(IMAGES[:2])
    assert calibrated.embed(IMAGES).shape == (4, 512)
    assert (loader.engine, calibrated.engine) == ("torch-cpu", "torch-cpu")
    assert loader.error is not None
    assert "cannot be written" in loader.error
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "no_engine_using_torch_on_the_processor")
    ]


def test_torch_stands_in_until_there_is_an_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be exported is exported once it can be; torch answers meanwhile, and no restart is needed."""
    path, by_torch = fine_tuned(settings.data_dir)
    (settings.data_dir / "engines").touch()
    loader = EmbedderLoader(settings.model_copy(update={"engine": "auto", "weights": str(path)}))
    identity = Identity("resnet18", content_id(path))

    def answering() -> Embedder:
        return loader.matching(identity, identity.key, timeout_s=60)

    assert loader.preferred().engine == answering().engine == loader.engine == "torch-cpu"
    (settings.data_dir / "engines").unlink()
    assert answering().engine == "torch-cpu"  # it has failed a moment ago
    monkeypatch.setattr(loader, "_engine_at", 0.0)
    ends_at = time.monotonic() + 120
    while answering().engine == "torch-cpu" and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert answering().engine == loader.preferred().engine == loader.engine == "onnxruntime-cpu"
    assert loader.error is None
    np.testing.assert_allclose(answering().embed(IMAGES), by_torch.embed(IMAGES), rtol=0, atol=1e-4)


def test_who_insists_on_an_engine_gets_no_torch(settings: Settings) -> None:
    """With the setting onnx, what cannot be exported is an error."""
    path, _ = fine_tuned(settings.data_dir)
    (settings.data_dir / "engines").touch()
    loader = EmbedderLoader(settings.model_copy(update={"engine": "onnx", "weights": str(path)}))
    with pytest.raises(WeightsError, match="cannot be written"):
        loader.preferred()
    assert "cannot be written" in (loader.error or "")


def test_kept_weights_are_loaded_by_their_content(settings: Settings) -> None:
    """A fine-tuned backbone needs no setting: its file in the folder of weights is enough, if it is intact."""
    path, by_torch = fine_tuned(settings.data_dir)
    weights_id = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    kept = kept_weights(settings.data_dir, weights_id)
    kept.parent.mkdir()
    path.rename(kept)
    identity = Identity("resnet18", weights_id)
    found = Backbones(settings).embedder(identity)
    np.testing.assert_allclose(found.embed(IMAGES), by_torch.embed(IMAGES), rtol=0, atol=1e-4)
    kept.write_bytes(b"changed")
    with pytest.raises(WeightsError, match="train the project again"):
        Backbones(settings).embedder(identity)
