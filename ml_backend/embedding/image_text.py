"""Networks that have learned images together with texts: of open_clip, or a registered embedder that embeds texts.

https://github.com/mlfoundations/open_clip
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.console import install
from ml_backend.core.identity import Identity
from ml_backend.core.preparing import Preparation
from ml_backend.core.zero_shot import Likeness
from ml_backend.embedding.checkpoints import OPEN_CLIP, content_id
from ml_backend.embedding.plugged import identity_of, load_plugin
from ml_backend.errors import DownloadError, WeightsError

if TYPE_CHECKING:
    from torch import nn

_EXTRA = ".[ml,zero-shot]"
_CONFIG = "open_clip_config.json"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TEXTS = 64  # at a time
_LENGTH = 0.01  # by which an embedding's may be off 1


def image_text_identity(setting: str) -> Identity:
    """Name the network that ``ML_BACKEND_ZERO_SHOT`` stands for.

    Raises
    ------
    WeightsError
        If there is none, or it knows no texts.
    """
    family, _, name = setting.partition(":")
    if family != OPEN_CLIP:
        plugin = load_plugin(setting, setting)
        if plugin is None or not hasattr(plugin, "embed_texts"):
            raise WeightsError(f"the embedder {setting} has no embed_texts: it knows no names of labels")
        return identity_of(setting, plugin)
    if Path(name).is_absolute():
        return Identity(setting, content_id(_weights_in(Path(name))))
    network, _, tag = name.partition(":")
    return Identity(f"{OPEN_CLIP}:{network}", tag or _tags(network)[0])


def image_network(identity: Identity) -> tuple["nn.Module", Preparation]:
    """Make what maps images to embeddings of length 1, and what prepares images for it.

    Raises
    ------
    WeightsError
        If its weights cannot be had, DownloadError if not now; never random ones.
    """
    import torch  # noqa: PLC0415 - takes seconds

    class Image(torch.nn.Module):
        def __init__(self, visual: torch.nn.Module) -> None:
            super().__init__()
            self.visual, self.dimension = visual, 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(self.visual(images), dim=-1)

    model = _model(identity)
    prepared = _open_clip().get_model_preprocess_cfg(model)
    side = prepared["size"] if isinstance(prepared["size"], int) else prepared["size"][-1]
    resize, interpolation = prepared["resize_mode"], prepared["interpolation"]
    if resize not in ("shortest", "squash") or interpolation not in ("bicubic", "bilinear"):
        raise WeightsError(f"{identity.backbone} resizes images by {resize}, {interpolation}: not supported")
    network = Image(model.visual).eval()
    with torch.inference_mode():
        network.dimension = int(network(torch.zeros(1, 3, side, side)).shape[1])
    return network, Preparation(
        resize=side,
        crop=side,
        mean=tuple(prepared["mean"]),
        std=tuple(prepared["std"]),
        interpolation=interpolation,
        squash=resize == "squash",
    )


def embed_texts(identity: Identity, texts: Sequence[str]) -> tuple[NDArray[np.float32], Likeness]:
    """Embed texts, and say how they are compared with images.

    Returns
    -------
    vectors : (n_texts, n_dimensions) float32
        Of length 1.
    likeness : Likeness

    Raises
    ------
    WeightsError
        As for ``image_network``; also where what a package registers gives no such vectors.
    """
    plugin: Any = load_plugin(identity.backbone, identity.backbone)
    if plugin is not None:
        vectors = np.asarray(plugin.embed_texts(list(texts)), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not of_length_one(vectors):  # noqa: PLR2004
            raise WeightsError(f"embed_texts of {identity.backbone} must give a vector of length 1 for each text")
        bias = getattr(plugin, "logit_bias", None)
        return vectors, Likeness(float(plugin.logit_scale), None if bias is None else float(bias))
    import torch  # noqa: PLC0415 - takes seconds

    model, open_clip, name = _model(identity), _open_clip(), identity.backbone.partition(":")[2]
    try:
        tokens = open_clip.get_tokenizer(_address(name))(list(texts))
    except ModuleNotFoundError as error:
        raise WeightsError(f"the texts of {identity.backbone} need {error.name}: {install(_EXTRA)}") from None
    except Exception as error:
        raise _unreachable(identity, "tokenizer", error) from error
    with torch.inference_mode():
        some = [model.encode_text(part, normalize=True).float().numpy() for part in tokens.split(_TEXTS)]
        bias = None if model.logit_bias is None else float(model.logit_bias)
        return np.concatenate(some), Likeness(float(model.logit_scale.exp()), bias)


def of_length_one(vectors: NDArray[np.float32]) -> bool:
    """Return whether vectors, (n, n_dimensions), may be compared by their cosine as they are."""
    return bool((abs(np.linalg.norm(vectors, axis=1) - 1) < _LENGTH).all())


def _open_clip() -> Any:  # noqa: ANN401 - an extra, which ships no types
    try:
        return import_module("open_clip")
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"open_clip:NAME needs {error.name}, which is not installed: {install(_EXTRA)}"
        ) from None


def _tags(network: str) -> list[str]:
    tags: list[str] = _open_clip().list_pretrained_tags_by_model(network)
    if not tags:
        raise WeightsError(f"open_clip has no weights of a network {network}")
    return tags


@lru_cache(maxsize=1)
def _model(identity: Identity) -> Any:  # noqa: ANN401 - open_clip's
    open_clip, name = _open_clip(), identity.backbone.partition(":")[2]
    folder = Path(name) if Path(name).is_absolute() else None
    if folder and content_id(_weights_in(folder)) != identity.weights_id:
        raise WeightsError(f"{name} holds other weights than {identity.weights_id}: train the project again")
    if folder is None and identity.weights_id not in (tags := _tags(name)):
        raise WeightsError(f"open_clip has no weights {identity.weights_id} of {name}, but {', '.join(tags)}")
    try:
        if folder is None:
            open_clip.download_pretrained(open_clip.get_pretrained_cfg(name, identity.weights_id))
    except Exception as error:  # of the network's libraries, without a common base
        raise _unreachable(identity, "weights", error) from error
    pretrained = None if folder else identity.weights_id
    try:
        model = open_clip.create_model(
            _address(name), pretrained=pretrained, require_pretrained=True, pretrained_text=False
        ).eval()
    except Exception as error:
        raise WeightsError(f"{identity.backbone} cannot be used ({type(error).__name__}: {error})") from error
    return model


def _address(name: str) -> str:
    """Return the name by which open_clip finds a network, a folder's with its schema."""
    return f"local-dir:{name}" if Path(name).is_absolute() else name


def _weights_in(folder: Path) -> Path:
    path = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if path is None or not (folder / _CONFIG).is_file():
        raise WeightsError(
            f"{str(folder)!r} must hold {_CONFIG}, {' or '.join(_WEIGHTS)} and the tokenizer's files, as the "
            "network's repository at Hugging Face does"
        )
    return path


def _unreachable(identity: Identity, lacking: str, error: Exception) -> DownloadError:
    name = identity.backbone.partition(":")[2]
    place = ""
    if not Path(name).is_absolute():
        published = _open_clip().get_pretrained_cfg(name, identity.weights_id)
        place = str(published.get("hf_hub") or published.get("url") or "").rstrip("/")
    return DownloadError(
        f"the {lacking} of {identity.backbone} ({identity.weights_id}) cannot be downloaded "
        f"({type(error).__name__}). Elsewhere, put all files of {place or 'its repository'} at Hugging Face into "
        f"a folder, copy it here and set ML_BACKEND_ZERO_SHOT={OPEN_CLIP}:/path/of/the/folder; without it, "
        "suggestions begin after the first annotations"
    )
