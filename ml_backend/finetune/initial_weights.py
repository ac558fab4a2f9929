"""Which weights a tuning starts from."""

import re
import shutil
from pathlib import Path

from common.files import replacing
from ml_backend.core.identity import Identity
from ml_backend.core.versions import RANDOM
from ml_backend.embedding.checkpoints import IMAGENET, URLS, content_id, kept_weights, state_file
from ml_backend.embedding.configured import RESNET18
from ml_backend.embedding.tuned import TunedWeights
from ml_backend.errors import WeightsError
from ml_backend.settings import Settings
from ml_backend.training.train import Trainer

_WEIGHTS_ID = re.compile(r"[0-9a-f]{8}")


def base_identity(trainer: Trainer, project_id: int, stamp: str, given: str | None) -> Identity:
    """Return which weights a tuning of the project with that stamp starts from: always a ResNet's.

    Raises
    ------
    WeightsError
        If they cannot be had, or are no ResNet's.
    """
    settings = trainer.settings
    resnet = settings.backbone if settings.backbone in URLS else RESNET18
    if given is None:
        tuned = TunedWeights(settings.data_dir).of_project(project_id, stamp)
        return tuned.identity if tuned else Identity(*_preferred(trainer))
    if given == RANDOM:
        return Identity(resnet, RANDOM, settings.seed)
    if _WEIGHTS_ID.fullmatch(given) or given == IMAGENET:
        made = TunedWeights(settings.data_dir).made(given)
        identity = made.identity if made else Identity(resnet, given)
        state_file(identity, settings)
        return identity
    return Identity(resnet, _kept(Path(given), settings))


def _preferred(trainer: Trainer) -> tuple[str, str, int]:
    embedder = trainer.backbones.preferred()
    if embedder.backbone not in URLS:
        raise WeightsError(
            f"{embedder.backbone} answers, and only a ResNet learns: --from random begins with a ResNet-18 that "
            "has learned nothing, --from imagenet or a path with its weights"
        )
    return embedder.backbone, embedder.weights_id, trainer.settings.seed


def _kept(path: Path, settings: Settings) -> str:
    """Copy a state dict to where it is found by its id."""
    weights_id = content_id(path)
    place = kept_weights(settings.data_dir, weights_id)
    if not place.is_file():
        with replacing(place) as unfinished:
            shutil.copyfile(path, unfinished)
    return weights_id
