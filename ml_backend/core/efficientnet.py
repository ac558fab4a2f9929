"""EfficientNet-Lite0, whose parts bear the names of the published state dict.

Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019, arXiv:1905.11946;
the lite ones have ReLU6 and no squeeze-and-excitation: https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html.
"""

from torch import Tensor, nn
from torch.nn import functional

_STEM = 32  # channels
# Blocks, side of the kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(nn.Module):
    """Maps (n, 3, height, width) to (n, 1280); height and width are multiples of 32."""

    dimension = 1280

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Convolution(3, _STEM, 3, stride=2)
        self._bn0 = _norm(_STEM)
        blocks, channels = list[_Block](), _STEM
        for count, kernel, stride, expansion, width in _STAGES:
            for number in range(count):
                blocks.append(_Block(channels, width, kernel, 1 if number else stride, expansion))
                channels = width
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = _Convolution(channels, self.dimension, 1)
        self._bn1 = _norm(self.dimension)

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean of the last features over the image."""
        features = self._blocks(functional.relu6(self._bn0(self._conv_stem(images))))
        pooled: Tensor = functional.relu6(self._bn1(self._conv_head(features))).mean((2, 3))
        return pooled


class _Block(nn.Module):
    """An inverted residual: wider, a filter of its own for each channel, narrower.

    Sandler et al., MobileNetV2, 2018, doi:10.1109/CVPR.2018.00474
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        if expansion != 1:
            self._expand_conv = _Convolution(channels, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _Convolution(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = _Convolution(wide, width, 1)
        self._bn2 = _norm(width)
        self._expands, self._is_residual = expansion != 1, stride == 1 and channels == width

    def forward(self, given: Tensor) -> Tensor:
        features = functional.relu6(self._bn0(self._expand_conv(given))) if self._expands else given
        features = functional.relu6(self._bn1(self._depthwise_conv(features)))
        narrowed: Tensor = self._bn2(self._project_conv(features))
        return given + narrowed if self._is_residual else narrowed


class _Convolution(nn.Conv2d):
    """Without offset, and with the margins of TensorFlow's SAME where the sides are multiples of the stride."""

    def __init__(self, channels: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        even = before == after
        super().__init__(channels, width, kernel, stride, padding=before if even else 0, groups=groups, bias=False)
        self._margins = None if even else (before, after, before, after)

    def forward(self, images: Tensor) -> Tensor:
        padded = images if self._margins is None else functional.pad(images, self._margins)
        filtered: Tensor = super().forward(padded)
        return filtered


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
