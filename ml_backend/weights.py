"""Which weights the backbone gets, and loading them."""

import hashlib
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import structlog

from ml_backend.core.versions import RANDOM
from ml_backend.errors import ModelLoadingError, WeightsError
from ml_backend.settings import Settings

if TYPE_CHECKING:  # torch takes seconds to import, and serving answers before it is there
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ml_backend.core.embedder import ResNetEmbedder

IMAGENET, PENDING = "imagenet", "pending"
_ID_DIGITS = 8
_KEPT = 8  # calibrated copies: 40 kB of buffers each, the weights are shared
_STEP_S = 10.0
_RETRY_S = 60.0  # a failed load of other weights is not tried again before

log = structlog.get_logger()


@dataclass
class _Loading:
    """A load in a thread: it ends with an embedder or an error."""

    ended: threading.Event = field(default_factory=threading.Event)
    embedder: "ResNetEmbedder | None" = None
    error: str = ""
    retry_at: float = float("inf")  # on the monotonic clock


class EmbedderLoader:
    """Loads backbones once, in the background if asked to, and keeps them.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._error: str | None = None
        self._preferred: ResNetEmbedder | None = None
        self._bases: dict[tuple[str, str, int], ResNetEmbedder] = {}
        self._loads_lock = threading.Lock()  # never held while something is loaded
        self._loads: dict[tuple[str, str, int], _Loading] = {}
        self._calibrated: dict[str, ResNetEmbedder] = {}

    @property
    def loaded(self) -> bool:
        """Whether the backbone of the settings can embed."""
        return self._preferred is not None

    @property
    def error(self) -> str | None:
        """Why loading failed, if it did."""
        return self._error

    @property
    def weights_id(self) -> str:
        """How the weights that answer are called; ``pending`` while that is not known."""
        if self._preferred is not None:
            return self._preferred.weights_id
        return RANDOM if self._settings.weights == RANDOM else PENDING

    def start(self) -> None:
        """Load the backbone of the settings in a thread."""
        threading.Thread(target=self._load_preferred, name="load-backbone", daemon=True).start()

    def preferred(self, timeout_s: float | None = None) -> "ResNetEmbedder":
        """Give the backbone of the settings; wait for it if it is being loaded.

        Raises
        ------
        ModelLoadingError
            If it takes longer than the timeout.
        WeightsError
            If it cannot be loaded.
        """
        if timeout_s is None:
            self._load_preferred()
        elif not self._ready.wait(timeout_s):
            raise ModelLoadingError("the backbone is still being loaded: ask again in a moment")
        if self._preferred is None:
            raise WeightsError(self._error or "the backbone could not be loaded")
        return self._preferred

    def matching(
        self,
        *,
        backbone: str,
        weights_id: str,
        seed: int,
        calibration: "Mapping[str, NDArray[np.float32]]",
        embedding_key: str,
        timeout_s: float,
    ) -> "ResNetEmbedder":
        """Give the embedder that a trained model belongs to.

        Raises
        ------
        ModelLoadingError
            If the backbone is still being loaded.
        WeightsError
            If those weights cannot be had any more.
        """
        ends_at = time.monotonic() + timeout_s
        self.preferred(timeout_s)
        found = self._calibrated.get(embedding_key)
        if found is None:
            base = self._base(backbone, weights_id, seed, max(ends_at - time.monotonic(), 0))
            found = base.with_calibration(calibration)
            if found.key != embedding_key:
                raise WeightsError(f"{found.key} is not {embedding_key}: train the project again")
            with self._loads_lock:
                while len(self._calibrated) >= _KEPT:
                    self._calibrated.pop(next(iter(self._calibrated)))
                self._calibrated[embedding_key] = found
        return found

    def _base(self, backbone: str, weights_id: str, seed: int, timeout_s: float) -> "ResNetEmbedder":
        """Give a backbone without calibration; one that is not there yet is loaded by one thread for all."""
        key = backbone, weights_id, seed
        if (known := self._bases.get(key)) is not None:
            return known
        with self._loads_lock:
            loading = self._loads.get(key)
            if loading is None or time.monotonic() >= loading.retry_at:
                loading = self._loads[key] = _Loading()
                threading.Thread(
                    target=self._load_for, args=(loading, *key), name="load-weights", daemon=True
                ).start()
        if not loading.ended.wait(timeout_s):
            raise ModelLoadingError(f"{backbone} with the weights {weights_id} is still being loaded")
        if loading.embedder is None:
            raise WeightsError(loading.error)
        return loading.embedder

    def _load_for(self, loading: _Loading, backbone: str, weights_id: str, seed: int) -> None:
        try:
            loading.embedder = self._load(backbone, weights_id, seed)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the weights, those who wait must hear it
            loading.error = str(error) if isinstance(error, WeightsError) else type(error).__name__
            loading.retry_at = time.monotonic() + _RETRY_S
            log.error("weights_not_loaded", weights=weights_id, error=loading.error)
        loading.ended.set()

    def _load_preferred(self) -> None:
        settings = self._settings
        with self._lock:
            if self._preferred is not None:
                return
            try:
                self._preferred = self._load(settings.backbone, settings.weights, settings.seed)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the weights, /health must say it
                self._error = str(error) if isinstance(error, WeightsError) else type(error).__name__
                log.error("backbone_not_loaded", error=self._error)
            self._ready.set()

    def _load(self, backbone: str, weights: str, seed: int) -> "ResNetEmbedder":
        import torch  # noqa: PLC0415 - takes seconds

        from ml_backend.core.embedder import ResNetEmbedder  # noqa: PLC0415 - imports torch

        if self._settings.torch_threads:
            torch.set_num_threads(self._settings.torch_threads)
        weights_id, state = self._state(backbone, weights)
        try:
            embedder = ResNetEmbedder(
                backbone, weights_id=weights_id, state=state, seed=seed, batch_size=self._settings.batch_size
            )
        except ValueError as error:
            raise WeightsError(str(error)) from None
        self._bases[backbone, weights_id, seed] = embedder
        return embedder

    def _state(self, backbone: str, weights: str) -> tuple[str, dict[str, Any] | None]:
        preferred = weights == self._settings.weights
        if weights == RANDOM:
            return RANDOM, None
        if weights == IMAGENET:
            try:
                return IMAGENET, _read(_checkpoint(backbone, self._settings))
            except WeightsError as error:
                if not preferred:
                    raise
                log.warning("imagenet_weights_unavailable_using_random", reason=str(error), weights=RANDOM)
                return RANDOM, None
        path = Path(weights if preferred else self._settings.weights)
        if not path.is_file():
            raise WeightsError(f"{str(path)!r} is no file: ML_BACKEND_WEIGHTS is imagenet, random or a path")
        weights_id = hashlib.sha256(path.read_bytes()).hexdigest()[:_ID_DIGITS]
        if not preferred and weights_id != weights:
            raise WeightsError(f"the weights {weights} are not configured any more: train the project again")
        return weights_id, _read(path)


def _read(path: Path) -> dict[str, Any]:
    import torch  # noqa: PLC0415 - takes seconds

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises pickle's, zip's and its own errors; none may run code, weights_only sees to that
        raise WeightsError(f"{path.name} is not a state dict that loads without running code") from error
    if not isinstance(state, dict) or not all(isinstance(one, torch.Tensor) for one in state.values()):
        raise WeightsError(f"{path.name} holds no plain state dict (a dict of names to tensors)")
    return state


def _checkpoint(backbone: str, settings: Settings) -> Path:
    """Find torchvision's checkpoint in torch's cache or ours, or download it into ours."""
    import torch  # noqa: PLC0415 - takes seconds

    from ml_backend.core.embedder import BACKBONES  # noqa: PLC0415 - imports torch

    url = str(BACKBONES[backbone][1].url)
    name = url.rsplit("/", 1)[-1]
    kept = settings.data_dir / "weights" / name
    for path in (Path(torch.hub.get_dir()) / "checkpoints" / name, kept):
        if path.is_file():
            return path
    return _download(url, kept, settings.weights_timeout_s)


def _download(url: str, path: Path, timeout_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{threading.get_native_id()}")
    ends_at = time.monotonic() + timeout_s
    digest = hashlib.sha256()
    try:
        with (
            httpx.stream("GET", url, timeout=_STEP_S, follow_redirects=True) as response,
            unfinished.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                file.write(chunk)
                digest.update(chunk)
                if time.monotonic() > ends_at:
                    raise WeightsError(f"downloading {path.name} took over {timeout_s:.0f} s")
        expected = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
        if expected and not digest.hexdigest().startswith(expected[1]):
            raise WeightsError(f"the download of {path.name} has a wrong checksum")
        unfinished.replace(path)
    except (httpx.HTTPError, OSError) as error:
        raise WeightsError(f"{path.name} cannot be downloaded ({type(error).__name__})") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path
