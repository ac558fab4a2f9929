"""Backbones by their identity, loaded once for all who wait: an ONNX engine, exported if need be, or torch."""

import dataclasses
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
from numpy.typing import NDArray

from common.errors import SuiteError
from ml_backend.core.identity import WHOLE, Identity
from ml_backend.core.versions import RANDOM
from ml_backend.embedding import exporting
from ml_backend.embedding.checkpoints import IMAGENET, state_file
from ml_backend.embedding.configured import configured_identity, named_backbone
from ml_backend.embedding.engines import (
    NAMES,
    Embedder,
    EngineError,
    Kind,
    OnnxEmbedder,
    choose,
    copy_engine,
    engine_file,
    has_torch,
    images_a_run,
    may_need_torch,
    open_session,
    streams_and_threads,
)
from ml_backend.embedding.plugged import PluggedEmbedder, load_plugin
from ml_backend.errors import DownloadError, ModelLoadingError, NotExportedError, WeightsError
from ml_backend.settings import Settings

if TYPE_CHECKING:  # torch takes seconds to import, and hundreds of megabytes
    from ml_backend.core.embedder import TorchEmbedder

log = structlog.get_logger()

PENDING = "pending"
_KEPT = 4  # embedders besides the preferred one: an engine of resnet18 takes some 60 MB
_KEPT_BASES = 3  # weights that torch keeps loaded: 45 MB of a resnet18, 100 MB of a resnet50
_RETRY_S = 60.0  # a failed load is not tried again before
_RARELY_S = 3600.0  # what failed again and again is tried again at least so often


@dataclasses.dataclass
class _Load:
    """A load in a thread: it ends with an embedder or an error."""

    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    embedder: Embedder | None = None
    error: Exception | None = None
    retry_at: float = float("inf")  # on the monotonic clock

    @property
    def passes(self) -> bool:
        """Whether the error may pass: a network comes back, and a disk has room again."""
        return isinstance(self.error, DownloadError | EngineError)


class Backbones:
    """Loads backbones, in the background if asked to, and keeps the embedders that are in use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closed = threading.Event()
        self._preferred_lock = threading.Lock()
        self._preferred: Embedder | None = None
        self._error: str | None = None
        self._lock = threading.Lock()  # never held while something is loaded
        self._loads: dict[str, _Load] = {}
        self._kept: dict[str, Embedder] = {}
        self._torch_lock = threading.Lock()
        self._torch_bases: dict[str, TorchEmbedder] = {}

    @property
    def loaded(self) -> bool:
        """Whether the backbone of the settings can embed."""
        return self._preferred is not None

    @property
    def error(self) -> str | None:
        """Why the last load failed, of the backbone of the settings or of another one, until it succeeds."""
        with self._lock:
            errors = [_message(load.error) for load in self._loads.values() if load.error is not None]
        errors += exporting.failures(self._settings.data_dir)  # also of a training, in its own process
        return self._error or (errors[0] if errors else None)

    @property
    def engine(self) -> str:
        """What computes, a value of ``engines.NAMES``; ``pending`` until a graphics processor is looked for."""
        if self._preferred is not None:
            return self._preferred.engine
        if "_kind" not in vars(self) and may_need_torch(self._settings.engine):
            return PENDING
        return NAMES[self._kind]

    @property
    def backbone(self) -> str:
        """What the backbone that answers is called; ``auto`` while that is not known."""
        return self._preferred.backbone if self._preferred is not None else named_backbone(self._settings)

    @property
    def weights_id(self) -> str:
        """How the weights that answer are called; ``pending`` while that is not known."""
        if self._preferred is not None:
            return self._preferred.weights_id
        return RANDOM if self._settings.weights == RANDOM else PENDING

    def start(self) -> None:
        """Load the backbone of the settings in a thread, and again from time to time if it cannot be had yet."""
        threading.Thread(target=self._load_in_time, name="load-backbone", daemon=True).start()

    def close(self) -> None:
        """Try nothing again."""
        self._closed.set()

    def preferred(self) -> Embedder:
        """Return the backbone of the settings, or random weights in place of ImageNet's; load it if need be.

        Raises
        ------
        WeightsError
            If it cannot be loaded.
        """
        if self._preferred is None:
            with self._preferred_lock:
                if self._preferred is None:
                    self._load_preferred()
        if self._preferred is None:
            raise WeightsError(self._error or "the backbone could not be loaded")
        return self._preferred

    def matching(self, identity: Identity, embedding_key: str, *, timeout_s: float) -> Embedder:
        """Return the embedder that a trained model belongs to; one that is not there yet is loaded once for all.

        Parameters
        ----------
        embedding_key : str
            Of the model's embeddings: the identity's key, unless what makes it has changed since.

        Raises
        ------
        ModelLoadingError
            If it takes longer than the timeout, or the weights or their engine cannot be had now.
        WeightsError
            If those weights cannot be had any more.
        """
        if identity.whole:
            key = embedding_key.removesuffix(WHOLE)
            seeing = self.matching(identity.network, key, timeout_s=timeout_s).seeing_whole()
            if seeing is None or seeing.key != embedding_key:
                raise WeightsError(f"{embedding_key} cannot be made any more: train the project again")
            return seeing
        preferred = self._preferred
        if preferred is not None and preferred.key == embedding_key:
            return preferred
        if (loaded := self._kept.get(embedding_key)) is not None:
            return loaded
        if identity.key != embedding_key:
            raise WeightsError(f"{identity.key} is not {embedding_key}: train the project again")
        load = self._begin(identity)
        if not load.ended.wait(timeout_s):
            raise ModelLoadingError(
                f"{identity.backbone} with the weights {identity.weights_id} is still being loaded"
            )
        if load.embedder is None:
            raise (ModelLoadingError if load.passes else WeightsError)(_message(load.error))
        return load.embedder

    def embedder(self, identity: Identity) -> Embedder:
        """Make an embedder that is ready to compute.

        Raises
        ------
        WeightsError
            If its weights cannot be had.
        EngineError
            If there can be no engine.
        """
        settings = self._settings
        if (plugin := load_plugin(identity.backbone, settings.backbone)) is not None:
            made = PluggedEmbedder(identity.backbone, plugin, batch_size=settings.batch_size)
            if made.key != identity.key:
                raise WeightsError(f"{identity.key} is {made.key} now: train the project again")
            return made
        return self._by_engine(identity) if self._kind == "onnx" else self._by_torch(identity, self._device)

    def calibrated(self, identity: Identity, prepared: Sequence[NDArray[np.float32]]) -> Embedder:
        """Calibrate an identity on prepared images, by torch, and export the result."""
        made = self._by_torch(identity, self._device).calibrate(prepared)
        if self._kind != "onnx":
            return made
        path = engine_file(self._settings.data_dir, made.key)
        exporting.once(path, lambda: exporting.export(made, path), wait_s=self._settings.export_timeout_s)
        return self._by_engine(made.identity)

    def export(self, identity: Identity) -> Path:
        """Return the engine of an identity, exported or taken from the folder of exported ones if need be.

        Raises
        ------
        WeightsError
            If the weights cannot be had, or torch is needed and not installed.
        EngineError
            If there can be no engine.
        """
        settings = self._settings
        path, limit_s = engine_file(settings.data_dir, identity.key), settings.export_timeout_s

        def make() -> None:
            if copy_engine(settings.engines_dir, path):
                return
            if not has_torch():
                raise NotExportedError(identity.key)
            exporting.export_apart(identity, state_file(identity, settings), path, timeout_s=limit_s)

        exporting.once(path, make, wait_s=limit_s)
        return path

    def _begin(self, identity: Identity) -> _Load:
        with self._lock:
            if (loaded := self._kept.get(identity.key)) is not None:
                done = _Load(embedder=loaded)
                done.ended.set()
                return done
            load = self._loads.get(identity.key)
            if load is None or time.monotonic() >= load.retry_at:
                load = _Load()
                threading.Thread(
                    target=self._load_for, args=(load, identity), name="load-weights", daemon=True
                ).start()
                self._loads[identity.key] = load  # not before: without a thread nobody would end it
            return load

    def _load_for(self, load: _Load, identity: Identity) -> None:
        try:
            load.embedder = self._load(identity)
            self._keep(load.embedder)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the weights, those who wait must hear it
            load.error, load.retry_at = error, time.monotonic() + _RETRY_S
            log.error("weights_not_loaded", weights=identity.weights_id, error=_message(error))
        finally:
            load.ended.set()

    def _keep(self, embedder: Embedder) -> None:
        with self._lock:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[embedder.key] = embedder
            self._loads.pop(embedder.key, None)

    def _load_in_time(self) -> None:
        """Load the backbone of the settings; a network or a folder that is not there now may be there later."""
        wait_s = _RETRY_S
        while not self._closed.is_set():
            with self._preferred_lock:
                self._load_preferred()
                stands_in = self._settings.weights == IMAGENET and self.weights_id == RANDOM
            if self.loaded and not stands_in:
                return
            self._closed.wait(wait_s)
            wait_s = min(2 * wait_s, _RARELY_S)

    def _load_preferred(self) -> None:
        try:
            load = self._begin(configured_identity(self._settings, self.is_exported))
            load.ended.wait()  # what it does has limits of its own
            self._preferred = load.embedder or self._preferred
            self._error = _message(load.error) if load.error else None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the weights, /health must say it
            self._error = _message(error)
            log.error("backbone_not_loaded", error=self._error)

    def _load(self, identity: Identity) -> Embedder:
        if self._kind == "onnx" and identity.weights_id == RANDOM and not identity.calibration:
            if not has_torch():
                raise NotExportedError(f"{identity.key}, which torch calibrates,")
            return self._onnx(identity)  # opened on demand: nobody embeds with it before it is calibrated
        return self.embedder(identity)

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
        return made

    def _onnx(self, identity: Identity) -> OnnxEmbedder:
        opening, opened = threading.Lock(), list[Any]()

        def session() -> Any:  # noqa: ANN401 - ONNX Runtime's, untyped
            with opening:
                if not opened:
                    opened.append(self._open(identity))
                return opened[0]

        streams, threads = streams_and_threads(self._settings.torch_threads)
        n_images = images_a_run(identity.backbone, self._settings.batch_size, threads)
        return OnnxEmbedder(identity, session, origin=self, batch_size=n_images, streams=streams)

    def _open(self, identity: Identity) -> Any:  # noqa: ANN401 - ONNX Runtime's, untyped
        settings = self._settings
        path = self.export(identity)
        _, threads = streams_and_threads(settings.torch_threads)
        return open_session(path, threads=threads, key=identity.key)

    def is_exported(self, identity: Identity) -> bool:
        """Return whether ONNX Runtime computes and finds the engine of an identity."""
        path, exported = engine_file(self._settings.data_dir, identity.key), self._settings.engines_dir
        return self._kind == "onnx" and (
            path.is_file() or (exported is not None and (exported / path.name).is_file())
        )

    def _by_torch(self, identity: Identity, device: str) -> "TorchEmbedder":
        """Load by torch; identities that differ in their calibration share the weights."""
        settings = self._settings
        plain = dataclasses.replace(identity, calibration={})
        name = f"{plain.key}@{device}"
        with self._torch_lock:
            base = self._torch_bases.pop(name, None)
            if base is None:
                from ml_backend.embedding.networks import torch_embedder  # noqa: PLC0415 - imports torch

                if settings.torch_threads:
                    _limit_torch(settings.torch_threads)
                base = torch_embedder(
                    plain, state_file(plain, settings), batch_size=settings.batch_size, device=device
                )
            self._torch_bases[name] = base  # the last
            while len(self._torch_bases) > _KEPT_BASES:
                self._torch_bases.pop(next(iter(self._torch_bases)))
        return base.with_calibration(identity.calibration)


def _limit_torch(threads: int) -> None:
    import torch  # noqa: PLC0415 - takes seconds

    torch.set_num_threads(threads)


def _message(error: Exception | None) -> str:
    if isinstance(error, EngineError):
        return f"{exporting.NO_ENGINE}: {error}"
    return str(error) if isinstance(error, SuiteError) else type(error).__name__
