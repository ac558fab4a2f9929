"""Probabilities become a prediction in Label Studio's format.

The format: https://labelstud.io/guide/predictions#Import-pre-annotations-for-images
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.label_studio.label_config import is_visible
from common.label_studio.suggestions import suggested_region
from ml_backend.core.controls import Control
from ml_backend.core.held_out import HeldOutCheck

TOP_K = 3
_LIKELY = 0.5
_DIGITS = 6

Least = float | dict[str, float]
"""For all controls, or by control; 0 for one that is not named."""


@dataclass(frozen=True)
class Ticking:
    """What must hold for a suggestion to be ticked in advance.

    Parameters
    ----------
    score : Least
        That a label must reach.
    accuracy : Least
        That the model must have reached on held-out annotations of the control; where it is above 0, a model that
        could hold out none ticks nothing.
    """

    score: Least = 0.5
    accuracy: Least = 0.5

    def least_score(self, control: str, check: HeldOutCheck) -> float:
        """Return the score from which the labels of a control are ticked; infinity where none is.

        Examples
        --------
        >>> Ticking(accuracy={"kind": 0.7}).least_score("kind", HeldOutCheck(accuracy=0.6))
        inf
        """
        return _of(self.score, control) if (check.accuracy or 0) >= _of(self.accuracy, control) else inf


def _of(least: Least, control: str) -> float:
    return least.get(control, 0.0) if isinstance(least, dict) else least


def suggestion(
    scored: Iterable[tuple[Control, NDArray[np.float32]]],
    *,
    task_id: int,
    model_version: str,
    top_k: int = TOP_K,
    least_scores: Mapping[str, float] | None = None,
) -> dict[str, Any] | None:
    """Make the prediction of one task.

    A single choice suggests its likeliest label, a multiple choice every label above 0.5, the likeliest first. The
    prediction's score is that of the least likely label; the surest region comes first. A control that these
    choices hide (``visibleWhen``) suggests nothing. How a region says what is suggested, ticked and else likely:
    ``common.label_studio.suggestions``.

    Parameters
    ----------
    scored : iterable of (Control, (n_labels,) float32)
        The controls that have something to suggest, each with a probability in [0, 1] a label.
    task_id : int
        Makes the region ids its own.
    model_version : str
        What ``/setup`` names.
    top_k : int
        How many of a control's likeliest labels are listed; those that are suggested always are.
    least_scores : mapping of str to float, optional
        By control, the score from which a label is ticked in advance; all that are suggested, if left out.

    Returns
    -------
    dict or None
        None if no control suggests anything.

    Examples
    --------
    >>> control = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    >>> made = suggestion([(control, np.array([0.25, 0.75]))], task_id=1, model_version="v1")
    >>> made["score"], made["result"][0]["value"], made["result"][0]["scores"]
    (0.75, {'choices': ['dog']}, {'dog': 0.75, 'cat': 0.25})
    """
    least = least_scores or {}
    ranked = [(control, *_ranked(control, probabilities, top_k)) for control, probabilities in scored]
    suggested = {control.name: tuple(chosen) for control, chosen, _ in ranked}
    regions = [
        (
            min(chosen.values()),
            {
                "id": hashlib.sha256(f"{model_version}/{task_id}/{control.name}".encode()).hexdigest()[:10],
                **suggested_region(
                    control.name,
                    control.to_name,
                    [label for label, score in chosen.items() if score >= least.get(control.name, 0)],
                    list(chosen),
                    chosen | alternatives,
                ),
            },
        )
        for control, chosen, alternatives in ranked
        if chosen and is_visible(control.conditions, suggested) is not False
    ]
    if not regions:
        return None
    regions.sort(key=lambda pair: -pair[0])
    return {"model_version": model_version, "score": regions[-1][0], "result": [region for _, region in regions]}


def _ranked(
    control: Control, probabilities: NDArray[np.float32], top_k: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what is suggested and what else is likely, each in descending probability, ties as in the config."""
    n_chosen = int((probabilities > _LIKELY).sum()) if control.multiple else 1
    likeliest = np.argsort(-probabilities, kind="stable")[: max(n_chosen, top_k)]
    ranked = [(control.labels[column], round(float(probabilities[column]), _DIGITS)) for column in likeliest]
    alternatives = {label: score for label, score in ranked[n_chosen:] if score > 0}
    return dict(ranked[:n_chosen]), alternatives
