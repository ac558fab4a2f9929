"""Bytes become an RGB image, or a short reason why they cannot."""

import io
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import __version__ as pillow_version

from common.errors import ImageRejectedError
from common.images.kinds import DECODED, refusal_of

# What browsers show, and TIFF; Pillow would import all of its forty decoders to open what is none of these.
for _name in ("Avif", "Bmp", "Gif", "Jpeg", "Png", "Tiff", "WebP"):
    with suppress(ModuleNotFoundError):  # Pillow before 11.3 has no AVIF
        import_module(f"PIL.{_name}ImagePlugin")
FORMATS = tuple(name for name in DECODED if name in Image.OPEN)

_VERSION = 1  # of what is refused, beside limits and Pillow
_STRIP = 256  # rows
_END_OF_JPEG = b"\xff\xd9"
_MISSING = range(127, 130)  # values of a JPEG's rows that are not in the file
_LEAST_SHOWN = 0.9  # of the rows of a JPEG that is cut off


@dataclass(frozen=True)
class ImageLimits:
    """How large an image may be before it is refused.

    Parameters
    ----------
    max_bytes : int
        Of the file, at least 1.
    max_pixels : int
        Width times height, at least 1; read from the header before anything is decoded.
    max_decode_s : float
        Of processor time that ``Decoder`` spends on an image.
    """

    max_bytes: int = 30_000_000
    max_pixels: int = 50_000_000
    max_decode_s: float = 5

    @property
    def key(self) -> str:
        """Another one whenever what was refused might be decoded."""
        limits = f"{self.max_bytes}:{self.max_pixels}:{self.max_decode_s:g}"
        return f"{_VERSION}:{limits}:pillow-{pillow_version}"

    def require_bytes(self, content: bytes) -> None:
        """Refuse what has too few bytes, or too many.

        Raises
        ------
        ImageRejectedError
            With reason ``empty`` or ``too_many_bytes``.
        """
        if not content:
            raise ImageRejectedError("empty")
        if len(content) > self.max_bytes:
            raise ImageRejectedError("too_many_bytes", f"{len(content)} > {self.max_bytes}")


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
        With reason ``empty``, ``too_many_bytes``, ``too_many_pixels``, ``unsupported_pixels``, ``truncated`` or
        one of those of ``refusal_of``.

    Examples
    --------
    >>> decode(b"<html>")
    Traceback (most recent call last):
    ...
    common.errors.ImageRejectedError: html_page
    """
    limits.require_bytes(content)
    image = _opened(content)
    if image.width * image.height > limits.max_pixels:
        raise ImageRejectedError("too_many_pixels", f"{image.width} x {image.height} > {limits.max_pixels}")
    try:
        try:
            _load(image, short_side)
        except OSError:
            if image.format not in ("JPEG", "MPO"):
                raise
            image = _opened(content + _END_OF_JPEG)
            _load(image, short_side)
            _require_most(image)
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)
    except (ImageRejectedError, MemoryError):
        raise
    except Exception as error:
        # Pillow's decoders raise many kinds of errors on broken files (OSError, SyntaxError, struct.error, ...).
        raise ImageRejectedError("truncated", type(error).__name__) from error


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejectedError("too_many_pixels", str(error)) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise ImageRejectedError(_is_strange_tiff(content) or refusal_of(content)) from error


def _is_strange_tiff(content: bytes) -> str:
    """Return a reason for a TIFF whose pixels no decoder of Pillow's reads: five channels, RGB as floats."""
    try:
        Image.OPEN["TIFF"][0](io.BytesIO(content), "")
    except SyntaxError as error:
        return "unsupported_pixels" if "pixel mode" in str(error) else ""
    except Exception:  # noqa: BLE001 - any other fault is none of its pixels
        return ""
    return ""


def _load(image: Image.Image, short_side: int | None) -> None:
    if short_side is not None:
        image.draft(None, (short_side, short_side))  # does nothing but to a JPEG
    image.load()


def _require_most(image: Image.Image) -> None:
    """Refuse a JPEG that is cut off where more than a few rows are missing: the decoder leaves those grey."""
    rows = np.asarray(image)[int(_LEAST_SHOWN * image.height) :]
    if bool(((rows >= _MISSING[0]) & (rows <= _MISSING[-1])).all()):
        raise ImageRejectedError("truncated", "the lower part is missing")


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
