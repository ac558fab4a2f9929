"""The check of an image file: it opens, its size, its checksum."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

LARGEST_FILE = 100 * 2**20
"""Bytes; Label Studio refuses requests of more than 250 MiB."""
LARGEST_SIDE, LARGEST_IMAGE = 30_000, 89_000_000
"""Pixels."""
FORMATS = {"BMP": ".bmp", "GIF": ".gif", "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""By Pillow's names of what browsers show and Label Studio takes; with the ending of each."""
NOT_SHOWN = "shown by no browser, or taken by no Label Studio; convert it to PNG or JPEG"
_DRAFT = (64, 64)


class UnusableImageError(Exception):
    """An image that cannot be imported, and why."""


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image that opens.

    Attributes
    ----------
    checksum : str
        SHA-256 of the file, in hexadecimal.
    ending : str
        Of its format, whatever the file is called.
    """

    checksum: str
    n_bytes: int
    width: int
    height: int
    ending: str


def check_image(path: Path) -> CheckedImage:
    """Decode an image to its end; of a JPEG a small version, which reads the whole file as well.

    Raises
    ------
    UnusableImageError
        Where it is missing, too large, cut off, or of a format that browsers do not show.
    """
    try:
        n_bytes = path.stat().st_size
        if not 0 < n_bytes <= LARGEST_FILE:
            raise UnusableImageError(f"the file has {n_bytes} bytes; 1 to {LARGEST_FILE} are taken")
        content = path.read_bytes()
    except OSError as error:
        raise UnusableImageError(f"the file cannot be read: {error.strerror}") from None
    except ValueError:
        raise UnusableImageError("no file can have this name") from None
    width, height, kind = _decoded(content)
    return CheckedImage(hashlib.sha256(content).hexdigest(), len(content), width, height, FORMATS[kind])


def _decoded(content: bytes) -> tuple[int, int, str]:
    image_module = _pillow()
    try:
        with image_module.open(io.BytesIO(content)) as image:
            width, height = image.size
            _refuse_unfit(image.format, width, height)
            image.draft("RGB", _DRAFT)
            image.load()
            return width, height, image.format
    except UnusableImageError:
        raise
    except Exception as error:  # noqa: BLE001 - a decoder fails in any way on what a stranger made
        reason = "no image that Pillow reads" if "cannot identify" in str(error) else str(error)
        raise UnusableImageError(f"it does not open: {reason or type(error).__name__}") from None


def _refuse_unfit(kind: str | None, width: int, height: int) -> None:
    if kind not in FORMATS:
        raise UnusableImageError(f"{kind} is {NOT_SHOWN}")
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_IMAGE:
        raise UnusableImageError(f"it has {width} x {height} pixels; {LARGEST_IMAGE} are the most")


@lru_cache(maxsize=1)
def _pillow() -> Any:  # noqa: ANN401 - a module
    """Import Pillow, whose warning about a size becomes an error: once, as filters are for all threads."""
    import PIL.Image  # noqa: PLC0415 - slow, and what checks no image needs none

    warnings.filterwarnings("error", category=PIL.Image.DecompressionBombWarning)
    return PIL.Image
