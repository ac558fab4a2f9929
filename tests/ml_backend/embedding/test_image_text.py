"""Networks of open_clip: its own code and tokenizer, with a small network of random weights in a folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml_backend.core.preparing import Preparation
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.image_text import embed_texts, image_text_identity
from ml_backend.errors import DownloadError, ModelLoadingError, WeightsError
from ml_backend.settings import Settings

open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed (extra zero-shot)")

CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 64, "layers": 1, "width": 64, "patch_size": 32},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as published, whose weights are random: it proves how they are read, not what they see."""
    import torch  # noqa: PLC0415 - takes seconds
    from safetensors.torch import save_file  # noqa: PLC0415

    made = tmp_path_factory.mktemp("small-clip")
    torch.manual_seed(1)
    model = open_clip.model.CLIP(**CONFIG["model_cfg"])
    save_file(model.state_dict(), made / "open_clip_model.safetensors")
    (made / "open_clip_config.json").write_text(json.dumps(CONFIG))
    return made


def test_texts_and_images_are_embedded_by_the_folders_network(folder: Path) -> None:
    """As open_clip itself does it, with its transforms: vectors of length 1, and no bias without a sigmoid."""
    import torch  # noqa: PLC0415

    settings = Settings.model_validate({"zero_shot": f"open_clip:{folder}", "engine": "torch"})
    identity = image_text_identity(settings.zero_shot)
    embedder = Backbones(settings).embedder(identity)
    assert embedder.prepare == Preparation(64, 64, (0.5,) * 3, (0.5,) * 3, "bicubic", squash=True)
    image = Image.effect_noise((90, 60), 80).convert("RGB")
    vectors, likeness = embed_texts(identity, ["a cat", "a dog"])
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.inference_mode():
        expected = model.encode_image(transform(image)[None], normalize=True).numpy()
        texts = model.encode_text(
            open_clip.get_tokenizer(f"local-dir:{folder}")(["a cat", "a dog"]), normalize=True
        )
    np.testing.assert_allclose(embedder.embed([embedder.prepare(image)]), expected, atol=0.01)
    np.testing.assert_allclose(vectors, texts.numpy(), atol=1e-5)
    assert (likeness.bias, round(likeness.scale, 2)) == (None, 14.29)


@pytest.mark.slow
def test_the_image_side_becomes_an_engine(folder: Path, tmp_path: Path) -> None:
    """What serves needs neither torch nor open_clip."""
    settings = Settings.model_validate(
        {"zero_shot": f"open_clip:{folder}", "engine": "onnx", "data_dir": tmp_path / "data"}
    )
    identity = image_text_identity(settings.zero_shot)
    by_torch = Backbones(settings.model_copy(update={"engine": "torch"})).embedder(identity)
    by_engine = Backbones(settings).embedder(identity)
    prepared = [by_engine.prepare(Image.effect_noise((90, 60), 80).convert("RGB"))]
    assert by_engine.engine == "onnxruntime-cpu"
    np.testing.assert_allclose(by_engine.embed(prepared), by_torch.embed(prepared), atol=1e-4)


def test_other_weights_in_the_folder_are_another_network(folder: Path, tmp_path: Path) -> None:
    """A version answers with those that it was made with, or not at all."""
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in folder.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    before = image_text_identity(f"open_clip:{copied}")
    path = copied / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    assert image_text_identity(f"open_clip:{copied}").key != before.key
    with pytest.raises(WeightsError, match="holds other weights than"):
        embed_texts(before, ["a cat"])


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to download elsewhere, where to put it, and how to go on; random weights never stand in."""

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "download_pretrained", unreachable)
    identity = image_text_identity("open_clip:ViT-B-16-SigLIP")
    assert identity.key == "open_clip:ViT-B-16-SigLIP:webli"
    with pytest.raises(DownloadError) as raised:
        embed_texts(identity, ["a cat"])
    assert "put all files of timm/ViT-B-16-SigLIP at Hugging Face into a folder" in str(raised.value)
    assert "set ML_BACKEND_ZERO_SHOT=open_clip:/path/of/the/folder" in str(raised.value)
    settings = Settings.model_validate({"zero_shot": "open_clip:ViT-B-16-SigLIP", "engine": "torch"})
    with pytest.raises(ModelLoadingError, match="put all files of timm/ViT-B-16-SigLIP at Hugging Face"):
        Backbones(settings).matching(identity, identity.key, timeout_s=60)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("open_clip:ViT-B-16-SigLIP:nobody", "open_clip has no weights nobody of ViT-B-16-SigLIP, but webli"),
        ("open_clip:none", "open_clip has no weights of a network none"),
        ("open_clip:/nowhere", "must hold open_clip_config.json, open_clip_model.safetensors or"),
    ],
)
def test_what_is_not_there_is_said(setting: str, why: str) -> None:
    """A network, weights, or a folder."""
    with pytest.raises(WeightsError, match=why):
        embed_texts(image_text_identity(setting), ["a cat"])
