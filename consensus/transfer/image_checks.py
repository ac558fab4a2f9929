"""The check of an image file: it opens, its size, its checksum."""

import hashlib
import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import ImageRejectedError
from common.images.kinds import DECODED, refusal_of
from common.images.workers import Workers

LARGEST_FILE = 100 * 2**20
"""Bytes; Label Studio refuses requests of more than 250 MiB."""
LARGEST_SIDE, LARGEST_IMAGE = 30_000, 89_000_000
"""Pixels."""
FORMATS = {"BMP": ".bmp", "GIF": ".gif", "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""By Pillow's names of what browsers show and Label Studio takes; with the ending of each."""
NOT_SHOWN = "shown by no browser, or taken by no Label Studio; convert it to PNG or JPEG"
LONGEST_S = 20
"""Of processor time, for an image."""
_MOST_MEMORY = 16 * LARGEST_IMAGE + 4 * LARGEST_FILE
_DRAFT = (64, 64)
_UNUSABLE = "unusable"
_IN_WORDS = {
    "too_slow": f"it takes more than {LONGEST_S} s to decode",
    "too_much_memory": "it takes more memory to decode than any image should",
    "decoder_crashed": "the decoder crashes on it",
}


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


def image_workers(count: int) -> Workers:
    """Make the processes that decode images: what a stranger made may take minutes, or crash a decoder."""
    return Workers(count, cpu_s=LONGEST_S, memory_bytes=_MOST_MEMORY)


def check_image(path: Path, workers: Workers) -> CheckedImage:
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
    try:
        width, height, kind = workers.run(decoded, content)
    except ImageRejectedError as error:
        raise UnusableImageError(_IN_WORDS.get(error.reason, error.detail or error.reason)) from None
    return CheckedImage(hashlib.sha256(content).hexdigest(), len(content), width, height, FORMATS[kind])


def decoded(content: bytes) -> tuple[int, int, str]:
    """Decode an image, in a process of its own; return width, height and Pillow's name of its format."""
    try:
        with _opened(content) as image:
            width, height = image.size
            _refuse_unfit(image.format, width, height)
            image.draft("RGB", _DRAFT)
            image.load()
            return width, height, image.format
    except (ImageRejectedError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a decoder fails in any way on what a stranger made
        reason = "no image that Pillow reads" if "cannot identify" in str(error) else str(error)
        raise ImageRejectedError(_UNUSABLE, f"it does not open: {reason or type(error).__name__}") from None


def size(content: bytes) -> tuple[int, int]:
    """Read the width and height of an image, in a process of its own."""
    with _opened(content) as image:
        width, height = image.size
        return width, height


def _opened(content: bytes) -> Any:  # noqa: ANN401 - an image
    pillow = _pillow()
    try:
        return pillow.open(io.BytesIO(content), formats=[name for name in DECODED if name in pillow.OPEN])
    except pillow.UnidentifiedImageError:
        refusal = refusal_of(content)
        if refusal.startswith("format_"):
            name = refusal.removeprefix("format_").upper()
            raise ImageRejectedError(_UNUSABLE, f"{name} is {NOT_SHOWN}") from None
        raise


def _refuse_unfit(kind: str | None, width: int, height: int) -> None:
    if kind not in FORMATS:
        raise ImageRejectedError(_UNUSABLE, f"{kind} is {NOT_SHOWN}")
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_IMAGE:
        raise ImageRejectedError(_UNUSABLE, f"it has {width} x {height} pixels; {LARGEST_IMAGE} are the most")


@lru_cache(maxsize=1)
def _pillow() -> Any:  # noqa: ANN401 - a module
    """Import Pillow with the decoders of the formats, whose warning about a size becomes an error."""
    import PIL.Image  # noqa: PLC0415 - slow, and needed in the processes that decode alone
    import PIL.TiffImagePlugin  # noqa: PLC0415
    import PIL.WebPImagePlugin  # noqa: PLC0415

    with suppress(ModuleNotFoundError):  # before Pillow 11.3
        import PIL.AvifImagePlugin  # noqa: PLC0415
    PIL.Image.preinit()
    warnings.filterwarnings("error", category=PIL.Image.DecompressionBombWarning)
    return PIL.Image
