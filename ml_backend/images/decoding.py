"""Bytes become an RGB image, or a short reason why they cannot."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Only raster formats that Pillow decodes by itself: no interpreters (EPS), no containers of other files.
Image.init()  # registers all of them, once
_STRIP = 256  # rows
_START = 2048  # bytes in which a text shows what it is
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


def decode(content: bytes, limits: ImageLimits = ImageLimits(), *, short_side: int | None = None) -> Image.Image:
    """Decode an image file the way a browser shows it: upright, on white where it is transparent.

    Parameters
    ----------
    content : bytes
        The file. Of an animation the first frame counts.
    limits : ImageLimits
        Checked before any pixel is decoded, by the size in the header.
    short_side : int, optional
        Pixels that are enough for who asks: a JPEG may come out at a half, a fourth or an eighth of its size, its
        shorter side never below this. Decoding it so takes a fraction of the time and memory.

    Returns
    -------
    PIL.Image.Image
        In mode RGB, turned by its EXIF orientation.

    Raises
    ------
    ImageRejectedError
        With reason ``empty``, ``too_many_bytes``, ``too_many_pixels``, ``svg``, ``html_page`` (often that of a
        login), ``not_an_image`` or ``truncated``.

    Examples
    --------
    >>> decode(b"<html>")
    Traceback (most recent call last):
    ...
    ml_backend.images.decoding.ImageRejectedError: html_page
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
        raise ImageRejectedError(_kind_of_text(content)) from error
    if image.width * image.height > limits.max_pixels:
        raise ImageRejectedError("too_many_pixels", f"{image.width} x {image.height} > {limits.max_pixels}")
    try:
        if short_side is not None:
            image.draft(None, (short_side, short_side))  # does nothing but to a JPEG
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)
    except Exception as error:
        # Pillow's decoders raise many kinds of errors on broken files (OSError, SyntaxError, struct.error, ...).
        raise ImageRejectedError("truncated", type(error).__name__) from error


def _kind_of_text(content: bytes) -> str:
    """Return what is so often found in place of an image that a person is helped by its name."""
    start = content[:_START].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "html_page"
    return "svg" if start.startswith(b"<") and b"<svg" in start else "not_an_image"


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # convert() would clip at 255
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey values by the range that they use: 0 to 1 if they are fractions, else the smallest whole of bits.

    Cameras write 10 or 12 bits into files of 16, which would be almost black by the range of the file. Done in
    strips for the sake of memory.
    """
    grey, values = np.empty((image.height, image.width), dtype=np.uint8), np.asarray(image)
    strips = [slice(top, top + _STRIP) for top in range(0, image.height, _STRIP)]
    high = max(float(_finite(values[rows]).max()) for rows in strips)
    white = 1 if image.mode == "F" and high <= 1 else 2 ** max(int(high).bit_length(), 8) - 1
    for rows in strips:
        grey[rows] = (_finite(values[rows]) * (255 / white) + 0.5).clip(0, 255)
    return Image.fromarray(grey)


def _finite(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a picture on white in strips: whole copies of a large one would take its memory four times."""
    canvas = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP):
        upper = image.crop((0, top, image.width, min(top + _STRIP, image.height))).convert("RGBA")
        white = Image.new("RGBA", upper.size, "white")
        canvas.paste(Image.alpha_composite(white, upper).convert("RGB"), (0, top))
    return canvas
