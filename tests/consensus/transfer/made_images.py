"""Small images on disk."""

import random
from pathlib import Path

import PIL.Image


def make_image(path: Path, seed: object = None, form: str | None = None) -> Path:
    """Write an image of 8 x 8 pixels; equal seeds give equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.Random(str(path if seed is None else seed)).randbytes(8 * 8 * 3)
    PIL.Image.frombytes("RGB", (8, 8), pixels).save(path, form)
    return path


def make_folders(folder: Path, n_images: int, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Make folders that are named after classes, with so many images in all."""
    for number in range(n_images):
        make_image(folder / classes[number % len(classes)] / f"{number:03}.png", number)
    return folder
