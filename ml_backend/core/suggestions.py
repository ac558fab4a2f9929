"""Probabilities become a prediction in Label Studio's format.

The format: https://labelstud.io/guide/predictions#Import-pre-annotations-for-images
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.label_studio.label_config import is_visible
from ml_backend.core.controls import Control

TOP_K = 3
_LIKELY = 0.5
_DIGITS = 6


def suggestion(
    scored: Iterable[tuple[Control, NDArray[np.float32]]],
    *,
    task_id: int,
    model_version: str,
    top_k: int = TOP_K,
) -> dict[str, Any] | None:
    """Make the prediction of one task.

    A single choice suggests its likeliest label, a multiple choice every label above 0.5, the likeliest first. A
    region's score is that of its least likely label and the prediction's that of its least likely region; the
    surest region comes first. A control that these choices hide (``visibleWhen``) suggests nothing. What else is
    likely stands in the region's ``meta``: as ``text``, where Label Studio keeps notes on a region, and as
    ``alternatives`` for programs.

    Parameters
    ----------
    scored : iterable of (Control, (n_labels,) float32)
        The controls that have something to suggest, each with a probability in [0, 1] a label.
    task_id : int
        Makes the region ids its own.
    model_version : str
        What ``/setup`` names.
    top_k : int
        How many of a control's likeliest labels are listed, the suggested ones included; 0 lists none.

    Returns
    -------
    dict or None
        None if no control suggests anything.

    Examples
    --------
    >>> control = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    >>> made = suggestion([(control, np.array([0.25, 0.75]))], task_id=1, model_version="v1")
    >>> made["score"], made["result"][0]["value"]
    (0.75, {'choices': ['dog']})
    >>> made["result"][0]["meta"]
    {'text': ['dog 0.75, cat 0.25'], 'alternatives': [{'choices': ['cat'], 'score': 0.25}]}
    """
    ranked = [(control, *_ranked(control, probabilities, top_k)) for control, probabilities in scored]
    suggested = {control.name: tuple(chosen) for control, chosen, _ in ranked}
    regions = [
        _region(
            control,
            chosen,
            alternatives,
            task_id=task_id,
            model_version=model_version,
            with_alternatives=top_k > 0,
        )
        for control, chosen, alternatives in ranked
        if chosen and is_visible(control.conditions, suggested) is not False
    ]
    if not regions:
        return None
    regions.sort(key=lambda region: -region["score"])
    return {"model_version": model_version, "score": regions[-1]["score"], "result": regions}


def _ranked(
    control: Control, probabilities: NDArray[np.float32], top_k: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what is suggested and what else is likely, each in descending probability, ties as in the config."""
    n_chosen = int((probabilities > _LIKELY).sum()) if control.multiple else 1
    likeliest = np.argsort(-probabilities, kind="stable")[: max(n_chosen, top_k)]
    ranked = [(control.labels[column], round(float(probabilities[column]), _DIGITS)) for column in likeliest]
    alternatives = {label: score for label, score in ranked[n_chosen:] if score > 0}
    return dict(ranked[:n_chosen]), alternatives


def _region(
    control: Control,
    chosen: dict[str, float],
    alternatives: dict[str, float],
    *,
    task_id: int,
    model_version: str,
    with_alternatives: bool,
) -> dict[str, Any]:
    identity = f"{model_version}/{task_id}/{control.name}".encode()
    region = {
        "id": hashlib.sha256(identity).hexdigest()[:10],
        "from_name": control.name,
        "to_name": control.to_name,
        "type": "choices",
        "score": min(chosen.values()),
        "value": {"choices": list(chosen)},
    }
    if with_alternatives:
        region["meta"] = {
            "text": [", ".join(f"{label} {score:.2f}" for label, score in (chosen | alternatives).items())],
            "alternatives": [{"choices": [label], "score": score} for label, score in alternatives.items()],
        }
    return region
