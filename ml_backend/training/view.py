"""Whether a project's images are seen whole or in their middle: what predicts its held-out annotations better."""

from collections.abc import Callable, Sequence

import numpy as np
import structlog

from ml_backend.core.comparison import clearly_better, compare
from ml_backend.core.model import Evidence, fit_model
from ml_backend.embedding.engines import Embedder
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.model_registry import Artifact
from ml_backend.settings import Settings

log = structlog.get_logger()

FEWEST, MOST = 50, 1_000  # annotated images that are embedded in both views
_SPREAD = 2_654_435_761  # a prime (Knuth's multiplicative hash): the same images are drawn each time

Gather = Callable[[Sequence[ImageRef], Embedder], Gathered]
Learn = Callable[[Gathered], Sequence[Evidence]]


def seen(
    embedder: Embedder,
    annotated: Sequence[ImageRef],
    last: Artifact | None,
    settings: Settings,
    gather: Gather,
    evidence_of: Learn,
) -> Embedder:
    """Return the embedder with the view that the settings or the held-out annotations ask for.

    The view of the last version stays unless the other is clearly better: by the log loss of at most ``MOST``
    annotated images, which are embedded in both.

    Parameters
    ----------
    embedder : Embedder
        Sees the middle.
    annotated : sequence of ImageRef
        Images with something to learn from.
    last : Artifact or None
        The version that answers.
    """
    whole = embedder.seeing_whole() if settings.view != "crop" else None
    if whole is None or settings.view == "whole":
        return whole or embedder
    usual, other = (whole, embedder) if last and last.embedding_key == whole.key else (embedder, whole)
    if len(annotated) < FEWEST:
        return usual
    drawn = sorted(annotated, key=lambda ref: (ref.task_id * _SPREAD % 2**32, ref.key))[:MOST]
    models, evidence = [], list[Evidence]()
    for view in (usual, other):
        gathered = gather(drawn, view)
        if not gathered.vectors or not (evidence := list(evidence_of(gathered))):
            return usual
        models.append(fit_model(np.stack(list(gathered.vectors.values())), evidence, settings.seed))
    comparison = compare(models[0], models[1], evidence)
    better = clearly_better(comparison)
    log.info("views_compared", usual=usual.key, other=other.key, better=better, figures=comparison.as_dict())
    return other if better else usual
