"""Backbones by their identity: an ONNX engine, exported where there is none yet, or torch."""

import dataclasses
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
from numpy.typing import NDArray

from ml_backend.core.identity import Identity
from ml_backend.core.versions import RANDOM
from ml_backend.embedding import exporting
from ml_backend.embedding.checkpoints import IMAGENET, content_id, read_state, state_file
from ml_backend.embedding.engines import (
    NAMES,
    Embedder,
    EngineError,
    Kind,
    OnnxEmbedder,
    choose,
    engine_file,
    may_need_torch,
    open_session,
    streams_and_threads,
)
from ml_backend.errors import WeightsError
from ml_backend.settings import Settings

if TYPE_CHECKING:  # torch takes seconds to import, and hundreds of megabytes
    from ml_backend.core.embedder import ResNetEmbedder

log = structlog.get_logger()

_KEPT_BASES = 3  # weights that torch keeps loaded: 45 MB of a resnet18, 100 MB of a resnet50


class Backbones:
    """Makes embedders; keeps none but the weights that torch has loaded.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._torch_lock = threading.Lock()
        self._torch_bases: dict[str, ResNetEmbedder] = {}
        self._without: dict[str, str] = {}  # why torch on the processor stands in, by key

    @property
    def fallback(self) -> str | None:
        """Why torch on the processor has to answer, if so."""
        return [None, *self._without.values()][-1]

    def lacks_engine(self, embedder: Embedder) -> bool:
        """Tell whether torch on the processor only stands in for an engine."""
        return embedder.key in self._without

    @property
    def engine(self) -> str:
        """What computes, a value of ``engines.NAMES``; ``pending`` until a graphics processor is found."""
        if self.fallback is not None:
            return NAMES["cpu"]
        if "_kind" not in vars(self) and may_need_torch(self._settings.engine):
            return "pending"
        return NAMES[self._kind]

    def preferred(self) -> Identity:
        """Tell what the settings stand for. Weights that are not there yet are downloaded.

        Raises
        ------
        WeightsError
            If the weights are a path at which there is no file.
        """
        wanted, settings = self._settings.weights, self._settings
        if wanted not in (RANDOM, IMAGENET):
            return Identity(settings.backbone, content_id(Path(wanted)), settings.seed)
        identity = Identity(settings.backbone, wanted, settings.seed)
        if wanted == IMAGENET and not self._is_exported(identity):
            try:
                state_file(identity, settings)
            except WeightsError as error:
                log.warning("imagenet_weights_unavailable_using_random", reason=str(error), weights=RANDOM)
                return dataclasses.replace(identity, weights_id=RANDOM)
        return identity

    def embedder(self, identity: Identity) -> Embedder:
        """Make an embedder that is ready to compute.

        Without an engine, torch on the processor computes, unless the settings insist on an engine.

        Raises
        ------
        WeightsError
            If its weights cannot be had.
        EngineError
            If there can be no engine and the settings insist on one.
        """
        if self._kind != "onnx":
            return self._by_torch(identity, self._device)
        try:
            return self._by_engine(identity)
        except EngineError as error:
            return self._without_engine(identity, error)

    def uncalibrated(self, identity: Identity) -> Embedder:
        """Make an embedder of random weights, opened on demand: nobody embeds with it before it is calibrated."""
        if self._kind != "onnx":
            return self.embedder(identity)
        return self._onnx(identity)

    def calibrated(self, identity: Identity, prepared: Sequence[NDArray[np.float32]]) -> Embedder:
        """Calibrate an identity on prepared images, by torch, and export the result."""
        made = self._by_torch(identity, self._device).calibrate(prepared)
        if self._kind != "onnx":
            return made
        path = engine_file(self._settings.data_dir, made.key)
        try:
            exporting.once(path, lambda: exporting.export(made, path), wait_s=self._settings.export_timeout_s)
            return self._by_engine(made.identity)
        except EngineError as error:
            return self._without_engine(made.identity, error)

    @cached_property
    def _kind(self) -> Kind:
        kind = choose(self._settings.engine)
        if kind != "onnx" and self._settings.torch_threads:
            _limit_torch(self._settings.torch_threads)
        return kind

    @property
    def _device(self) -> str:
        return "cuda" if self._kind == "cuda" else "cpu"

    def _by_engine(self, identity: Identity) -> OnnxEmbedder:
        made = self._onnx(identity)
        try:
            made.dimension  # noqa: B018 - opens it
        except EngineError as error:
            path = engine_file(self._settings.data_dir, identity.key)
            if not path.is_file():
                raise
            log.warning("engine_unusable_exporting_again", key=identity.key, reason=str(error))
            path.unlink(missing_ok=True)
            made = self._onnx(identity)
            made.dimension  # noqa: B018
        self._without.pop(identity.key, None)
        return made

    def _onnx(self, identity: Identity) -> OnnxEmbedder:
        opening, opened = threading.Lock(), list[Any]()

        def session() -> Any:  # noqa: ANN401 - ONNX Runtime's, untyped
            with opening:
                if not opened:
                    opened.append(self._open(identity))
                return opened[0]

        streams, _ = streams_and_threads(self._settings.torch_threads)
        return OnnxEmbedder(identity, session, origin=self, batch_size=self._settings.batch_size, streams=streams)

    def _open(self, identity: Identity) -> Any:  # noqa: ANN401 - ONNX Runtime's, untyped
        settings = self._settings
        path, limit_s = engine_file(settings.data_dir, identity.key), settings.export_timeout_s

        def make() -> None:
            exporting.export_apart(identity, state_file(identity, settings), path, timeout_s=limit_s)

        exporting.once(path, make, wait_s=limit_s)
        _, threads = streams_and_threads(settings.torch_threads)
        return open_session(path, threads=threads, key=identity.key)

    def _is_exported(self, identity: Identity) -> bool:
        return self._kind == "onnx" and engine_file(self._settings.data_dir, identity.key).is_file()

    def _without_engine(self, identity: Identity, why: EngineError) -> Embedder:
        if self._settings.engine == "onnx":
            raise why
        log.warning("no_engine_using_torch_on_the_processor", key=identity.key, reason=str(why))
        self._without[identity.key] = f"{why}: torch on the processor answers"
        return self._by_torch(identity, "cpu")

    def _by_torch(self, identity: Identity, device: str) -> "ResNetEmbedder":
        """Load by torch; identities that differ in their calibration share the weights."""
        settings = self._settings
        plain = dataclasses.replace(identity, calibration={})
        name = f"{plain.key}@{device}"
        with self._torch_lock:
            base = self._torch_bases.pop(name, None)
            if base is None:
                from ml_backend.core.embedder import ResNetEmbedder  # noqa: PLC0415 - imports torch

                if settings.torch_threads:
                    _limit_torch(settings.torch_threads)
                path = state_file(plain, settings)
                try:
                    base = ResNetEmbedder(
                        plain.backbone,
                        weights_id=plain.weights_id,
                        state=read_state(path) if path else None,
                        seed=plain.seed,
                        batch_size=settings.batch_size,
                        device=device,
                    )
                except ValueError as error:
                    raise WeightsError(str(error)) from None
            self._torch_bases[name] = base  # the last
            while len(self._torch_bases) > _KEPT_BASES:
                self._torch_bases.pop(next(iter(self._torch_bases)))
        return base.with_calibration(identity.calibration)


def _limit_torch(threads: int) -> None:
    import torch  # noqa: PLC0415 - takes seconds

    torch.set_num_threads(threads)
