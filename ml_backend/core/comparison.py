"""Whether a new model may take the place of the current one, by tasks whose answers it did not know.

For a task that a model learned from, what it said while the task was held out counts; for one that it did not
know, what it says of the image. Both answer the same tasks, so that the differences are paired
(Dietterich 1998, doi:10.1162/089976698300017197).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.controls import Control
from ml_backend.core.held_out import hits, log_losses
from ml_backend.core.model import Evidence, ProjectModel
from ml_backend.core.scores import ControlScores

Floats = NDArray[np.float64]

_FEWEST = 5  # tasks; the spread of fewer says nothing


@dataclass(frozen=True)
class Comparison:
    """Two models on the same held-out tasks.

    Parameters
    ----------
    promoted : bool
        Whether the new model is no worse.
    why : str
        The reason, a sentence.
    tasks : int
        Tasks that both were judged by.
    controls : tuple of str
        Names of the controls that could be compared.
    accuracy_before, accuracy_after : float or None
        Of the current and the new model. None if nothing was compared.
    log_loss_before, log_loss_after : float or None
        Nats a decision.
    accuracy_error, log_loss_error : float or None
        Standard errors of the mean differences.
    """

    promoted: bool
    why: str
    tasks: int = 0
    controls: tuple[str, ...] = ()
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    accuracy_error: float | None = None
    log_loss_before: float | None = None
    log_loss_after: float | None = None
    log_loss_error: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the figures by name, as JSON keeps them."""
        return asdict(self) | {"controls": list(self.controls)}


def succeeds(
    current: ProjectModel | None,
    new: ProjectModel,
    evidence: Sequence[Evidence],
    embeddings: NDArray[np.float32] | None,
    *,
    chosen: bool,
) -> Comparison:
    """Decide whether a new model answers from now on.

    It does where it is no worse than the current one on held-out tasks. A version that a person chose stays until
    one is better, by more than the standard error in log loss or accuracy. A model that does not know a control as
    it is today goes in any case, unless a person chose it and it can be compared: it would suggest nothing there.

    Parameters
    ----------
    current : ProjectModel or None
    new : ProjectModel
    evidence : sequence of Evidence
        What ``new`` has learned from, with the ids of the tasks.
    embeddings : (n_images, n_dimensions) float32, or None
        As for ``compare``.
    chosen : bool
        Whether a person chose the current version.
    """
    found = compare(current, new, evidence, embeddings)
    if current is None:
        return found
    unknown = _unknown(current, new)
    if chosen and not (unknown and found.log_loss_before is None):
        if found.promoted and _is_better(found):
            return replace(found, why=f"It is better than the version that a person chose. {found.why}")
        return replace(
            found, promoted=False, why=f"It is not better than the version that a person chose. {found.why}"
        )
    if unknown and (chosen or not found.promoted):
        why = f"The current version does not know {', '.join(map(repr, unknown))} as it is now. {found.why}"
        return replace(found, promoted=True, why=why)
    return found


def compare(
    current: ProjectModel | None,
    new: ProjectModel,
    evidence: Sequence[Evidence],
    embeddings: NDArray[np.float32] | None = None,
) -> Comparison:
    """Decide whether a new model is promoted.

    It is not where its mean log loss is higher, or its accuracy lower, by more than the standard error of the mean
    difference over the tasks; a task counts by its weight, and its controls by their mean. Where nothing can be
    compared it is promoted: there is no current model, the controls have other labels or another kind, or fewer
    than 5 tasks are held out for both.

    Parameters
    ----------
    current : ProjectModel or None
        What answers now.
    new : ProjectModel
    evidence : sequence of Evidence
        The targets of today that ``new`` was trained on, with the ids of their tasks.
    embeddings : (n_images, n_dimensions) float32, optional
        What the evidence's rows point into, if they are the current model's kind of embeddings. Without them only
        tasks that both models learned from are compared.

    Returns
    -------
    Comparison
    """
    if current is None:
        return Comparison(promoted=True, why="There is no current version to compare with.")
    pairs = {one.control.name: _pairs(current, new, one, embeddings) for one in evidence}
    compared = tuple(name for name, found in pairs.items() if len(found))
    if not compared:
        return Comparison(promoted=True, why="No control has the same labels in both versions and held-out tasks.")
    by_task = _by_task(np.concatenate([pairs[name] for name in compared]))
    if len(by_task) < _FEWEST:
        why = f"Only {len(by_task)} tasks are held out for both versions: too few to compare."
        return Comparison(promoted=True, why=why, tasks=len(by_task), controls=compared)
    return _decide(by_task, compared)


def _pairs(
    current: ProjectModel, new: ProjectModel, one: Evidence, embeddings: NDArray[np.float32] | None
) -> Floats:
    """(n_tasks, 6): id, weight, log loss before and after, accuracy before and after."""
    before, after = _scores_of(current, one.control), _scores_of(new, one.control)
    if one.tasks is None or before is None or after is None:
        return np.zeros((0, 6))
    old, old_known = _held_out(before, one.tasks)
    if embeddings is not None and before.out_of_fold is not None:
        unseen = ~np.isin(one.tasks, before.out_of_fold.learned)
        name = one.control.name
        old[unseen] = current.scores(embeddings[one.rows[unseen]], {name: one.control})[name][0]
        old_known |= unseen
    made, made_known = _held_out(after, one.tasks)
    weights = np.ones(len(one.tasks)) if one.weights is None else one.weights
    use = old_known & made_known & (weights > 0)
    figures = [
        measure(scores[use], one.shares[use], multiple=one.control.multiple)
        for measure in (log_losses, hits)
        for scores in (old, made)
    ]
    return np.stack([one.tasks[use].astype(np.float64), weights[use].astype(np.float64), *figures], axis=1)


def _scores_of(model: ProjectModel, control: Control) -> ControlScores | None:
    same = [
        one
        for one in model.controls
        if (one.control.name, one.control.labels, one.control.multiple)
        == (control.name, control.labels, control.multiple)
    ]
    return same[0] if same else None


def _held_out(scores: ControlScores, tasks: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Give what a model said of held-out tasks, and which of these it said anything of."""
    found = np.zeros((len(tasks), len(scores.control.labels)))
    kept = scores.out_of_fold
    if kept is None or len(kept.tasks) == 0:
        return found, np.zeros(len(tasks), dtype=np.bool_)
    place = np.minimum(np.searchsorted(kept.tasks, tasks), len(kept.tasks) - 1)
    known = kept.tasks[place] == tasks
    found[known] = kept.probabilities[place[known]]
    return found, known


def _by_task(pairs: Floats) -> Floats:
    """Average the controls of a task: its decisions are no independent witnesses."""
    tasks, place, controls = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(place, column, len(tasks)) for column in pairs.T[1:]], axis=1)
    return np.asarray(sums / controls[:, None])


def _decide(by_task: Floats, controls: tuple[str, ...]) -> Comparison:
    weights = by_task[:, 0]
    loss_before, loss_after, right_before, right_after = np.average(by_task[:, 1:], axis=0, weights=weights)
    loss_error = _standard_error(by_task[:, 2] - by_task[:, 1], weights)
    right_error = _standard_error(by_task[:, 4] - by_task[:, 3], weights)
    worse_loss = loss_after - loss_before > loss_error
    worse_right = right_before - right_after > right_error
    figures = (
        f"log loss {loss_before:.3f} -> {loss_after:.3f} (standard error {loss_error:.3f}), "
        f"accuracy {right_before:.3f} -> {right_after:.3f} (standard error {right_error:.3f}), "
        f"{len(by_task)} tasks"
    )
    worse = " and ".join(
        name for name, is_worse in (("log loss", worse_loss), ("accuracy", worse_right)) if is_worse
    )
    return Comparison(
        promoted=not worse,
        why=f"Its {worse} on held-out tasks is worse: {figures}."
        if worse
        else f"It is no worse on held-out tasks: {figures}.",
        tasks=len(by_task),
        controls=controls,
        accuracy_before=float(right_before),
        accuracy_after=float(right_after),
        accuracy_error=right_error,
        log_loss_before=float(loss_before),
        log_loss_after=float(loss_after),
        log_loss_error=loss_error,
    )


def _standard_error(differences: Floats, weights: Floats) -> float:
    """Of a weighted mean."""
    mean = np.average(differences, weights=weights)
    n_tasks = len(differences)
    spread = (weights**2 * (differences - mean) ** 2).sum() / weights.sum() ** 2
    return float(np.sqrt(spread * n_tasks / (n_tasks - 1)))


def _is_better(found: Comparison) -> bool:
    before_after_error = (
        (found.log_loss_after, found.log_loss_before, found.log_loss_error),
        (found.accuracy_before, found.accuracy_after, found.accuracy_error),
    )
    return any(
        less is not None and more is not None and error is not None and more - less > error
        for less, more, error in before_after_error
    )


def _unknown(current: ProjectModel, new: ProjectModel) -> list[str]:
    known = {(one.control.name, one.control.labels, one.control.multiple) for one in current.controls}
    return [
        one.control.name
        for one in new.controls
        if (one.control.name, one.control.labels, one.control.multiple) not in known
    ]
