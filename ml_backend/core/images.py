"""Bytes become an RGB image, or a short reason why they cannot."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Only raster formats that Pillow decodes by itself: no interpreters (EPS), no containers of other files.
Image.init()  # registers all of them, once
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


@dataclass(frozen=True)
class ImageLimits:
    """How large an image may be before it is refused.

    Parameters
    ----------
    max_bytes : int
        Of the file, at least 1.
    max_pixels : int
        Width times height, at least 1; read from the header before anything is decoded.
    """

    max_bytes: int = 30_000_000
    max_pixels: int = 50_000_000


class ImageRejectedError(ValueError):
    """An image that is not decoded, with a short code in ``reason``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


def decode(content: bytes, limits: ImageLimits = ImageLimits()) -> Image.Image:
    """Decode an image file the way a browser shows it: upright, on white where it is transparent.

    Parameters
    ----------
    content : bytes
        The file. Of an animation the first frame counts.
    limits : ImageLimits
        Checked before any pixel is decoded.

    Returns
    -------
    PIL.Image.Image
        In mode RGB, turned by its EXIF orientation.

    Raises
    ------
    ImageRejectedError
        With reason ``empty``, ``too_many_bytes``, ``too_many_pixels``, ``not_an_image`` or ``truncated``.

    Examples
    --------
    >>> decode(b"<html>")
    Traceback (most recent call last):
    ...
    ml_backend.core.images.ImageRejectedError: not_an_image
    """
    if not content:
        raise ImageRejectedError("empty")
    if len(content) > limits.max_bytes:
        raise ImageRejectedError("too_many_bytes", f"{len(content)} > {limits.max_bytes}")
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejectedError("too_many_pixels", str(error)) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise ImageRejectedError("not_an_image") from error
    if image.width * image.height > limits.max_pixels:
        raise ImageRejectedError("too_many_pixels", f"{image.width} x {image.height} > {limits.max_pixels}")
    try:
        image.load()
        return _rgb(ImageOps.exif_transpose(image))
    except Exception as error:
        # Pillow's decoders raise many kinds of errors on broken files (OSError, SyntaxError, struct.error, ...).
        raise ImageRejectedError("truncated", type(error).__name__) from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel: convert() would clip at 255
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper).convert("RGB")
    return image.convert("RGB")
