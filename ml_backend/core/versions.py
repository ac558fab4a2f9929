"""Names of model versions: they say which weights answer, and none is a prefix of another."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

MODEL_CLASS = "ResNetKMeans"  # by which one of these backends is known
_UNTRAINED = "untrained"
RANDOM = "random"  # how weights are called that were not learned
_OURS = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*-[0-9A-Za-z._]+-\d{8}T\d{6}-[0-9a-f]{4}")


def trained_version(backbone: str, weights_id: str, when: datetime, digest: str) -> str:
    """Name the version of one training.

    Parameters
    ----------
    backbone, weights_id : str
        For example ``resnet18`` and ``random``.
    when : datetime
        Aware; written in UTC.
    digest : str
        At least 4 hexadecimal digits that depend on what was learned.

    Examples
    --------
    >>> trained_version("resnet18", "random", datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC), "3fa2bc")
    'resnet18-random-20260131T120005-3fa2'
    """
    return f"{_name(backbone)}-{weights_id}-{when.astimezone(UTC):%Y%m%dT%H%M%S}-{digest[:4]}"


def untrained_version(backbone: str, weights_id: str, instance: str = "") -> str:
    """Name what answers before the first training, with the identity of the backend that answers.

    Examples
    --------
    >>> untrained_version("timm:vit_small_patch14_dinov2.lvd142m", "pretrained", "00c0ffee")
    'timm_vit_small_patch14_dinov2.lvd142m-pretrained-untrained-00c0ffee'
    """
    return "-".join([_name(backbone), weights_id, _UNTRAINED, *([instance] if instance else [])])


def is_untrained_version_of(version: str, instance: str) -> bool:
    """Return whether a backend of this identity named a version before its first training.

    Examples
    --------
    >>> is_untrained_version_of("resnet18-random-untrained-00c0ffee", "00c0ffee")
    True
    >>> is_untrained_version_of("resnet18-random-untrained", "")
    False
    """
    return bool(instance) and version.endswith(f"-{_UNTRAINED}-{instance}")


def is_untrained_version(version: str) -> bool:
    """Return whether some backend of this kind named a version before its first training.

    Examples
    --------
    >>> is_untrained_version("resnet18-random-untrained-00c0ffee"), is_untrained_version("untrained")
    (True, False)
    """
    return f"-{_UNTRAINED}" in version


def _name(backbone: str) -> str:
    return re.sub(r"[^0-9A-Za-z._-]", "_", backbone)


def newest_first(versions: Iterable[str]) -> list[str]:
    """Sort versions by the time of their training.

    Examples
    --------
    >>> newest_first(["resnet18-random-20260131T120005-3fa2", "efficientnet-lite0-imagenet-20260201T080000-00aa"])
    ['efficientnet-lite0-imagenet-20260201T080000-00aa', 'resnet18-random-20260131T120005-3fa2']
    """
    return sorted(versions, key=lambda version: version.rsplit("-", 2)[1:], reverse=True)


def is_ours(version: str) -> bool:
    """Return whether a version was made by a training of this backend.

    Examples
    --------
    >>> is_ours("resnet18-random-20260131T120005-3fa2"), is_ours("consensus/Discovered")
    (True, False)
    """
    return _OURS.fullmatch(version) is not None
