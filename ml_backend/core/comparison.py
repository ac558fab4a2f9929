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
from ml_backend.core.held_out import TINY, HeldOutCheck, hits, log_losses
from ml_backend.core.model import Evidence, ProjectModel
from ml_backend.core.scores import ControlScores

Floats = NDArray[np.float64]

_FEWEST = 5  # tasks; the spread of fewer says nothing
_SURE = 2.1  # standard errors: benchmarks/successors.py shows what it holds back
_FLOOR = 0.01  # of log loss and accuracy; a smaller difference is of no consequence


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
        """Return the figures by name, as JSON keeps them."""
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

    It does where it is no worse than the current one on held-out tasks; the first one does unless it knows less
    than how common the labels are. A version that a person chose stays until
    one is better, by 0.01 and more than the standard error in log loss or accuracy. A model that does not know a
    control as it is today goes in any case, unless a person chose it and it can be compared: it would suggest
    nothing there.

    Parameters
    ----------
    evidence : sequence of Evidence
        What ``new`` has learned from, with the ids of the tasks.
    embeddings : (n_images, n_dimensions) float32, or None
        As for ``compare``.
    chosen : bool
        Whether a person chose the current version.
    """
    comparison = compare(current, new, evidence, embeddings)
    if current is None:
        return _first(new, comparison)
    unknown = _unknown(current, new)
    if chosen and not (unknown and comparison.log_loss_before is None):
        if comparison.promoted and _is_better(comparison):
            return replace(comparison, why=f"It is better than the version that a person chose. {comparison.why}")
        return replace(
            comparison,
            promoted=False,
            why=f"It is not better than the version that a person chose. {comparison.why}",
        )
    if current.is_from_names and not (new.is_from_names or unknown) and comparison.log_loss_before is None:
        why = f"What is made from the names of the labels answers until enough is annotated. {comparison.why}"
        return replace(comparison, promoted=False, why=why)
    if unknown and (chosen or not comparison.promoted):
        why = f"The current version does not know {', '.join(map(repr, unknown))} as it is now. {comparison.why}"
        return replace(comparison, promoted=True, why=why)
    return comparison


def guess_accuracy(check: HeldOutCheck) -> float:
    """Return how often the commonest label would be right on the held-out tasks; for multiple, label by label.

    Examples
    --------
    >>> guess_accuracy(HeldOutCheck(tasks=4, confusion=((1.0, 2.0), (0.0, 1.0))))
    0.75
    >>> guess_accuracy(HeldOutCheck(tasks=4, confusion=(((1.0, 2.0), (0.0, 1.0)), ((2.0, 0.0), (1.0, 1.0)))))
    0.625
    """
    return float(_label_shares(check).max(axis=-1).mean())


def _label_shares(check: HeldOutCheck) -> Floats:
    """(n_labels,) of a single choice, (n_labels, 2) of a multiple one: how many tasks have each label, or not."""
    counts = np.array(check.confusion).sum(axis=-1)
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True))


def _first(new: ProjectModel, comparison: Comparison) -> Comparison:
    """Hold back a first model where every control knows less than how common its labels are."""
    checked = [(scores.control.name, scores.check) for scores in new.controls if scores.check.tasks]
    if not checked or not all(_knows_nothing(check) for _, check in checked):
        return comparison
    figures = "; ".join(
        f"{name!r} is right in {check.accuracy:.3f} of {check.tasks} held-out tasks, and the commonest label in "
        f"{guess_accuracy(check):.3f}"
        for name, check in checked
    )
    why = f"It is worse than a guess: {figures}. The next training makes another one; annotate more."
    return replace(comparison, promoted=False, why=why)


def _knows_nothing(check: HeldOutCheck) -> bool:
    """Whether a label is less often right than the commonest, and its probability says less than the shares do."""
    shares = _label_shares(check)
    entropy = float((-shares * np.log(np.maximum(shares, TINY))).sum(axis=-1).mean())
    return (
        check.accuracy is not None
        and check.log_loss is not None
        and check.accuracy < guess_accuracy(check)
        and check.log_loss > entropy
    )


def compare(
    current: ProjectModel | None,
    new: ProjectModel,
    evidence: Sequence[Evidence],
    embeddings: NDArray[np.float32] | None = None,
) -> Comparison:
    """Decide whether a new model is promoted.

    It is not where log loss and accuracy together are worse by more than chance would show: the differences of
    each task, in standard deviations, are added (O'Brien 1984, doi:10.2307/2531158), and their mean is
    above 2.1 standard errors; and one of the two is worse by more than 0.01. A task counts by its weight, and its
    controls by their mean. Where nothing can be compared it is promoted: there is no current model, the controls
    have other labels or another kind, or fewer than 5 tasks are held out for both.

    Parameters
    ----------
    current : ProjectModel or None
        What answers now.
    evidence : sequence of Evidence
        The targets of today that ``new`` was trained on, with the ids of their tasks.
    embeddings : (n_images, n_dimensions) float32, optional
        What the evidence's rows point into, if they are the current model's kind of embeddings. Without them only
        tasks that both models learned from are compared.
    """
    if current is None:
        return Comparison(promoted=True, why="There is no current version to compare with.")
    pairs = {
        control_evidence.control.name: _pairs(current, new, control_evidence, embeddings)
        for control_evidence in evidence
    }
    compared = tuple(name for name, rows in pairs.items() if len(rows))
    if not compared:
        return Comparison(promoted=True, why="No control has the same labels in both versions and held-out tasks.")
    by_task = _by_task(np.concatenate([pairs[name] for name in compared]))
    if len(by_task) < _FEWEST:
        why = f"Only {len(by_task)} tasks are held out for both versions: too few to compare."
        return Comparison(promoted=True, why=why, tasks=len(by_task), controls=compared)
    return _decide(by_task, compared)


def _pairs(
    current: ProjectModel, new: ProjectModel, evidence: Evidence, embeddings: NDArray[np.float32] | None
) -> Floats:
    """(n_tasks, 6): id, weight, log loss before and after, accuracy before and after."""
    before, after = _scores_of(current, evidence.control), _scores_of(new, evidence.control)
    if evidence.tasks is None or before is None or after is None:
        return np.zeros((0, 6))
    old, old_known = _held_out(before, evidence.tasks)
    if embeddings is not None and before.out_of_fold is not None:
        unseen = ~np.isin(evidence.tasks, before.out_of_fold.learned)
        images = embeddings[evidence.rows[unseen]]
        old[unseen], _ = before.probabilities(current.clusters.assign(images), current.components.project(images))
        old_known |= unseen
    made, made_known = _held_out(after, evidence.tasks)
    shares, weights = evidence.judges
    use = old_known & made_known & (weights > 0)
    figures = [
        measure(scores[use], shares[use], multiple=evidence.control.multiple)
        for measure in (log_losses, hits)
        for scores in (old, made)
    ]
    return np.stack([evidence.tasks[use].astype(np.float64), weights[use].astype(np.float64), *figures], axis=1)


def _scores_of(model: ProjectModel, control: Control) -> ControlScores | None:
    return next((scores for scores in model.controls if _asks(scores.control, control)), None)


def _asks(trained: Control, control: Control) -> bool:
    """Whether a control asked the same when a model was trained, perhaps with labels of other names."""
    labels = tuple(control.today(label) for label in trained.labels)
    return (trained.name, labels, trained.multiple) == control.question


def _held_out(scores: ControlScores, tasks: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a model's probabilities of held-out tasks, and which of the tasks have any."""
    if scores.out_of_fold is None:
        return np.zeros((len(tasks), len(scores.control.labels))), np.zeros(len(tasks), dtype=np.bool_)
    return scores.out_of_fold.of(tasks)


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
    worsened = np.stack([by_task[:, 2] - by_task[:, 1], by_task[:, 3] - by_task[:, 4]], axis=1)
    worse_loss, worse_right = np.average(worsened, axis=0, weights=weights) > _FLOOR
    surely = _together(worsened, weights) > _SURE
    figures = (
        f"log loss {loss_before:.3f} -> {loss_after:.3f} (standard error {loss_error:.3f}), "
        f"accuracy {right_before:.3f} -> {right_after:.3f} (standard error {right_error:.3f}), "
        f"{len(by_task)} tasks"
    )
    worse = " and ".join(
        name for name, is_worse in (("log loss", worse_loss), ("accuracy", worse_right)) if is_worse
    )
    return Comparison(
        promoted=not (worse and surely),
        why=f"Its {worse} on held-out tasks is worse: {figures}."
        if worse and surely
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


def _together(worsened: Floats, weights: Floats) -> float:
    """Return by how many standard errors log loss and accuracy, (n_tasks, 2), have become worse."""
    spreads = np.sqrt(((worsened - worsened.mean(axis=0)) ** 2).mean(axis=0))
    both = (worsened / np.maximum(spreads, _FLOOR)).sum(axis=1)
    return float(np.average(both, weights=weights)) / max(_standard_error(both, weights), _FLOOR)


def clearly_better(comparison: Comparison) -> bool:
    """Return whether the log loss of the new model is lower by more than chance would show."""
    before, after, error = comparison.log_loss_before, comparison.log_loss_after, comparison.log_loss_error
    if before is None or after is None or error is None:
        return False
    return _exceeds(before - after, _SURE * error)


def _exceeds(difference: float, chance: float) -> bool:
    return difference > max(chance, _FLOOR)


def _standard_error(differences: Floats, weights: Floats) -> float:
    """Of a weighted mean."""
    mean = np.average(differences, weights=weights)
    n_tasks = len(differences)
    spread = (weights**2 * (differences - mean) ** 2).sum() / weights.sum() ** 2
    return float(np.sqrt(spread * n_tasks / (n_tasks - 1)))


def _is_better(comparison: Comparison) -> bool:
    before_after_error = (
        (comparison.log_loss_after, comparison.log_loss_before, comparison.log_loss_error),
        (comparison.accuracy_before, comparison.accuracy_after, comparison.accuracy_error),
    )
    return any(
        less is not None and more is not None and error is not None and _exceeds(more - less, error)
        for less, more, error in before_after_error
    )


def _unknown(current: ProjectModel, new: ProjectModel) -> list[str]:
    return [scores.control.name for scores in new.controls if _scores_of(current, scores.control) is None]
