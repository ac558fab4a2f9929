import resource

import numpy as np
import pytest
from PIL import Image
from torchvision import models

from ml_backend.core.preparing import PREPARATIONS, Preparation, whole

TRANSFORMS = {
    "resnet18": models.ResNet18_Weights.DEFAULT.transforms(),
    "resnet34": models.ResNet34_Weights.DEFAULT.transforms(),
    "resnet50": models.ResNet50_Weights.DEFAULT.transforms(),
}


def noise(width: int, height: int) -> Image.Image:
    """A made picture of colours without order."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("backbone", sorted(TRANSFORMS))
def test_the_numbers_are_those_of_the_weights(backbone: str) -> None:
    """Sizes, mean and spread are what torchvision says of each backbone's weights."""
    theirs, ours = TRANSFORMS[backbone], PREPARATIONS[backbone]
    assert ([ours.resize], [ours.crop]) == (theirs.resize_size, theirs.crop_size)
    assert (list(ours.mean), list(ours.std)) == (theirs.mean, theirs.std)
    assert theirs.interpolation.value == "bilinear"


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
@pytest.mark.parametrize(
    "size", [(256, 256), (640, 480), (333, 517), (224, 224), (7, 5), (1, 1), (1000, 251), (300, 1199)]
)
def test_an_image_is_prepared_as_torchvision_does(backbone: str, size: tuple[int, int]) -> None:
    """Larger, smaller, upright and lying pictures come out as from the transforms of the weights."""
    image = noise(*size)
    expected = TRANSFORMS[backbone](image).numpy()
    prepared = PREPARATIONS[backbone](image)
    assert (prepared.shape, prepared.dtype, prepared.flags.c_contiguous) == ((3, 224, 224), np.float32, True)
    np.testing.assert_allclose(prepared, expected, rtol=0, atol=1e-5)


def test_of_a_long_image_only_the_middle_is_resized() -> None:
    """The middle of a long picture is what it is by torchvision, but for rounding to whole greys."""
    image = noise(300, 2400)
    difference = PREPARATIONS["resnet18"](image) - TRANSFORMS["resnet18"](image).numpy()
    assert np.abs(difference).max() <= 1 / 255 / 0.224 + 1e-5
    assert np.count_nonzero(np.abs(difference) > 1e-5) < 0.01 * difference.size


@pytest.mark.parametrize("size", [(1, 3_000_000), (3_000_000, 1)])
def test_a_line_of_pixels_takes_no_memory(size: tuple[int, int]) -> None:
    """A picture one pixel wide, which would take gigabytes when scaled whole, is prepared within 100 MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    prepared = PREPARATIONS["resnet18"](Image.new("RGB", size, "white"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert prepared.shape == (3, 224, 224)
    assert np.ptp(prepared[0]) == 0


@pytest.mark.parametrize("backbone", PREPARATIONS)
@pytest.mark.parametrize("size", [(640, 60), (60, 640), (300, 300), (3, 7)])
def test_the_whole_of_an_image_can_be_seen(backbone: str, size: tuple[int, int]) -> None:
    """Marks at both ends are there, amid the border's colour; of the middle alone the ends are cut off."""
    image = Image.new("RGB", size, (200, 150, 100))
    if max(size) == 640:
        for start in (64, 544):
            box = (start, 20, start + 32, 40)
            image.paste((0, 0, 0), box if size[0] == 640 else (box[1], box[0], box[3], box[2]))
    preparation = whole(PREPARATIONS[backbone])
    square = preparation.square(image)
    assert square.shape == (preparation.crop, preparation.crop, 3)
    assert preparation(image).shape == (3, preparation.crop, preparation.crop)
    assert square[0, 0].tolist() == pytest.approx([200, 150, 100], abs=3)
    if max(size) == 640:
        dark = square.sum(axis=2) < 150
        along = np.flatnonzero(dark.any(axis=0 if size[0] == 640 else 1))
        assert along.min() < 0.2 * preparation.crop
        assert along.max() > 0.8 * preparation.crop
        assert not (PREPARATIONS[backbone].square(image).sum(axis=2) < 150).any()


def test_a_line_of_a_million_pixels_is_seen_whole() -> None:
    """At least one pixel of its shorter side is left, and nothing large is made on the way."""
    for size in ((1_000_000, 1), (1, 1_000_000)):
        assert whole(Preparation(resize=256, crop=224)).square(Image.new("RGB", size)).shape == (224, 224, 3)


def test_black_and_white_are_standardised() -> None:
    """With mean and spread of a half, black is -1 and white is 1."""
    prepare = Preparation(resize=4, crop=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    image = Image.new("RGB", (4, 4))
    image.paste("white", (2, 0, 4, 4))
    np.testing.assert_allclose(prepare(image), np.tile([-1.0, 1.0], (3, 2, 1)), atol=1e-6)
