"""Images as networks see them while they learn: random crops, mirrored and in other colours.

Random resized crops: Szegedy et al., Going deeper with convolutions, 2015, doi:10.1109/CVPR.2015.7298594.
Crops that are smaller than what the network will see when it serves are cut from images of the size that it will
serve, since it does not matter how large a piece is, but how large things in it look: Touvron et al., Fixing the
train-test resolution discrepancy, 2019, arXiv:1906.06423.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ml_backend.core.preparing import Preparation

_GREY = (0.299, 0.587, 0.114)  # what red, green and blue add to how bright something looks: ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """How much random views of one image may differ.

    Parameters
    ----------
    smallest, largest : float
        Share of the image's area that a crop has, in (0, 1].
    stretch : float
        Largest width over height of what is cut out, and of its inverse, at least 1.
    colour : float
        Largest change of brightness, contrast and saturation, in [0, 1).
    tint : float
        Largest change of each of red, green and blue, in [0, 1).
    grey : float
        Share of the views without any colour, in [0, 1].
    upright : bool
        Whether images have an upper side: they are mirrored, but not turned.
    """

    smallest: float = 0.2
    largest: float = 1.0
    stretch: float = 4 / 3
    colour: float = 0.4
    tint: float = 0.1
    grey: float = 0.1
    upright: bool = True


def random_views(images: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Cut a random view out of each image.

    Parameters
    ----------
    images : (n, 3, side, side) uint8
        On any device.
    size : int
        Pixels of the views' side.
    generator : torch.Generator
        On the processor, so that the same seed gives the same views everywhere.

    Returns
    -------
    (n, 3, size, size) float32
        In [0, 1], on the device of the images.
    """
    grid = functional.affine_grid(
        _windows(len(images), augmentation, generator), [len(images), 3, size, size], align_corners=False
    )
    views = functional.grid_sample(
        images.float() / 255, grid.to(images.device), padding_mode="border", align_corners=False
    )
    return _recoloured(views, augmentation, generator)


def central_views(images: Tensor, size: int, preparation: Preparation) -> Tensor:
    """Cut the part out of each image that the backbone is served.

    Returns
    -------
    (n, 3, size, size) float32
        In [0, 1].

    Examples
    --------
    >>> images = torch.full((1, 3, 256, 256), 255, dtype=torch.uint8)
    >>> central_views(images, 224, Preparation(resize=256, crop=224)).shape
    torch.Size([1, 3, 224, 224])
    """
    side = images.shape[-1]
    inner = round(side * preparation.crop / preparation.resize)
    first = round((side - inner) / 2)
    cut = images[:, :, first : first + inner, first : first + inner].float() / 255
    if inner == size:
        return cut
    return functional.interpolate(cut, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def standardised(views: Tensor, preparation: Preparation) -> Tensor:
    """Standardise each channel as the backbone is served them."""
    mean = views.new_tensor(preparation.mean).view(3, 1, 1)
    std = views.new_tensor(preparation.std).view(3, 1, 1)
    return (views - mean) / std


def _windows(n: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw what is cut out of each image, as (n, 2, 3) float32 maps of views onto images."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    area = uniform(augmentation.smallest, augmentation.largest)
    ratio = uniform(-math.log(augmentation.stretch), math.log(augmentation.stretch)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    mirrored = torch.where(uniform(0, 1) < 1 / 2, -1.0, 1.0)
    quarters = torch.zeros(n) if augmentation.upright else uniform(0, 4).floor()
    cos, sin = (quarters * math.pi / 2).cos().round(), (quarters * math.pi / 2).sin().round()
    across, down = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
    rows = (
        torch.stack([cos * width * mirrored, -sin * width, across], dim=1),
        torch.stack([sin * height * mirrored, cos * height, down], dim=1),
    )
    return torch.stack(rows, dim=1)


def _recoloured(views: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    def factors(most: float, channels: int = 1) -> Tensor:
        drawn = torch.rand(len(views), channels, 1, 1, generator=generator)
        return (1 + (2 * drawn - 1) * most).to(views.device)

    views = views * factors(augmentation.colour)
    mean = views.mean((1, 2, 3), keepdim=True)
    views = (views - mean) * factors(augmentation.colour) + mean
    grey = (views * views.new_tensor(_GREY).view(3, 1, 1)).sum(1, keepdim=True)
    faded = torch.rand(len(views), 1, 1, 1, generator=generator).to(views.device) < augmentation.grey
    saturation = factors(augmentation.colour)
    views = grey + (views - grey) * torch.where(faded, torch.zeros_like(saturation), saturation)
    return (views * factors(augmentation.tint, 3)).clamp(0, 1)
