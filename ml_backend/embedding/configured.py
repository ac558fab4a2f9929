"""Which backbone and weights the settings stand for."""

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path

import structlog

from common.files import held, write_whole
from ml_backend.core.identity import Identity
from ml_backend.core.preparing import EFFICIENTNET_LITE0, PREPARATIONS
from ml_backend.core.versions import RANDOM
from ml_backend.embedding.checkpoints import IMAGENET, OPEN_CLIP, TIMM, content_id, state_file
from ml_backend.embedding.engines import has_torch
from ml_backend.embedding.plugged import AUTO, ONNX, identity_of, load_plugin
from ml_backend.errors import DownloadError, NotExportedError, WeightsError
from ml_backend.settings import Settings

log = structlog.get_logger()

RESNET18 = "resnet18"
PRETRAINED = "pretrained"  # how timm's weights are called: the name of its backbone says which


def configured_identity(settings: Settings, is_exported: Callable[[Identity], bool]) -> Identity:
    """Name what the settings stand for; weights that are not there yet are downloaded.

    Random weights stand in for ImageNet's of a ResNet that was asked for by name.

    Parameters
    ----------
    is_exported : callable
        Whether an engine of an identity is there, so that its weights need not be.

    Raises
    ------
    WeightsError
        If the weights are a path at which there is no file, or cannot be had.
    """
    if (plugin := load_plugin(settings.backbone, settings.backbone)) is not None:
        return identity_of(settings.backbone, plugin)
    if settings.weights == IMAGENET:
        return _learned(settings, is_exported)
    weights_id = RANDOM if settings.weights == RANDOM else content_id(Path(settings.weights))
    return Identity(named_backbone(settings), weights_id, settings.seed)


def is_ours(identity: Identity) -> bool:
    """Return whether torch exports a network here: of torchvision, timm or open_clip, or EfficientNet-Lite0."""
    return identity.backbone.partition(":")[0] in (TIMM, OPEN_CLIP, *PREPARATIONS)


def exportable_identity(settings: Settings, is_exported: Callable[[Identity], bool]) -> Identity:
    """Name the network of the settings that can be exported.

    Raises
    ------
    WeightsError
        If it needs no export, or has no weights yet.
    """
    identity = configured_identity(settings, is_exported)
    if not is_ours(identity):
        raise WeightsError(f"{settings.backbone} needs no torch, and no export")
    if identity.weights_id == RANDOM:
        raise WeightsError(
            f"{identity.backbone} has random weights, which are exported by each training"
            if settings.weights == RANDOM
            else f"the ImageNet weights of {identity.backbone} cannot be downloaded"
        )
    return identity


def named_backbone(settings: Settings) -> str:
    """Name what the settings ask for; ``auto`` where it takes a look at what there is."""
    if settings.backbone == AUTO and settings.weights != IMAGENET:
        return RESNET18
    return ONNX if settings.backbone.startswith(f"{ONNX}:") else settings.backbone


def _learned(settings: Settings, is_exported: Callable[[Identity], bool]) -> Identity:
    if settings.backbone == AUTO:
        return _automatic(Identity(RESNET18, IMAGENET, settings.seed), settings, is_exported)
    if settings.backbone.startswith(f"{TIMM}:"):
        return Identity(settings.backbone, PRETRAINED, settings.seed)
    identity = Identity(settings.backbone, IMAGENET, settings.seed)
    try:
        _obtain(identity, settings, is_exported)
    except DownloadError as error:
        warn_random(identity.backbone, str(error))
        return dataclasses.replace(identity, weights_id=RANDOM)
    return identity


@cache
def warn_random(backbone: str, reason: str) -> None:
    """Warn once in a process: the download is tried again and again."""
    log.warning("imagenet_weights_unavailable_using_random", backbone=backbone, reason=reason, weights=RANDOM)


def _automatic(resnet: Identity, settings: Settings, is_exported: Callable[[Identity], bool]) -> Identity:
    """Take the ResNet where its weights are or can be had, else EfficientNet-Lite0, from then on.

    The choice holds for all processes on the data folder and for later starts: to change with every fault of the
    network would embed and train everything anew.
    """
    small = dataclasses.replace(resnet, backbone=EFFICIENTNET_LITE0)
    choice = settings.data_dir / "weights" / AUTO
    if choice.is_file():
        return small
    if is_exported(resnet):
        return resnet
    with held(choice.with_name(f".{AUTO}.lock"), wait=True):
        if choice.is_file():
            return small
        try:
            _obtain(resnet, settings, is_exported)
        except (DownloadError, NotExportedError) as error:
            try:
                _obtain(small, settings, is_exported)
            except NotExportedError:
                raise NotExportedError(resnet.key, small.key) from None
            except WeightsError as other:
                raise DownloadError(f"{error}, and {other}") from None
            if isinstance(error, DownloadError):
                log.warning("resnet_weights_unavailable", reason=str(error), backbone=EFFICIENTNET_LITE0)
            write_whole(choice, EFFICIENTNET_LITE0)
            return small
        return resnet


def _obtain(identity: Identity, settings: Settings, is_exported: Callable[[Identity], bool]) -> None:
    """See to it that a network can compute: as an engine, or by torch with its weights."""
    if is_exported(identity):
        return
    if not has_torch():
        raise NotExportedError(identity.key)
    state_file(identity, settings)
