import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from ml_backend.core.embedder import TorchEmbedder

BLACK = Image.new("RGB", (32, 32), "black")
# Prepared images; smaller than 224 pixels, which a ResNet does not mind and a test is quicker with.
SMALL = list(np.random.default_rng(0).random((3, 3, 64, 64), dtype=np.float32))


@pytest.fixture(scope="module")
def embedder() -> TorchEmbedder:
    """A ResNet-18 with random weights."""
    return TorchEmbedder(batch_size=2)


def test_an_image_is_prepared_by_the_weights_own_transform(embedder: TorchEmbedder) -> None:
    """The input of a ResNet-18 is 224 pixels wide and normalised: black is below 0 in every channel."""
    prepared = embedder.prepare(BLACK)
    assert prepared.shape == (3, 224, 224)
    assert prepared.max() < 0


def test_batches_do_not_matter(embedder: TorchEmbedder) -> None:
    """An image has the same embedding alone as among others."""
    together = embedder.embed(SMALL)
    assert together.shape == (3, 512)
    np.testing.assert_allclose(together[2], embedder.embed(SMALL[2:])[0], atol=1e-4)


def test_no_images_have_no_embeddings(embedder: TorchEmbedder) -> None:
    """Nothing in, nothing out."""
    assert embedder.embed([]).shape == (0, 512)


def test_the_seed_decides_random_weights(embedder: TorchEmbedder) -> None:
    """Two workers with the same seed embed alike and share the cache; another seed does neither."""
    same, other = TorchEmbedder(), TorchEmbedder(seed=1)
    np.testing.assert_allclose(embedder.embed(SMALL), same.embed(SMALL), atol=1e-4)
    assert same.key == embedder.key
    assert other.key != embedder.key


def test_calibration_is_a_copy_with_a_key_of_its_own(embedder: TorchEmbedder) -> None:
    """Calibrating changes neither the original nor its key, and can be restored from what is kept."""
    before = embedder.embed(SMALL)
    calibrated = embedder.calibrate(SMALL)
    restored = TorchEmbedder().with_calibration(calibrated.calibration)
    np.testing.assert_array_equal(embedder.embed(SMALL), before)
    np.testing.assert_allclose(restored.embed(SMALL), calibrated.embed(SMALL), atol=1e-3)
    assert restored.key == calibrated.key != embedder.key
    assert np.abs(calibrated.embed(SMALL) - before).max() > 0.1


def test_a_state_dict_is_used_and_its_classifier_is_not() -> None:
    """Weights with another number of classes load, and two that differ embed differently."""
    state = models.resnet18(num_classes=7).state_dict()
    mine = TorchEmbedder(state=state, weights_id="0a1b2c3d")
    assert mine.key == "resnet18:0a1b2c3d"
    np.testing.assert_array_equal(mine.network.conv1.weight.detach().numpy(), state["conv1.weight"].numpy())


def test_a_foreign_state_dict_is_refused() -> None:
    """The message names the backbone that the weights do not fit."""
    with pytest.raises(ValueError, match="does not fit resnet18"):
        TorchEmbedder(state={"conv1.weight": torch.zeros(1)}, weights_id="0a1b2c3d")
