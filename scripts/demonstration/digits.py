"""Real images with a known truth: the handwritten digits that ship inside scikit-learn."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LABELS = tuple("0123456789")
SIDE_PIXELS = 224


@dataclass(frozen=True)
class Digit:
    """One image, the label that it is given in the project, and what it shows.

    Attributes
    ----------
    name
        File name; the only thing by which the truth can be looked up, and it tells nothing itself.
    png
        The upscaled image.
    truth
        What it shows: known to the demo, never sent to Label Studio.
    given
        The label that its task comes with; for some it is wrong.
    """

    name: str
    png: bytes
    truth: str
    given: str

    @property
    def is_wrong(self) -> bool:
        """Whether the given label is not the truth."""
        return self.given != self.truth


def sample(count: int, *, wrong_share: float, seed: int) -> list[Digit]:
    """Draw as many images of each digit, and give an exact share of them a wrong label.

    Parameters
    ----------
    count
        Number of images; a multiple of ten.
    wrong_share
        Share of wrong given labels, in [0, 1].
    seed
        The same seed draws the same images and the same wrong labels.
    """
    if count % len(LABELS):
        raise ValueError(f"{count} images cannot be balanced over ten digits: take a multiple of ten")
    random = np.random.default_rng(seed)
    pixels, shown = load_digits(return_X_y=True)
    each = [random.choice(np.flatnonzero(shown == k), count // 10, replace=False) for k in range(10)]
    drawn = random.permutation(np.concatenate(each))
    wrong = set(random.choice(count, round(count * wrong_share), replace=False).tolist())
    return [
        Digit(
            name=f"image-{position:03d}.png",
            png=upscaled(pixels[index].reshape(8, 8)),
            truth=LABELS[shown[index]],
            given=another(LABELS[shown[index]], random) if position in wrong else LABELS[shown[index]],
        )
        for position, index in enumerate(drawn)
    ]


def write_folders(digits: Sequence[Digit], folder: Path) -> None:
    """Write images as their owner has them: in folders that are named by the given label."""
    for digit in digits:
        place = folder / digit.given
        place.mkdir(parents=True, exist_ok=True)
        (place / digit.name).write_bytes(digit.png)


def another(label: str, random: np.random.Generator) -> str:
    """Any label but this one, all equally likely."""
    return str(random.choice([other for other in LABELS if other != label]))


def upscaled(pixels: np.ndarray) -> bytes:
    """PNG of an 8 x 8 image with ink from 0 to 16, dark on white and smooth."""
    ink = np.clip(255 - pixels * (255 / 16), 0, 255).astype(np.uint8)
    image = Image.fromarray(ink).resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
