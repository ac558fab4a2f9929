"""The demo's images: balanced, seeded, and with an exact share of wrong labels."""

import io
from collections import Counter

import numpy as np
import pytest
from demonstration.digits import LABELS, SIDE_PIXELS, another, sample, upscaled
from PIL import Image


def test_digits_are_balanced() -> None:
    """Each digit is drawn equally often."""
    assert Counter(each.truth for each in sample(50, wrong_share=0.2, seed=1)) == dict.fromkeys(LABELS, 5)


@pytest.mark.parametrize(("count", "share", "wrong"), [(50, 0.2, 10), (140, 0.15, 21), (20, 0, 0), (20, 1, 20)])
def test_the_share_of_wrong_labels_is_exact(count: int, share: float, wrong: int) -> None:
    """As many given labels are wrong as were asked for, no more and no fewer."""
    assert sum(each.given != each.truth for each in sample(count, wrong_share=share, seed=3)) == wrong


def test_the_same_seed_draws_the_same() -> None:
    """A demo can be repeated, images and wrong labels alike."""
    assert sample(20, wrong_share=0.3, seed=5) == sample(20, wrong_share=0.3, seed=5)
    assert sample(20, wrong_share=0.3, seed=5) != sample(20, wrong_share=0.3, seed=6)


def test_no_image_is_drawn_twice() -> None:
    """Equal images would be one task, not two."""
    assert len({each.png for each in sample(140, wrong_share=0.15, seed=2)}) == 140


def test_names_tell_nothing() -> None:
    """File names are numbered in the order of the images, which is not that of the digits."""
    digits = sample(100, wrong_share=0, seed=4)
    assert [each.name for each in digits] == [f"image-{number:03d}.png" for number in range(100)]
    assert [each.truth for each in digits] != sorted(each.truth for each in digits)


def test_unbalanced_counts_are_refused() -> None:
    """A count that cannot be balanced is named."""
    with pytest.raises(ValueError, match="15 images cannot be balanced"):
        sample(15, wrong_share=0, seed=0)


def test_images_are_dark_ink_on_white() -> None:
    """Full ink becomes black, none white, and the file is a PNG of the wanted size."""
    pixels = np.zeros((8, 8))
    pixels[:, 4:] = 16
    image = np.asarray(Image.open(io.BytesIO(upscaled(pixels))))
    assert image.shape == (SIDE_PIXELS, SIDE_PIXELS)
    assert image[100, 10] == 255
    assert image[100, -10] == 0


def test_another_label_is_never_the_same() -> None:
    """A wrong label is one of the nine others, and each of them happens."""
    random = np.random.default_rng(0)
    assert {another("3", random) for _ in range(500)} == set(LABELS) - {"3"}
