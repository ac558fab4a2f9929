"""A small picture of an image, as a process of its own makes it: what a stranger made may take minutes."""

import io

import numpy as np
from numpy.typing import NDArray

from common.errors import ImageRejectedError
from common.images.kinds import DECODED

LARGEST_IMAGE = 50_000_000
"""Pixels."""


def small(side: int, content: bytes) -> NDArray[np.uint8]:
    """Make a small picture of an image, upright, as the bytes of a WebP file.

    Raises
    ------
    ImageRejectedError
        With reason ``not_an_image`` or ``too_many_pixels``.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 - needed in the processes alone

    try:
        with Image.open(io.BytesIO(content), formats=DECODED) as image:
            _refuse_large(image.width, image.height)
            image.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((side, side))
            made = io.BytesIO()
            upright.convert("RGBA" if "A" in upright.getbands() else "RGB").save(made, "WEBP", quality=80)
    except (ImageRejectedError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a decoder fails in any way on what a stranger made
        raise ImageRejectedError("not_an_image") from None
    return np.frombuffer(made.getvalue(), dtype=np.uint8)


def _refuse_large(width: int, height: int) -> None:
    if width * height > LARGEST_IMAGE:
        raise ImageRejectedError("too_many_pixels")
