"""What a tuning is asked for, and what it does where nothing was said."""

from collections.abc import Mapping
from dataclasses import dataclass

FINETUNE, PRETRAIN = "finetune", "pretrain"


@dataclass(frozen=True)
class TuningRequest:
    """What was asked for.

    Parameters
    ----------
    how : str
        ``finetune`` or ``pretrain``.
    options : mapping of str to number
        Some of ``epochs``, ``batch_size``, ``image_size``, ``learning_rate``, ``patience``, ``upright`` and
        ``max_images``; of a fine-tuning ``frozen`` and ``layer_decay``, too. For the rest there are ``defaults``.
    base : str, optional
        ``imagenet``, ``random``, an id of weights that were made here, or the path of a state dict. What the
        project uses now if left out.
    """

    how: str
    options: Mapping[str, float]
    base: str | None = None


def defaults(how: str, *, learned: bool, graphics: bool) -> dict[str, float]:
    """Return the options that nothing was said about.

    Parameters
    ----------
    learned : bool
        Whether the weights to start from were learned; then little of them is to be lost.
    graphics : bool
        Whether there is a graphics processor; without, views are smaller.
    """
    common = {"image_size": 224 if graphics else 128, "upright": True, "max_images": 20_000, "patience": 10}
    if how == PRETRAIN:
        return common | {"epochs": 50, "batch_size": 64, "learning_rate": 1e-3}
    rate, decay = (3e-4, 0.7) if learned else (1e-3, 1.0)
    return common | {"epochs": 30, "batch_size": 32, "learning_rate": rate, "layer_decay": decay, "frozen": 0}
