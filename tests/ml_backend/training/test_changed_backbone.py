from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from training_parts import NOW, client_of, kind_of, label_studio
from web_in_memory import Web

from common.images.fetch import Connect
from ml_backend.backend import Backend
from ml_backend.core.preparing import EFFICIENTNET_LITE0
from ml_backend.embedding.cache import EmbeddingCache
from ml_backend.errors import WeightsError
from ml_backend.finetune.initial_weights import base_identity
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import Samples

COLOURS = {"dark": "black", "light": "white"}
NUMBERS = range(1, 17)


def with_backbone(backbone: str, settings: Settings, connections: Connect) -> Backend:
    """A backend on the folder of the settings, for a project of 16 pictures of which 12 are annotated."""
    changed = {"weights": "imagenet", "backbone": backbone, "torch_threads": 1, "model_wait_s": 60}
    if backbone != EFFICIENTNET_LITE0:
        changed["weights"] = "random"
    backend = Backend(settings.model_copy(update=changed), connections)
    studio = label_studio({number: [kind_of(number)] * (number <= 12) for number in NUMBERS})
    vars(backend)["client"] = client_of(studio)
    return backend


@pytest.fixture
def pictures(web: Web, samples: "Samples") -> None:
    """A picture for each task."""
    web.pages |= {f"/{number}.png": samples.png(COLOURS[kind_of(number)]) for number in NUMBERS}


@pytest.mark.usefixtures("pictures")
def test_another_backbone_trains_anew(settings: Settings, connections: Connect) -> None:
    """A version keeps the backbone that it was trained on; the next training embeds anew with the new one."""
    with closing(with_backbone("resnet18", settings, connections)) as backend:
        old = backend.trainer.train(7, NOW).artifact
    with closing(with_backbone(EFFICIENTNET_LITE0, settings, connections)) as backend:
        embedder = backend.backbones.matching(old.identity, old.embedding_key, timeout_s=60)
        assert (embedder.backbone, embedder.dimension) == ("resnet18", 512)
        made = backend.trainer.train(7, NOW.replace(hour=13))
        assert made.artifact.model_version.startswith("efficientnet-lite0-imagenet-20260131T130000-")
        assert backend.registry.versions(7) == [made.artifact.model_version, old.model_version]
    cache, urls = EmbeddingCache(settings.data_dir / "embeddings.sqlite"), [f"/{number}.png" for number in NUMBERS]
    for artifact, dimension in ((old, 512), (made.artifact, 1280)):
        vectors = cache.vectors_at(7, urls, artifact.embedding_key)
        assert {len(vector) for vector in vectors.values()} == {dimension}


def test_only_a_resnet_is_tuned(settings: Settings, connections: Connect) -> None:
    """Where another network answers, a tuning names what it could begin with, and begins with that if asked to."""
    with closing(with_backbone(EFFICIENTNET_LITE0, settings, connections)) as backend:
        with pytest.raises(WeightsError, match="efficientnet-lite0 answers, and only a ResNet learns: --from"):
            base_identity(backend.trainer, 7, "", None)
        assert base_identity(backend.trainer, 7, "", "random").key == "resnet18:random-0"
