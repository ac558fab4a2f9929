"""The parts of a serving process, put together from the settings."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from common.images.fetch import Connect, Fetcher
from ml_backend.core.identity import Identity
from ml_backend.core.versions import untrained_version
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.cache import EmbeddingCache
from ml_backend.embedding.exporting import prune_engines
from ml_backend.embedding.gather import Gatherer, make_fetcher
from ml_backend.embedding.tuned import TunedWeights
from ml_backend.errors import VersionError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.ownership import instance_id
from ml_backend.metrics import BATCH_IMAGES
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings
from ml_backend.training.background import BackgroundTraining, TrainingProcess
from ml_backend.training.train import Trainer
from ml_backend.training.training_requests import TrainingRequests


@dataclass(frozen=True)
class Backend:
    """Everything that a request or a training needs.

    Parameters
    ----------
    connect : callable, optional
        Another network for images, for tests.
    """

    settings: Settings
    connect: Connect | None = None
    _connecting: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @cached_property
    def registry(self) -> ModelRegistry:
        """The trained models."""
        return ModelRegistry(self.settings.data_dir)

    @cached_property
    def instance(self) -> str:
        """Its identity, by which it knows its connections again."""
        return instance_id(self.settings.data_dir)

    @cached_property
    def backbones(self) -> Backbones:
        """The backbones."""
        return Backbones(self.settings)

    @cached_property
    def requests(self) -> TrainingRequests:
        """The trainings that were asked for."""
        return TrainingRequests(self.settings.data_dir, self.settings.quiet_s, self.settings.max_wait_s)

    @cached_property
    def background(self) -> BackgroundTraining:
        """What trains when asked."""
        training = TrainingProcess(self.settings.training_timeout_s)
        return BackgroundTraining(self.settings, self.requests, training, client=lambda: self.client)

    @cached_property
    def client(self) -> LabelStudioClient:
        """Label Studio.

        Raises
        ------
        SettingsError
            If its address or key is not set.
        """
        return LabelStudioClient(self.settings)

    @cached_property
    def fetcher(self) -> Fetcher:
        """What downloads images."""
        return make_fetcher(self.settings, self._authorization, self.connect)

    @cached_property
    def gatherer(self) -> Gatherer:
        """Images and their embeddings."""
        settings = self.settings
        cache = EmbeddingCache(
            settings.data_dir / "embeddings.sqlite", max_bytes=settings.cache_bytes, in_use=self._embedding_keys
        )
        return Gatherer(
            fetcher=self.fetcher,
            cache=cache,
            limits=settings.image_limits,
            fetch_threads=settings.fetch_threads,
            decode_threads=settings.decode_threads,
            batch_size=settings.batch_size,
            recheck_s=settings.recheck_s,
            backlog=settings.backlog,
            observe_batch=BATCH_IMAGES.observe,
        )

    @cached_property
    def trainer(self) -> Trainer:
        """What a training is made with."""
        return Trainer(self.settings, self.client, self.gatherer, self.backbones, self.registry)

    def _authorization(self) -> str:
        with self._connecting:  # many threads fetch at once, and the first one makes the client
            client = self.client
        return client.authorization()

    def _embedding_keys(self) -> set[str] | None:
        """Return the keys of the embedders that some version needs; None if one cannot be read."""
        records = [record for project in self.registry.projects() for record in self.registry.records(project)]
        keys = {str(record.described.get("embedding_key", "")) for record in records}
        return None if "" in keys else keys

    def identities(self) -> Iterator[Identity]:
        """Return the identities of the weights that were made here and of all versions that can be read."""
        yield from (tuned.identity for tuned in TunedWeights(self.settings.data_dir).all())
        for project in self.registry.projects():
            for version in self.registry.versions(project):
                with contextlib.suppress(VersionError):
                    yield self.registry.load(project, version).identity.network

    def prune_engines(self, now: float) -> None:
        """Delete the engines that no version needs; ``now`` in seconds since the epoch."""
        keys = self._embedding_keys()
        if keys is not None:
            needed = {self.backbones.preferred().key} if self.backbones.loaded else set()
            needed |= {tuned.identity.key for tuned in TunedWeights(self.settings.data_dir).all()}
            prune_engines(self.settings.data_dir, keys | needed, now)

    def version(self, project_id: int, stamp: str = "") -> str:
        """Name the version that answers for a project, with the stamp of its creation if that is known."""
        trained = self.registry.current_version(project_id, stamp)
        return trained or untrained_version(self.backbones.backbone, self.backbones.weights_id, self.instance)

    def start(self) -> None:
        """Load the backbone and begin to train on request, both in the background.

        All parts are made here, before the first request: two threads that asked at once would each make one.
        """
        _ = self.registry, self.gatherer
        self.backbones.start()
        self.background.start()

    def stop(self) -> None:
        """End the background work."""
        self.background.stop()
        self.close()

    def close(self) -> None:
        """Close what was opened."""
        for attribute in ("backbones", "gatherer", "fetcher", "client"):
            if attribute in vars(self):  # a cached property that was used
                getattr(self, attribute).close()
