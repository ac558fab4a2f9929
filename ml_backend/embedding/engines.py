"""What computes embeddings: ONNX Runtime on the processor, or torch on a graphics processor or the processor."""

import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.errors import SuiteError
from common.files import replacing
from ml_backend.core.identity import WHOLE, Calibration, Identity, Network
from ml_backend.core.preparing import EFFICIENTNET_LITE0, PREPARATIONS, Preparation

Kind = Literal["onnx", "cuda", "cpu"]
NAMES: dict[Kind, str] = {"onnx": "onnxruntime-cpu", "cuda": "torch-cuda", "cpu": "torch-cpu"}
KEY_PROPERTY, PREPARATION_PROPERTY = "embedding_key", "preparation"  # of an engine's file
_STREAMS = 4  # at most


class EngineError(SuiteError):
    """A network cannot be exported to ONNX, or its file cannot be used."""


class Embedder(Protocol):
    """What maps images to embeddings, whatever computes it. Threads may share it."""

    @property
    def identity(self) -> Identity:
        """What its embeddings depend on."""

    @property
    def key(self) -> str:
        """Name of the identity."""

    @property
    def backbone(self) -> str:
        """For example ``resnet18``."""

    @property
    def weights_id(self) -> str:
        """How its weights are called."""

    @property
    def calibration(self) -> Calibration:
        """Mean and variance of the batch normalisation where they are a project's own; else empty."""

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""

    @property
    def engine(self) -> str:
        """What computes, a value of ``NAMES``."""

    @property
    def short_side(self) -> int:
        """Pixels of an image's shorter side that are enough for ``prepare``: what ``decode`` may be asked for."""

    @property
    def streams(self) -> int:
        """Batches that are best computed at the same time, each asked for by a thread of its own."""

    @property
    def prepare(self) -> Callable[[Image.Image], NDArray[np.float32]]:
        """Map an RGB image to the (3, height, width) float32 input of the network."""

    def embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed prepared images: (n_images, dimension) float32."""

    def calibrate(self, prepared: Sequence[NDArray[np.float32]]) -> "Embedder":
        """Return the embedder whose batch normalisation is that of the given images, at least one."""

    def with_calibration(self, calibration: Calibration) -> "Embedder":
        """Return the embedder with a calibration kept from before (none: unchanged)."""

    def seeing_whole(self) -> "Embedder | None":
        """Return a copy that sees whole images; None where nobody knows how it prepares them."""


class Origin(Protocol):
    """What makes the embedders that an engine, which cannot learn, is asked for."""

    def embedder(self, identity: Identity) -> Embedder:
        """Return the embedder of an identity."""

    def calibrated(self, identity: Identity, prepared: Sequence[NDArray[np.float32]]) -> Embedder:
        """Calibrate on prepared images."""


class OnnxEmbedder(Network):
    """A network in ONNX Runtime on the processor.

    Parameters
    ----------
    session : callable
        Opens the engine, when first needed: see ``open_session``.
    batch_size : int
        Images a run.
    streams : int
        Runs at the same time.
    """

    engine = NAMES["onnx"]

    def __init__(
        self,
        identity: Identity,
        session: Callable[[], Any],
        *,
        origin: Origin,
        batch_size: int = 16,
        streams: int = 1,
    ) -> None:
        self.identity, self.streams = identity, streams
        self._session, self._origin, self._batch_size = session, origin, batch_size

    @property
    def prepare(self) -> Preparation:
        """What maps an RGB image to the input of the network; its file says so where the backbone is not ours."""
        if self.preparation is None and self.backbone not in PREPARATIONS:
            written = json.loads(self._session().get_modelmeta().custom_metadata_map[PREPARATION_PROPERTY])
            self.preparation = Preparation(**written)
        return super().prepare

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""
        return int(self._session().get_outputs()[0].shape[1])

    def embed(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed prepared images in batches: (n_images, dimension) float32."""
        session = self._session()
        name, embeddings = session.get_inputs()[0].name, [np.zeros((0, self.dimension), dtype=np.float32)]
        for start in range(0, len(prepared), self._batch_size):
            images = prepared[start : start + self._batch_size]
            batch = images[0][None] if len(images) == 1 else np.stack(list(images))  # a view needs no copy
            embeddings.append(session.run(None, {name: batch})[0])
        return np.concatenate(embeddings)

    def calibrate(self, prepared: Sequence[NDArray[np.float32]]) -> Embedder:
        """Return the embedder whose batch normalisation is that of the given images, at least one."""
        return self._origin.calibrated(self.identity, prepared)

    def with_calibration(self, calibration: Calibration) -> Embedder:
        """Return the embedder with a calibration kept from before (none: unchanged)."""
        if not calibration:
            return self
        return self._origin.embedder(
            Identity(self.backbone, self.weights_id, self.identity.seed, dict(calibration))
        )


def streams_and_threads(threads: int) -> tuple[int, int]:
    """Divide threads into runs at the same time and threads of each.

    Threads of one run wait for one another after each layer, and all of them for the one that shares its processor
    with a decoder. So they are as few as possible; but each run at the same time takes memory of its own.

    Parameters
    ----------
    threads : int
        In all; 0 stands for as many as this process may use.

    Examples
    --------
    >>> streams_and_threads(1), streams_and_threads(2), streams_and_threads(16)
    ((1, 1), (2, 1), (4, 4))
    """
    threads = threads or len(os.sched_getaffinity(0))
    streams = min(threads, _STREAMS)
    return streams, threads // streams


def images_a_run(backbone: str, batch_size: int, threads: int) -> int:
    """Return how many images of a batch a run is fastest with.

    The depthwise convolutions of EfficientNet-Lite0 wait for memory: with an image a thread the layers stay in the
    processor's cache, and an image takes a seventh less time than with 16. A ResNet does not care.

    Examples
    --------
    >>> images_a_run("efficientnet-lite0", 16, 2), images_a_run("resnet18", 16, 2)
    (2, 16)
    """
    return min(threads, batch_size) if backbone == EFFICIENTNET_LITE0 else batch_size


def open_session(path: Path, *, threads: int = 0, key: str | None = None) -> Any:  # noqa: ANN401 - no types shipped
    """Open an engine's file.

    Parameters
    ----------
    threads : int
        That compute one batch; 0 takes as many as this process may use.
    key : str, optional
        The embedding key that the file must be of.

    Raises
    ------
    EngineError
        If it is damaged, not what was exported, or of another key.
    """
    if description_file(path).is_file():  # earlier versions wrote none
        verify(path)
    import onnxruntime  # noqa: PLC0415 - the commands that embed nothing need not wait for it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # A thread that spins while it waits takes the processor from those that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an error of its own for each fault, without a common base
        raise EngineError(f"{path.name} cannot be opened ({type(error).__name__})") from error
    _give_back_memory()
    exported_key = session.get_modelmeta().custom_metadata_map.get(KEY_PROPERTY)
    if key is not None and exported_key != key:
        raise EngineError(f"{path.name} is of {exported_key}, not of {key}")
    return session


def _give_back_memory() -> None:
    """Return to the system what opening has left: of a ResNet-18, 74 MB in each worker. Only glibc can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def engine_file(data_dir: Path, key: str) -> Path:
    """Name the file of an engine.

    Examples
    --------
    >>> engine_file(Path("backend"), "resnet18:random-0:0123456789ab").name
    'resnet18_random-0_0123456789ab.onnx'
    """
    return data_dir / "engines" / (re.sub(r"[^0-9A-Za-z.-]", "_", key.removesuffix(WHOLE)) + ".onnx")


def description_file(engine: Path) -> Path:
    """Name the JSON beside an engine that says what it is, with the SHA-256 of its content."""
    return engine.with_name(f"{engine.name}.json")


def sha256(path: Path) -> str:
    """Digest a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(engine: Path) -> None:
    """Compare an engine with the checksum that was written beside it.

    Raises
    ------
    EngineError
        If it is not what was exported.
    """
    try:
        exported = json.loads(description_file(engine).read_text("utf-8"))["sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        exported = ""
    if sha256(engine) != exported:
        raise EngineError(
            f"{str(engine)!r} is damaged: its checksum is not that of {description_file(engine).name}. Delete "
            "both: `ml-backend export`, where torch is installed, writes them anew"
        )


def copy_engine(folder: Path | None, path: Path) -> bool:
    """Copy an engine and its description from a folder of exported ones, if it is there.

    Raises
    ------
    EngineError
        If it is damaged.
    """
    if folder is None or not (exported := folder / path.name).is_file():
        return False
    verify(exported)
    for source, target in ((description_file(exported), description_file(path)), (exported, path)):
        with replacing(target) as unfinished:
            shutil.copyfile(source, unfinished)
    return True


def has_torch() -> bool:
    """Return whether torch is installed, without importing it."""
    return find_spec("torch") is not None


def may_need_torch(setting: str, devices: Path = Path("/dev")) -> bool:
    """Tell, without importing torch, whether it may have to compute: asked for, or there is a graphics processor.

    Parameters
    ----------
    setting : str
        ``auto``, ``onnx`` or ``torch``.
    devices : Path
        Where drivers show their devices.
    """
    if setting == "auto":
        return has_torch() and (any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists())
    return setting == "torch"


def choose(setting: str) -> Kind:
    """Choose what computes. Imports torch only where it may have to."""
    if not may_need_torch(setting):
        return "onnx"
    import torch  # noqa: PLC0415 - takes seconds

    if torch.cuda.is_available():
        return "cuda"
    return "cpu" if setting == "torch" else "onnx"
