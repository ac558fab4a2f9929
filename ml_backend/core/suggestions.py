"""Probabilities become a prediction in Label Studio's format.

The format: https://labelstud.io/guide/predictions#Import-pre-annotations-for-images
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.controls import Control

_LIKELY = 0.5


def suggestion(
    scored: Iterable[tuple[Control, NDArray[np.float32]]], *, task_id: int, model_version: str
) -> dict[str, Any] | None:
    """Make the prediction of one task.

    Parameters
    ----------
    scored : iterable of (Control, (n_labels,) float32)
        The controls that have something to suggest, each with a probability in [0, 1] a label.
    task_id : int
        Makes the region ids its own.
    model_version : str
        What ``/setup`` names.

    Returns
    -------
    dict or None
        A single choice suggests its likeliest label, a multiple choice every label above 0.5. A region's score is
        that of its least likely label and the prediction's that of its least likely region. None if no control
        suggests anything.

    Examples
    --------
    >>> control = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    >>> made = suggestion([(control, np.array([0.25, 0.75]))], task_id=1, model_version="v1")
    >>> made["score"], made["result"][0]["value"]
    (0.75, {'choices': ['dog']})
    """
    regions = [
        _region(control, chosen, task_id=task_id, model_version=model_version)
        for control, probabilities in scored
        if (chosen := _chosen(control, probabilities))
    ]
    if not regions:
        return None
    return {
        "model_version": model_version,
        "score": min(region["score"] for region in regions),
        "result": regions,
    }


def _chosen(control: Control, probabilities: NDArray[np.float32]) -> dict[str, float]:
    top = np.array([probabilities.argmax()])
    likely = np.flatnonzero(probabilities > _LIKELY) if control.multiple else top
    return {control.labels[label]: round(float(probabilities[label]), 6) for label in likely}


def _region(control: Control, chosen: dict[str, float], *, task_id: int, model_version: str) -> dict[str, Any]:
    identity = f"{model_version}/{task_id}/{control.name}".encode()
    return {
        "id": hashlib.sha256(identity).hexdigest()[:10],
        "from_name": control.name,
        "to_name": control.to_name,
        "type": "choices",
        "score": min(chosen.values()),
        "value": {"choices": list(chosen)},
    }
