"""Loading backbones in the background, once for all who wait, and keeping them."""

import threading
import time
from dataclasses import dataclass, field

import structlog

from ml_backend.core.identity import Identity
from ml_backend.core.versions import RANDOM
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.checkpoints import IMAGENET
from ml_backend.embedding.engines import Embedder
from ml_backend.errors import DownloadError, MLBackendError, ModelLoadingError, WeightsError
from ml_backend.settings import Settings

PENDING = "pending"
_KEPT = 4  # embedders besides the preferred one: an engine of resnet18 takes some 60 MB
_RETRY_S = 60.0  # a failed load is not tried again before
_RARELY_S = 3600.0  # what something else stands in for is tried again at least so often

log = structlog.get_logger()


@dataclass
class _Loading:
    """A load in a thread: it ends with an embedder or an error."""

    ended: threading.Event = field(default_factory=threading.Event)
    embedder: Embedder | None = None
    error: str = ""
    passes: bool = False  # the error, perhaps
    retry_at: float = float("inf")  # on the monotonic clock


class EmbedderLoader:
    """Loads embedders once, in the background if asked to, and keeps them.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._backbones = Backbones(settings)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._error: str | None = None
        self._preferred: Embedder | None = None
        self._loads_lock = threading.Lock()  # never held while something is loaded
        self._loads: dict[str, _Loading] = {}
        self._kept: dict[str, Embedder] = {}
        self._engine_at = 0.0  # when an engine is tried again that torch stands in for, on the monotonic clock

    @property
    def loaded(self) -> bool:
        """Whether the backbone of the settings can embed."""
        return self._preferred is not None

    @property
    def error(self) -> str | None:
        """Why loading failed, or why torch on the processor has to answer, if so."""
        return self._error or self._backbones.fallback

    @property
    def engine(self) -> str:
        """What computes: ``onnxruntime-cpu``, ``torch-cuda`` or ``torch-cpu``; ``pending`` while it is chosen."""
        return self._backbones.engine

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
        """Give the backbone of the settings, or what stands in for it; load it if need be.

        Raises
        ------
        WeightsError
            If it cannot be loaded.
        """
        if self._preferred is None:
            with self._lock:
                if self._preferred is None:
                    self._load_preferred()
        if self._preferred is None:
            raise WeightsError(self._error or "the backbone could not be loaded")
        return self._preferred

    def matching(self, identity: Identity, embedding_key: str, *, timeout_s: float) -> Embedder:
        """Give the embedder that a trained model belongs to; one that is not there yet is loaded once for all.

        Parameters
        ----------
        identity : Identity
        embedding_key : str
            Of the model's embeddings: the identity's key, unless what makes it has changed since.
        timeout_s : float

        Raises
        ------
        ModelLoadingError
            If it takes longer than the timeout, or the weights cannot be downloaded now.
        WeightsError
            If those weights cannot be had any more.
        """
        preferred = self._preferred
        is_preferred = preferred is not None and preferred.key == embedding_key
        if (known := preferred if is_preferred else self._kept.get(embedding_key)) is not None:
            self._try_engine(known)
            return known
        if identity.key != embedding_key:
            raise WeightsError(f"{identity.key} is not {embedding_key}: train the project again")
        loading = self._begin(identity)
        if not loading.ended.wait(timeout_s):
            raise ModelLoadingError(
                f"{identity.backbone} with the weights {identity.weights_id} is still being loaded"
            )
        if loading.embedder is None:
            raise (ModelLoadingError if loading.passes else WeightsError)(loading.error)
        return loading.embedder

    def _begin(self, identity: Identity) -> _Loading:
        with self._loads_lock:
            if (known := self._kept.get(identity.key)) is not None:
                done = _Loading(embedder=known)
                done.ended.set()
                return done
            loading = self._loads.get(identity.key)
            if loading is None or time.monotonic() >= loading.retry_at:
                loading = _Loading()
                threading.Thread(
                    target=self._load_for, args=(loading, identity), name="load-weights", daemon=True
                ).start()
                self._loads[identity.key] = loading  # not before: without a thread nobody would end it
            return loading

    def _load_for(self, loading: _Loading, identity: Identity) -> None:
        try:
            loading.embedder = self._load(identity)
            self._keep(loading.embedder)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the weights, those who wait must hear it
            loading.error, loading.passes = _said(error), isinstance(error, DownloadError)
            loading.retry_at = time.monotonic() + _RETRY_S
            log.error("weights_not_loaded", weights=identity.weights_id, error=loading.error)
        finally:
            loading.ended.set()

    def _try_engine(self, embedder: Embedder) -> None:
        """Replace torch, where it stands in for an engine, in the background: a full disk may have room again."""
        if not self._backbones.lacks_engine(embedder):
            return
        with self._loads_lock:
            if time.monotonic() < self._engine_at:
                return
            self._engine_at = time.monotonic() + _RARELY_S
        load = (_Loading(), embedder.identity)
        threading.Thread(target=self._load_for, args=load, name="load-engine", daemon=True).start()

    def _keep(self, embedder: Embedder) -> None:
        with self._loads_lock:
            if self._backbones.lacks_engine(embedder):
                self._engine_at = time.monotonic() + _RARELY_S
            if self._preferred is not None and self._preferred.key == embedder.key:
                self._preferred = embedder
            self._kept.pop(embedder.key, None)
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[embedder.key] = embedder
            self._loads.pop(embedder.key, None)

    def _load_in_time(self) -> None:
        """Load the backbone of the settings; a network or a folder that is not there now may be there later."""
        wait_s = _RETRY_S
        while not self._closed.is_set():
            with self._lock:
                self._load_preferred()
                stands_in = self._settings.weights == IMAGENET and self.weights_id == RANDOM
            if self.loaded and not stands_in:
                return
            self._closed.wait(wait_s)
            wait_s = min(2 * wait_s, _RARELY_S)

    def _load_preferred(self) -> None:
        try:
            loading = self._begin(self._backbones.preferred())
            loading.ended.wait()  # what it does has limits of its own
            self._preferred, self._error = loading.embedder or self._preferred, loading.error or None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the weights, /health must say it
            self._error = _said(error)
            log.error("backbone_not_loaded", error=self._error)

    def _load(self, identity: Identity) -> Embedder:
        if identity.weights_id == RANDOM and not identity.calibration:
            return self._backbones.uncalibrated(identity)
        return self._backbones.embedder(identity)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, MLBackendError) else type(error).__name__
