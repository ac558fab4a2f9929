"""Embedders from elsewhere: an ONNX file, or what a package registers in the entry points of ``EMBEDDERS``."""

import copy
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml_backend.core.identity import Calibration, Identified, Identity
from ml_backend.core.preparing import PREPARATIONS, Preparation, read_address, whole
from ml_backend.embedding.checkpoints import OPEN_CLIP, TIMM
from ml_backend.embedding.engines import NAMES, open_session
from ml_backend.errors import EmbeddingError, WeightsError
from ml_backend.settings import EMBEDDERS

AUTO, ONNX = "auto", "onnx"
_ID = re.compile(r"[0-9A-Za-z._]+")
_ID_DIGITS = 8


class Plugin(Protocol):
    """What is registered, as something to be called without arguments. Threads share it."""

    @property
    def weights_id(self) -> str:
        """Another one whenever the embeddings are other ones: letters, digits, points and underscores."""

    @property
    def short_side(self) -> int:
        """Pixels of an image's shorter side that are enough for ``prepare``."""

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """Map an RGB image to an array, of the same shape for each."""

    def embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed prepared images: (n_images, dimension)."""


class PluggedEmbedder(Identified):
    """A plugin as an embedder.

    Raises
    ------
    WeightsError
        If it cannot embed an image.
    """

    streams = 1

    def __init__(self, backbone: str, plugin: Plugin, *, batch_size: int = 16) -> None:
        self.prepare, self.short_side = plugin.prepare, plugin.short_side
        self.engine = str(getattr(plugin, "engine", "plugged"))
        self.identity = identity_of(backbone, plugin)
        self._plugin, self._batch_size = plugin, int(getattr(plugin, "batch_size", batch_size))
        try:
            self.dimension = self._embed([plugin.prepare(Image.new("RGB", (plugin.short_side,) * 2))]).shape[1]
        except Exception as error:
            reason = str(error) if isinstance(error, EmbeddingError) else type(error).__name__
            raise WeightsError(f"{self.key} cannot embed an image: {reason}") from error

    def embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed prepared images in batches: (n_images, dimension) float32."""
        starts = range(0, len(prepared), self._batch_size)
        batches = [self._embed(prepared[start : start + self._batch_size]) for start in starts]
        return np.concatenate([np.zeros((0, self.dimension), dtype=np.float32), *batches])

    def calibrate(self, _prepared: Sequence[NDArray[np.float32]]) -> "PluggedEmbedder":
        """Return itself: only random weights are calibrated."""
        return self

    def with_calibration(self, _calibration: Calibration) -> "PluggedEmbedder":
        """Return itself."""
        return self

    def seeing_whole(self) -> "PluggedEmbedder | None":
        """Return a copy that sees whole images, where it prepares them as our own are."""
        if not isinstance(self.prepare, Preparation):
            return None
        copied = copy.copy(self)
        copied.prepare, copied.identity = whole(self.prepare), replace(self.identity, whole=True)
        return copied

    def _embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        vectors = np.asarray(self._plugin.embed(prepared), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(prepared):  # noqa: PLR2004 - images and numbers
            raise EmbeddingError(f"{len(prepared)} images gave an array of {vectors.shape}, not one row for each")
        return vectors


class OnnxFile:
    """A file that maps (n or 1, 3, height, width) float32 to (n, dimension), with its preparation.

    Parameters
    ----------
    address : str
        The path, and what ``Preparation`` takes after a question mark: see ``read_address``.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    EngineError
        If ONNX Runtime cannot open it.
    """

    engine = NAMES["onnx"]

    def __init__(self, address: str) -> None:
        path, preparation = read_address(address)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise WeightsError(f"{str(path)!r} cannot be read ({type(error).__name__})") from None
        digest.update(repr(preparation).encode())
        self.weights_id = digest.hexdigest()[:_ID_DIGITS]
        self.prepare, self.short_side = preparation, preparation.resize
        self._session: Any = open_session(path)
        images = self._session.get_inputs()[0]
        self._name = images.name
        if images.shape and images.shape[0] == 1:
            self.batch_size = 1

    def embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed prepared images: (n_images, dimension)."""
        vectors: NDArray[np.float32] = self._session.run(None, {self._name: np.stack(list(prepared))})[0]
        return vectors


def load_plugin(backbone: str, configured: str) -> Plugin | None:
    """Return what embeds for a backbone; None if it is none from elsewhere.

    Parameters
    ----------
    configured : str
        The setting, which alone knows where an ONNX file is.

    Raises
    ------
    WeightsError
        If it cannot be had.
    """
    name = backbone.partition(":")[0]
    if name in (AUTO, TIMM, OPEN_CLIP, *PREPARATIONS):
        return None
    if name == ONNX:
        if not configured.startswith(f"{ONNX}:"):
            raise WeightsError("ML_BACKEND_BACKBONE names no ONNX file any more: train the project again")
        return _onnx(configured.partition(":")[2])
    if name not in entry_points(group=EMBEDDERS).names:
        raise WeightsError(f"no embedder {name} is installed: install its package, or train the project again")
    return _registered(name)


def identity_of(backbone: str, plugin: Plugin) -> Identity:
    """Name what a plugin's embeddings depend on.

    Raises
    ------
    WeightsError
        If it gives its weights a name that fits no version.
    """
    weights_id = str(plugin.weights_id)
    if not _ID.fullmatch(weights_id):
        raise WeightsError(
            f"weights_id of {backbone} is {weights_id!r}: letters, digits, points and underscores fit"
        )
    return Identity(backbone.partition(":")[0], weights_id)


@lru_cache(maxsize=2)
def _onnx(address: str) -> OnnxFile:
    return OnnxFile(address)


@lru_cache(maxsize=8)
def _registered(name: str) -> Plugin:
    [entry] = list(entry_points(group=EMBEDDERS, name=name))[:1]
    try:
        plugin: Plugin = entry.load()()
    except Exception as error:
        raise WeightsError(
            f"the embedder {name} ({entry.value}) cannot be made: {type(error).__name__}: {error}"
        ) from error
    return plugin
