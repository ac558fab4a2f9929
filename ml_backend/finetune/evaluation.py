"""What tuned weights are worth to a project: linear classifiers on the old embeddings and on the new ones."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.progress import Progress
from ml_backend.core.finetune.held_tasks import Split
from ml_backend.core.finetune.probe import probe
from ml_backend.core.finetune.targets import ControlTargets
from ml_backend.embedding.engines import Embedder
from ml_backend.embedding.gather import Gatherer, ImageRef
from ml_backend.finetune.tuning_folder import Inputs


@dataclass(frozen=True)
class Figure:
    """How often a linear classifier is right on tasks that were held out from everything.

    Parameters
    ----------
    tasks : int
        That judge.
    before, after : float
        Share of right answers in [0, 1] with the embeddings that the project has now, and with the new ones.
    """

    control: str
    tasks: int
    before: float
    after: float


@dataclass(frozen=True)
class Judgement:
    """What was found.

    Parameters
    ----------
    figures : tuple of Figure
        Of the controls that held-out tasks say something about; perhaps none.
    embedded : int
        Images that have a new embedding already.
    seconds_an_image : float or None
        That embedding them took; None where nothing was embedded.
    """

    figures: tuple[Figure, ...]
    embedded: int
    seconds_an_image: float | None

    @property
    def better(self) -> bool | None:
        """Whether the new embeddings are better, on the mean over the controls; None where nothing tells."""
        if not self.figures:
            return None
        return sum(figure.after - figure.before for figure in self.figures) > 0


def judge(
    gatherer: Gatherer,
    project_id: int,
    inputs: Inputs,
    split: Split,
    *,
    before: Callable[[Sequence[ImageRef]], Embedder],
    after: Embedder,
    progress: Progress,
) -> Judgement:
    """Embed the annotated images twice and compare.

    Parameters
    ----------
    before : callable
        Gives the embedder of now, for the images.
    progress : callable
        Told the step, how much of it is done, and how much there is.
    """
    rows = np.sort(np.concatenate([split.learned, split.validated, split.judged]))
    if not len(split.judged) or not len(split.learned):
        return Judgement((), 0, None)
    refs = [ImageRef(int(inputs.tasks[row]), str(inputs.keys[row]), str(inputs.urls[row])) for row in rows]
    old, _, _ = _embedded(gatherer, project_id, refs, before(refs), "embedding as before", progress)
    new, count, seconds = _embedded(gatherer, project_id, refs, after, "embedding anew", progress)
    both = [place for place, ref in enumerate(refs) if ref in old and ref in new]
    if not both:
        return Judgement((), len(new), seconds / count if count else None)
    compared = rows[both]
    compact = {
        name: np.flatnonzero(np.isin(compared, getattr(split, name)))
        for name in ("learned", "validated", "judged")
    }
    pairs = [np.stack([vectors[refs[place]] for place in both]) for vectors in (old, new)]
    figures = (
        _figure(
            name,
            ControlTargets(targets.shares[compared], targets.weights[compared], targets.multiple),
            pairs,
            compact,
        )
        for name, targets in inputs.targets.items()
    )
    comparable = tuple(figure for figure in figures if figure is not None)
    return Judgement(comparable, len(new), seconds / count if count else None)


def _figure(
    name: str,
    targets: ControlTargets,
    pairs: Sequence[NDArray[np.float32]],
    rows: dict[str, NDArray[np.int64]],
) -> Figure | None:
    judging = rows["judged"][targets.weights[rows["judged"]] > 0]
    if not len(judging) or not targets.weights[rows["learned"]].any():
        return None
    before, after = (
        probe(embeddings, targets, learned=rows["learned"], chosen=rows["validated"], judged=judging)
        for embeddings in pairs
    )
    return Figure(name, len(judging), before, after)


def _embedded(
    gatherer: Gatherer,
    project_id: int,
    refs: Sequence[ImageRef],
    embedder: Embedder,
    step: str,
    progress: Progress,
) -> tuple[dict[ImageRef, NDArray[np.float32]], int, float]:
    """Return the vectors, how many of them were not known, and how long it took."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(step, done, len(refs))

    began = time.monotonic()
    gathered = gatherer.gather(
        refs, embedding_key=embedder.key, embedder=lambda: embedder, advance=advance, project_id=project_id
    )
    return gathered.vectors, gathered.embedded, time.monotonic() - began
