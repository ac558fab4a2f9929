"""An RGB image becomes a network's input: the transforms of its weights with Pillow and numpy alone.

https://docs.pytorch.org/vision/stable/models.html#classification names the numbers of torchvision's weights.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's images
_LONGEST = 4  # times the shorter side: of a longer image only the middle is resized


@dataclass(frozen=True)
class Preparation:
    """Scale the shorter side, cut out the centre, scale values to 0 to 1 and standardise each channel.

    Parameters
    ----------
    resize : int
        Pixels of the shorter side, at least ``crop``.
    crop : int
        Pixels of the square that the network sees.
    mean, std : tuple of float
        Of red, green and blue in the images that the weights were learned on.
    squash : bool
        Scale both sides to ``resize``, whatever becomes of the shape.
    whole : bool
        Scale the longer side to ``crop`` instead, and fill the square up with the mean colour of the border.

    Examples
    --------
    >>> black = Image.new("RGB", (640, 480))
    >>> Preparation(resize=256, crop=224)(black).shape
    (3, 224, 224)
    """

    resize: int
    crop: int
    mean: tuple[float, float, float] = _MEAN
    std: tuple[float, float, float] = _STD
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    squash: bool = False
    whole: bool = field(default=False, repr=False)  # weights from elsewhere are named by what this prints

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Prepare an RGB image.

        Returns
        -------
        (3, crop, crop) float32
        """
        return self.standardised(self.square(image))

    def square(self, image: Image.Image) -> NDArray[np.uint8]:
        """Scale and cut an RGB image: (crop, crop, 3) uint8."""
        return np.asarray(self._square(image))

    def standardised(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Standardise what ``square`` gave: (3, crop, crop) float32."""
        # Channels first before any arithmetic, so that each step runs over memory in order.
        prepared = np.ascontiguousarray(square.transpose(2, 0, 1)).astype(np.float32)
        factor, offset = self._line
        prepared *= factor
        prepared += offset
        return prepared

    def _square(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        resampling = Image.Resampling[self.interpolation.upper()]
        if self.whole:
            width, height = (max(1, round(side * self.crop / max(image.size))) for side in image.size)
            return _filled_up(image.resize((width, height), resampling), self.crop)
        if self.squash:
            scaled = self.resize, self.resize
        elif width <= height:
            scaled = self.resize, int(self.resize * height / width)
        else:
            scaled = int(self.resize * width / height), self.resize
        left, top = (round((side - self.crop) / 2) for side in scaled)
        if max(scaled) > _LONGEST * self.resize:
            # Scaled whole, an image of 1 by a million pixels would take gigabytes.
            across, down = width / scaled[0], height / scaled[1]
            box = left * across, top * down, (left + self.crop) * across, (top + self.crop) * down
            return image.resize((self.crop, self.crop), resampling, box)
        if image.size != scaled:
            image = image.resize(scaled, resampling)
        return image.crop((left, top, left + self.crop, top + self.crop))

    @cached_property
    def _line(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Factor and offset of each channel that do scaling and standardising in one step."""
        mean, std = np.array(self.mean), np.array(self.std)
        factor, offset = 1 / (255 * std), -mean / std
        return factor.astype(np.float32)[:, None, None], offset.astype(np.float32)[:, None, None]


def _filled_up(image: Image.Image, side: int) -> Image.Image:
    """Put an image into the middle of a square of the mean colour of its border."""
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0)
    square = Image.new("RGB", (side, side), tuple(int(value) for value in border.round()))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


@lru_cache(maxsize=32)
def whole(preparation: Preparation) -> Preparation:
    """Return the preparation that shows the whole image."""
    return replace(preparation, whole=True)


EFFICIENTNET_LITE0 = "efficientnet-lite0"
PREPARATIONS = {
    "resnet18": Preparation(resize=256, crop=224),
    "resnet34": Preparation(resize=256, crop=224),
    "resnet50": Preparation(resize=232, crop=224),
    EFFICIENTNET_LITE0: Preparation(resize=256, crop=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
}


def read_address(address: str) -> tuple[Path, Preparation]:
    """Read the path of an ONNX file and how images are prepared for it; as for ImageNet's where it says nothing.

    Raises
    ------
    ValueError
        If it names something else, or no number where there should be one.

    Examples
    --------
    >>> path, preparation = read_address("/models/a.onnx?size=96&mean=.5,.5,.5&std=.5,.5,.5")
    >>> path.name, preparation.resize, preparation.crop, preparation.mean
    ('a.onnx', 96, 96, (0.5, 0.5, 0.5))
    """
    path, _, query = address.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    size = int(given.pop("size", 224))
    resize = int(given.pop("resize", size))
    mean, std = (
        _triple(given.pop(name)) if name in given else usual for name, usual in (("mean", _MEAN), ("std", _STD))
    )
    if given or not path or not 0 < size <= resize:
        raise ValueError("must be onnx:FILE?size=224&resize=256&mean=R,G,B&std=R,G,B, without what is as usual")
    return Path(path), Preparation(resize=resize, crop=size, mean=mean, std=std)


def _triple(text: str) -> tuple[float, float, float]:
    red, green, blue = (float(number) for number in text.split(","))
    return red, green, blue
