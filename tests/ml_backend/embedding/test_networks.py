import sys

import numpy as np
import pytest
from PIL import Image

from ml_backend.core.identity import Identity
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.networks import timm_network
from ml_backend.errors import DownloadError, WeightsError
from ml_backend.settings import Settings

NAME = "mobilenetv3_small_050.lamb_in1k"


@pytest.mark.parametrize("name", [NAME, "vit_tiny_patch16_224.augreg_in21k"])
def test_images_are_prepared_as_timm_does(name: str) -> None:
    """The transforms of a network's weights, by Pillow and numpy, give what timm's own give."""
    timm = pytest.importorskip("timm")
    network, preparation = timm_network(name, seed=0, pretrained=False)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    np.testing.assert_allclose(preparation(image), transform(image).numpy(), atol=1e-5)


def test_a_network_of_timm_is_exported_with_its_preparation(settings: Settings) -> None:
    """In ONNX Runtime it embeds as in torch, and prepares images as its file says, without timm."""
    pytest.importorskip("timm")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    embedded = []
    for engine in ("torch", "onnx"):
        changed = settings.model_copy(update={"engine": engine, "backbone": f"timm:{NAME}"})
        embedder = Backbones(changed).preferred()
        assert (embedder.key, embedder.dimension) == (f"timm:{NAME}:random-0", 1024)
        embedded.append(embedder.embed([embedder.prepare(image)]))
    np.testing.assert_allclose(*embedded, rtol=0, atol=1e-4)


def test_a_network_that_timm_has_not_is_named() -> None:
    """A name that is none is no download that may pass."""
    pytest.importorskip("timm")
    with pytest.raises(WeightsError, match="timm has no timm:nonsense") as raised:
        timm_network("nonsense", seed=0, pretrained=True)
    assert not isinstance(raised.value, DownloadError)


def test_a_download_that_fails_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the weights are not there yet, and random ones never stand in."""
    timm = pytest.importorskip("timm")

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError("no network")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(DownloadError, match=f"timm:{NAME} cannot be downloaded"):
        timm_network(NAME, seed=0, pretrained=True)


def test_without_timm_the_extra_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is one command."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(WeightsError, match=r"timm:x needs timm, which is not installed: .*\[ml,timm\]"):
        Backbones(settings.model_copy(update={"backbone": "timm:x", "weights": "imagenet"})).embedder(
            Identity("timm:x", "pretrained")
        )
