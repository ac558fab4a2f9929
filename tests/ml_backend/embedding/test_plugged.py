import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from common.errors import SettingsError
from ml_backend.core.identity import Identity
from ml_backend.core.preparing import read_address
from ml_backend.embedding import plugged
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.configured import configured_identity
from ml_backend.embedding.plugged import PluggedEmbedder, load_plugin
from ml_backend.errors import WeightsError
from ml_backend.settings import Settings, read_settings

DOCS = Path(__file__).parents[3] / "docs" / "ml-backend.md"
RED = Image.new("RGB", (64, 48), "red")


def changed(settings: Settings, **others: object) -> Settings:
    """The settings with others, checked."""
    return Settings.model_validate(settings.model_dump() | others)


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The documentation's example, installed as a package; its file."""
    example = DOCS.read_text("utf-8").split('[project.entry-points."ml_backend.embedders"]', 1)[1]
    [line] = re.findall(r"^colours = \"(.*)\"$", example, re.MULTILINE)
    code = example.split("```python\n", 1)[1].split("```", 1)[0]
    folder = tmp_path / "site"
    (folder / "colours-1.dist-info").mkdir(parents=True)
    (folder / "colours-1.dist-info" / "METADATA").write_text("Name: colours\nVersion: 1\n")
    (folder / "colours-1.dist-info" / "entry_points.txt").write_text(f"[ml_backend.embedders]\ncolours = {line}\n")
    (folder / "colours.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(
        sys, "dont_write_bytecode", True
    )  # it would pass for that of a file changed in this second
    monkeypatch.delitem(sys.modules, "colours", raising=False)
    plugged._registered.cache_clear()
    return folder / "colours.py"


def onnx_file(path: Path, *, batch: int | str = "batch", factor: float = 1.0, flat: bool = True) -> Path:
    """A network that takes the mean of each channel, or does nothing."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 4, 4])
    means = helper.make_tensor_value_info("means", TensorProto.FLOAT, [batch, 3] if flat else [batch, 3, 4, 4])
    scale = helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor])
    nodes = [helper.make_node("Mul", ["images", "factor"], ["scaled" if flat else "means"])]
    if flat:
        nodes.append(helper.make_node("ReduceMean", ["scaled"], ["means"], axes=[2, 3], keepdims=0))
    graph = helper.make_graph(nodes, "means", [images], [means], [scale])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.usefixtures("colours")
def test_the_example_of_the_documentation_embeds(settings: Settings) -> None:
    """A registered embedder is a backbone by its name, which its key and its versions bear."""
    embedder = Backbones(changed(settings, backbone="colours", batch_size=2)).preferred()
    assert (embedder.key, embedder.dimension, embedder.short_side) == ("colours:1", 3, 32)
    np.testing.assert_allclose(embedder.embed([embedder.prepare(RED)] * 3), [[1, 0, 0]] * 3)
    assert embedder.embed([]).shape == (0, 3)


def test_a_changed_embedder_answers_for_no_old_version(settings: Settings, colours: Path) -> None:
    """Embeddings of another state of a package are never taken for those that a version was trained on."""
    made = Backbones(changed(settings, backbone="colours"))
    old = made.preferred().identity
    colours.write_text(colours.read_text().replace('weights_id = "1"', 'weights_id = "2"'))
    sys.modules.pop("colours")
    plugged._registered.cache_clear()
    with pytest.raises(WeightsError, match="colours:1 is colours:2 now: train the project again"):
        Backbones(settings).embedder(old)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('no torch')", r"colours \(colours:MeanColour\) cannot be made: ImportError: no torch"),
        ("class MeanColour:\n    weights_id = 'a/b'\n    short_side = 8", "weights_id of colours is 'a/b'"),
    ],
)
def test_an_embedder_that_cannot_be_made_is_named(settings: Settings, colours: Path, code: str, said: str) -> None:
    """What is wrong with a package is told with its name, and nothing else answers."""
    colours.write_text(code)
    made = Backbones(changed(settings, backbone="colours"))
    with pytest.raises(WeightsError, match=said):
        made.preferred()
    assert made.error is not None


def test_rows_must_be_as_many_as_images() -> None:
    """An embedder whose rows are not its images' is refused before it answers anything."""

    class Wrong:
        weights_id, short_side = "1", 8

        def prepare(self, _image: Image.Image) -> np.ndarray:
            return np.zeros(3, dtype=np.float32)

        def embed(self, _prepared: object) -> np.ndarray:
            return np.zeros((2, 3))

    with pytest.raises(WeightsError, match=r"wrong:1 cannot embed an image: 1 images gave an array of \(2, 3\)"):
        PluggedEmbedder("wrong", Wrong())


@pytest.mark.parametrize("batch", ["batch", 1])
def test_an_onnx_file_embeds(settings: Settings, tmp_path: Path, batch: int | str) -> None:
    """It computes as it is, in batches of one if it takes no others, prepared as its address says."""
    path = onnx_file(tmp_path / "means.onnx", batch=batch)
    embedder = Backbones(changed(settings, backbone=f"onnx:{path}?size=4&mean=0,0,0&std=.5,.5,.5")).preferred()
    assert (embedder.backbone, embedder.engine, embedder.dimension) == ("onnx", "onnxruntime-cpu", 3)
    np.testing.assert_allclose(embedder.embed([embedder.prepare(RED)] * 3), [[2, 0, 0]] * 3, atol=1e-6)


def test_onnx_files_have_embeddings_of_their_own(settings: Settings, tmp_path: Path) -> None:
    """Another content or another preparation is another key; a version of one that is gone is not answered."""
    first, second = onnx_file(tmp_path / "1.onnx"), onnx_file(tmp_path / "2.onnx", factor=2)
    named = [f"onnx:{first}?size=4", f"onnx:{second}?size=4", f"onnx:{first}?size=4&resize=5"]
    identities = [configured_identity(changed(settings, backbone=name), lambda _: False) for name in named]
    assert len({identity.key for identity in identities}) == 3
    with pytest.raises(WeightsError, match="train the project again"):
        Backbones(changed(settings, backbone=named[0])).embedder(identities[1])
    with pytest.raises(WeightsError, match="names no ONNX file any more"):
        Backbones(settings).embedder(identities[0])


def test_an_onnx_file_that_does_not_fit_is_named(settings: Settings, tmp_path: Path) -> None:
    """Neither a missing file nor one that gives no rows of numbers answers."""
    flat = onnx_file(tmp_path / "features.onnx", flat=False)
    for address, said in ((f"{flat}?size=4", r"not one row for each"), (tmp_path / "gone.onnx", "cannot be read")):
        with pytest.raises(WeightsError, match=said):
            Backbones(changed(settings, backbone=f"onnx:{address}")).preferred()


@pytest.mark.parametrize("query", ["size=a", "size=0", "size=9&resize=8", "mean=1,2", "colour=1"])
def test_an_address_that_says_nothing_is_refused(query: str) -> None:
    """What is no number, or no word of an address, is told at the start."""
    with pytest.raises(ValueError, match=r".+"):
        read_address(f"a.onnx?{query}")
    with pytest.raises(SettingsError, match="ML_BACKEND_BACKBONE"):
        read_settings(backbone=f"onnx:a.onnx?{query}")


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"backbone": "resnet19"}, "auto, resnet18, .*efficientnet-lite0, timm:NAME, onnx:FILE, colours"),
        ({"backbone": "timm:"}, "must be one of"),
        ({"backbone": "colours", "weights": "mine.pt"}, "colours has weights of its own"),
    ],
)
def test_a_backbone_that_is_none_is_refused(given: dict[str, str], said: str) -> None:
    """The message lists what there is, installed embedders among it."""
    with pytest.raises(SettingsError, match=said):
        read_settings(**given)


def test_what_is_no_plugin_is_loaded_otherwise() -> None:
    """Our own backbones and those of timm are not looked for among the entry points."""
    assert load_plugin("resnet18", "auto") is None
    assert load_plugin("timm:resnet18", "auto") is None


def test_an_identity_of_a_plugin_that_is_gone_is_an_error(settings: Settings) -> None:
    """A version whose package was removed is not answered by another backbone."""
    with pytest.raises(WeightsError, match="no embedder colours is installed"):
        Backbones(settings).embedder(Identity("colours", "1"))
