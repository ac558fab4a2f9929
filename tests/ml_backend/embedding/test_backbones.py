import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from ml_backend.core.embedder import TorchEmbedder
from ml_backend.core.identity import Identity
from ml_backend.core.preparing import PREPARATIONS, whole
from ml_backend.embedding import backbones, exporting
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.checkpoints import content_id, kept_weights
from ml_backend.embedding.engines import EngineError, engine_file
from ml_backend.errors import ModelLoadingError, WeightsError
from ml_backend.settings import Settings

CALIBRATION = {"bn1.running_mean": np.full(64, 0.25, dtype=np.float32)}
IMAGES = list(np.random.default_rng(1).normal(size=(4, 3, 224, 224)).astype(np.float32))

SECOND_START = """
import json, sys
import numpy as np
from ml_backend.embedding.backbones import Backbones
from ml_backend.core.identity import Identity
from ml_backend.settings import read_settings
import ml_backend.predict.bulk, ml_backend.serving.app, ml_backend.training.publish
origin = Backbones(read_settings(data_dir=sys.argv[1], engine="onnx"))
calibration = {"bn1.running_mean": np.full(64, 0.25, dtype=np.float32)}
embedder = origin.embedder(Identity("resnet18", sys.argv[2], calibration=calibration))
images = np.random.default_rng(1).normal(size=(4, 3, 224, 224)).astype(np.float32)
print(json.dumps([embedder.embed(list(images)).tolist(), origin.engine, "torch" in sys.modules]))
"""


def fine_tuned(folder: Path) -> tuple[Path, TorchEmbedder]:
    """The file of a state dict, and its embedder."""
    made = TorchEmbedder(seed=3)
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
    assert {one.name for one in file.parent.glob("*.onnx*")} == {file.name, f"{file.name}.json"}
    written = file.stat().st_mtime_ns
    path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", SECOND_START, str(settings.data_dir), identity.weights_id],
        capture_output=True,
        check=True,
    )
    vectors, engine, has_torch = json.loads(done.stdout)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-4)
    assert (engine, has_torch) == ("onnxruntime-cpu", False)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_a_version_that_saw_whole_images_does_so_again(settings: Settings, engine: str) -> None:
    """The network is that of the other view: no second engine is exported for it."""
    path, _ = fine_tuned(settings.data_dir)
    plain = Identity("resnet18", content_id(path))
    seen = dataclasses.replace(plain, whole=True)
    origin = Backbones(settings.model_copy(update={"weights": str(path), "engine": engine}))
    made = origin.matching(seen, seen.key, timeout_s=120)
    assert made.key == seen.key
    assert made.prepare == whole(PREPARATIONS["resnet18"])
    assert made.embed(IMAGES) == pytest.approx(origin.matching(plain, plain.key, timeout_s=120).embed(IMAGES))
    assert len([*settings.data_dir.glob("engines/*.onnx")]) == (engine == "onnx")
    with pytest.raises(WeightsError, match="train the project again"):
        origin.matching(seen, plain.key, timeout_s=120)


def test_a_calibrated_network_becomes_an_engine_of_its_own(settings: Settings) -> None:
    """Random weights are calibrated by torch, and what comes back computes in ONNX Runtime as torch would."""
    origin = Backbones(settings.model_copy(update={"engine": "onnx"}))
    base = origin.preferred()
    calibrated = base.calibrate(IMAGES)
    by_torch = TorchEmbedder().calibrate(IMAGES)
    assert (calibrated.engine, calibrated.key) == ("onnxruntime-cpu", by_torch.key)
    np.testing.assert_allclose(calibrated.embed(IMAGES), by_torch.embed(IMAGES), rtol=0, atol=1e-4)
    assert [path.name for path in (settings.data_dir / "engines").glob("*.onnx")] == [
        engine_file(settings.data_dir, by_torch.key).name
    ]
    again = base.with_calibration(by_torch.calibration)
    assert (again.engine, again.key) == ("onnxruntime-cpu", by_torch.key)


@pytest.mark.parametrize("engine", ["auto", "onnx"])
def test_a_failed_export_is_named_and_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """A folder that takes no engine is named, nothing else stands in, and a retry finds room without a restart."""
    monkeypatch.setattr(backbones, "_RETRY_S", 0.0)
    path, by_torch = fine_tuned(settings.data_dir)
    (settings.data_dir / "engines").touch()
    made = Backbones(settings.model_copy(update={"engine": engine, "weights": str(path)}))
    identity = Identity("resnet18", content_id(path))
    with pytest.raises(WeightsError, match=r"no ONNX engine: .* cannot be written"):
        made.preferred()
    with pytest.raises(ModelLoadingError, match=r"no ONNX engine: .* cannot be written"):
        made.matching(identity, identity.key, timeout_s=600)
    assert (made.loaded, made.engine) == (False, "onnxruntime-cpu")
    assert (made.error or "").startswith("no ONNX engine: ")
    (settings.data_dir / "engines").unlink()
    np.testing.assert_allclose(made.preferred().embed(IMAGES), by_torch.embed(IMAGES), rtol=0, atol=1e-4)
    assert made.error is None
    assert made.matching(identity, identity.key, timeout_s=0) is made.preferred()


def test_the_failed_export_of_a_training_is_named(settings: Settings) -> None:
    """What could not be exported in another process is named by all, until the export succeeds."""
    path, made = engine_file(settings.data_dir, "resnet18:random-0:0123456789ab"), Backbones(settings)

    def fail() -> None:
        raise EngineError("torch cannot export resnet18 (RuntimeError)")

    with pytest.raises(EngineError):
        exporting.once(path, fail, wait_s=1)
    assert made.error == "no ONNX engine: torch cannot export resnet18 (RuntimeError)"
    exporting.once(path, path.touch, wait_s=1)
    assert made.error is None


def test_kept_weights_are_loaded_by_their_content(settings: Settings) -> None:
    """A fine-tuned backbone needs no setting: its file in the folder of weights is enough, if it is intact."""
    path, by_torch = fine_tuned(settings.data_dir)
    weights_id = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    kept = kept_weights(settings.data_dir, weights_id)
    kept.parent.mkdir()
    path.rename(kept)
    identity = Identity("resnet18", weights_id)
    embedder = Backbones(settings).embedder(identity)
    np.testing.assert_allclose(embedder.embed(IMAGES), by_torch.embed(IMAGES), rtol=0, atol=1e-4)
    kept.write_bytes(b"changed")
    with pytest.raises(WeightsError, match="train the project again"):
        Backbones(settings).embedder(identity)
