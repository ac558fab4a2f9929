"""Foreign images are decoded where they can do no harm: in processes that end when they take too long."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from common.images.workers import Workers
from ml_backend.core.preparing import Preparation
from ml_backend.images.decoding import ImageLimits, decode

_BYTES_A_PIXEL = 24  # of the picture, its copies, and what its decoder keeps
_BYTES_BESIDE = 300_000_000  # of a process, whatever it decodes

Prepare = Callable[[Image.Image], NDArray[Any]]


@dataclass(frozen=True)
class Square:
    """Cut out the middle of an image, scaled to a square: (3, side, side) uint8."""

    side: int

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the square of an RGB image."""
        square = ImageOps.fit(image, (self.side, self.side), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


@dataclass(frozen=True)
class _Decoding:
    """What a process does with a file."""

    limits: ImageLimits
    short_side: int | None
    then: Prepare

    def __call__(self, content: bytes) -> NDArray[Any]:
        return self.then(decode(content, self.limits, short_side=self.short_side))


@dataclass(frozen=True)
class _Size:
    limits: ImageLimits

    def __call__(self, content: bytes) -> tuple[int, int]:
        return decode(content, self.limits).size


class Decoder:
    """Decodes images in processes of its own, started when they are needed.

    Parameters
    ----------
    count : int
        Images of one owner at a time.
    """

    def __init__(self, limits: ImageLimits, count: int) -> None:
        self.limits = limits
        self._workers = Workers(
            count,
            cpu_s=limits.max_decode_s,
            memory_bytes=_BYTES_A_PIXEL * limits.max_pixels + 4 * limits.max_bytes + _BYTES_BESIDE,
        )

    def prepared(
        self, content: bytes, prepare: Prepare, *, short_side: int | None = None, owner: Hashable = None
    ) -> NDArray[Any]:
        """Decode an image file and prepare it; where another package's code prepares, in this process.

        Parameters
        ----------
        owner : hashable
            The project: it leaves a place to the others.

        Raises
        ------
        ImageRejectedError
            As ``decode`` and ``Workers.run``.
        """
        self.limits.require_bytes(content)
        if isinstance(prepare, Preparation):  # the last step makes four times as much of it to carry
            return prepare.standardised(self._pixels(content, prepare.square, short_side, owner))
        if isinstance(prepare, Square):
            return self._pixels(content, prepare, short_side, owner)
        return prepare(Image.fromarray(self._pixels(content, np.asarray, short_side, owner)))

    def size(self, content: bytes) -> tuple[int, int]:
        """Decode an image file to its end; return its width and height.

        Raises
        ------
        ImageRejectedError
            As ``prepared``.
        """
        self.limits.require_bytes(content)
        width, height = self._workers.run(_Size(self.limits), content)
        return width, height

    def _pixels(self, content: bytes, then: Prepare, short_side: int | None, owner: Hashable) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self._workers.run(_Decoding(self.limits, short_side, then), content, owner)
        return pixels

    def close(self) -> None:
        """End the processes; who waits for an image is refused."""
        self._workers.close()
