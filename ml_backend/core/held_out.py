"""How scores did on annotations that they were not made from, with the figures that tell whether to trust them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.controls import Control

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]

TINY = 1e-6  # the least probability that is believed
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95)
ANNOTATIONS, GIVEN, NOTHING = "annotations", "given labels", "nothing yet"
"""What scores are measured against; those that are made from the names of the labels against nothing."""
_BINS = 10
_LIKELY = 0.5
_SAME = 1e-6  # shares that differ by less are tied


@dataclass(frozen=True)
class HeldOutCheck:
    """How the scores did on annotations that they were not made from.

    A task counts by its weight in all figures but the counts (``tasks``, ``unanswered``, ``confusion`` and the
    second number of ``precision_at``). Right is what most annotators chose; of k labels that are tied each is 1/k
    right.

    Parameters
    ----------
    tasks : int
        Annotated tasks that got a suggestion while their own annotations were held out.
    unanswered : int
        Annotated tasks that got none.
    accuracy : float or None
        Share of the tasks whose label was right (single), or of their labels (multiple; of those that anybody
        chose: that nobody chose the others says little). None without such tasks.
    agreement : float or None
        Mean share of the annotators who chose what was suggested (single), or chose a label (multiple): what a
        score promises.
    mean_score : float or None
        Mean of the scores; near ``agreement`` when they are honest.
    calibration_error : float or None
        Expected calibration error over ten bins, in [0, 1] (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602).
    calibration_chance : float or None
        About what perfectly honest scores would show as their error on so few tasks.
    log_loss : float or None
        Mean of -log of the probability of what annotators chose, in nats; for multiple a label.
    macro_f1 : float or None
        Mean of the F1 of the labels that were right or suggested anywhere.
    confusion : tuple
        Single: ``confusion[right][suggested]`` in tasks. Multiple: ``confusion[label][right][suggested]`` with 0
        for no and 1 for yes. In the order of the control's labels.
    precision_at : mapping of str to mapping of str to (float, int)
        By label, then by threshold, for example "0.9": what share of the tasks whose score for the label reaches
        the threshold have it, and how many tasks those are. A threshold that no task reaches is absent.
    """

    tasks: int = 0
    unanswered: int = 0
    accuracy: float | None = None
    agreement: float | None = None
    mean_score: float | None = None
    calibration_error: float | None = None
    calibration_chance: float | None = None
    log_loss: float | None = None
    macro_f1: float | None = None
    confusion: tuple[Any, ...] = ()
    precision_at: Mapping[str, Mapping[str, tuple[float, int]]] = field(default_factory=dict)
    against: str = ANNOTATIONS

    @property
    def is_agreement(self) -> bool:
        """Whether right is what was given, not what people annotated."""
        return self.against == GIVEN

    @property
    def is_from_names(self) -> bool:
        """Whether the scores are made from the names of the labels alone."""
        return self.against == NOTHING

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, as JSON keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> "HeldOutCheck":
        """Read what ``as_dict`` gave, from JSON too; figures of other versions of this class are left out."""
        own_figures = {figure.name for figure in fields(cls)}
        figures = {name: value for name, value in described.items() if name in own_figures}
        precision = {
            label: {threshold: (share, count) for threshold, (share, count) in by_threshold.items()}
            for label, by_threshold in figures.pop("precision_at", {}).items()
        }
        return cls(**figures | {"confusion": _tuples(figures.get("confusion", ())), "precision_at": precision})


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities that annotated tasks got while their own annotations were held out.

    Parameters
    ----------
    tasks : (n_judged,) int64
        Ids of the tasks, ascending.
    probabilities : (n_judged, n_labels) float32
    unjudged : (n_unjudged,) int64
        Ids of the tasks that were learned from without being held out.
    """

    tasks: Rows
    probabilities: Floats
    unjudged: Rows

    def of(self, tasks: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the probabilities of tasks, and which of them have any; zeros where not."""
        probabilities = np.zeros((len(tasks), self.probabilities.shape[1]))
        if len(self.tasks) == 0:
            return probabilities, np.zeros(len(tasks), dtype=np.bool_)
        place = np.minimum(np.searchsorted(self.tasks, tasks), len(self.tasks) - 1)
        held_out = self.tasks[place] == tasks
        probabilities[held_out] = self.probabilities[place[held_out]]
        return probabilities, held_out

    @property
    def learned(self) -> Rows:
        """Ids of all tasks that were learned from."""
        return np.concatenate([self.tasks, self.unjudged])


def check(
    scores: Floats,
    shares: Floats,
    control: Control,
    weights: Floats | None = None,
    unanswered: int = 0,
    against: str = ANNOTATIONS,
) -> HeldOutCheck:
    """Compare scores with the annotations that they were to predict.

    Parameters
    ----------
    scores, shares : (n_tasks, n_labels) float32
        In [0, 1].
    weights : (n_tasks,) float32, optional
        How much each task counts, at least 0; 1 if left out.
    unanswered : int
        Tasks beside these that got no suggestion.

    Examples
    --------
    >>> control = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    >>> checked = check(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([[1, 0], [1, 0]]), control)
    >>> checked.accuracy, checked.confusion, checked.precision_at["dog"]["0.7"]
    (0.5, ((1.0, 1.0), (0.0, 0.0)), (0.0, 1))
    """
    counts = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    scores, shares, counts = scores[counts > 0], shares[counts > 0], counts[counts > 0]
    if len(scores) == 0:
        return HeldOutCheck(unanswered=unanswered, against=against)
    right, suggested = decided(shares, multiple=control.multiple), top(scores, multiple=control.multiple)
    confused = _confusion(right, suggested, np.ones(len(scores)), multiple=control.multiple)
    weighed = _confusion(right, suggested, counts, multiple=control.multiple)
    if control.multiple:
        judged, each = np.ones_like(suggested, dtype=np.bool_), np.repeat(counts, scores.shape[1])
    else:
        judged, each = suggested > 0, counts
    stated, true = scores[judged], shares[judged]
    return HeldOutCheck(
        tasks=len(scores),
        unanswered=unanswered,
        accuracy=float(np.average(hits(scores, shares, multiple=control.multiple), weights=counts)),
        agreement=float(np.average(true, weights=each)),
        mean_score=float(np.average(stated, weights=each)),
        calibration_error=calibration_error(stated, true, each),
        calibration_chance=calibration_chance(stated, true, each),
        log_loss=float(np.average(log_losses(scores, shares, multiple=control.multiple), weights=counts)),
        macro_f1=_macro_f1(weighed, multiple=control.multiple),
        confusion=_tuples(confused.tolist()),
        precision_at=_precision_at(scores, right, counts, control),
        against=against,
    )


def decided(shares: Floats, *, multiple: bool) -> Floats:
    """Return what most annotators chose as 1; each of k tied labels as 1/k (single), a tied yes as 1/2 (multiple).

    Examples
    --------
    >>> decided(np.array([[0.5, 0.5, 0], [0.25, 0.5, 0.25]]), multiple=False).tolist()
    [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]
    >>> decided(np.array([[0.5, 0.75, 0]]), multiple=True).tolist()
    [[0.5, 1.0, 0.0]]
    """
    if multiple:
        return np.where(abs(shares - _LIKELY) < _SAME, 0.5, shares > _LIKELY).astype(np.float64)
    tied = shares >= shares.max(axis=1, keepdims=True) - _SAME
    return np.asarray(tied / tied.sum(axis=1, keepdims=True), dtype=np.float64)


def top(scores: Floats, *, multiple: bool) -> Floats:
    """Return what the scores suggest, (n_tasks, n_labels) of 0 and 1: the likeliest label, or those above 0.5."""
    if multiple:
        return (scores > _LIKELY).astype(np.float64)
    return np.asarray(np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None], dtype=np.float64)


def hits(scores: Floats, shares: Floats, *, multiple: bool) -> Floats:
    """(n_tasks,): how right each task's suggestion is, in [0, 1]; of a multiple choice by the labels in use.

    Examples
    --------
    >>> scores, shares = np.array([[0.9, 0.1, 0.1], [0.9, 0.1, 0.1]]), np.array([[1, 0, 0], [0, 1, 0]])
    >>> hits(scores, shares, multiple=True).tolist()
    [1.0, 0.0]
    """
    right, suggested = decided(shares, multiple=multiple), top(scores, multiple=multiple)
    if multiple:
        used = (shares > 0).any(axis=0)
        return np.asarray((1 - abs(right - suggested))[:, used if used.any() else slice(None)].mean(axis=1))
    return np.asarray((right * suggested).sum(axis=1))


def calibration_error(stated: Floats, true: Floats, weights: Floats) -> float:
    """Return the expected calibration error over ten bins of equal width.

    Examples
    --------
    >>> calibration_error(np.array([0.75, 0.75]), np.array([1, 0]), np.array([1, 1]))
    0.25
    """
    gaps = np.bincount(_bins(stated), weights * (stated - true), _BINS)
    return float(abs(gaps).sum() / weights.sum())


def calibration_chance(stated: Floats, true: Floats, weights: Floats) -> float:
    """Return about the error that honest scores would show: the mean size of each bin's sum of differences.

    Examples
    --------
    >>> calibration_chance(np.full(200, 0.5), np.arange(200) % 2, np.ones(200)).__round__(3)
    0.028
    """
    spreads = np.sqrt(np.bincount(_bins(stated), (weights * (stated - true)) ** 2, _BINS))
    return float(np.sqrt(2 / np.pi) * spreads.sum() / weights.sum())


def _bins(stated: Floats) -> Rows:
    return np.minimum((stated * _BINS).astype(np.int64), _BINS - 1)


def _confusion(right: Floats, suggested: Floats, weights: Floats, *, multiple: bool) -> Floats:
    weighed = right * weights[:, None]
    if not multiple:
        return np.asarray(weighed.T @ suggested)
    both = (weighed * suggested).sum(axis=0)
    missed, wrong = weighed.sum(axis=0) - both, (weights[:, None] * suggested).sum(axis=0) - both
    return np.stack([np.stack([weights.sum() - both - missed - wrong, wrong], 1), np.stack([missed, both], 1)], 1)


def _macro_f1(confused: Floats, *, multiple: bool) -> float:
    if multiple:
        both, mistakes = confused[:, 1, 1], confused[:, 0, 1] + confused[:, 1, 0]
    else:
        both = confused.diagonal()
        mistakes = confused.sum(axis=0) + confused.sum(axis=1) - 2 * both
    present = both + mistakes > 0
    return float((2 * both[present] / (2 * both[present] + mistakes[present])).mean()) if present.any() else 1.0


def _precision_at(
    scores: Floats, right: Floats, weights: Floats, control: Control
) -> dict[str, dict[str, tuple[float, int]]]:
    precision: dict[str, dict[str, tuple[float, int]]] = {}
    for column, label in enumerate(control.labels):
        reached = {f"{threshold:g}": scores[:, column] >= threshold for threshold in THRESHOLDS}
        precision[label] = {
            threshold: (float(np.average(right[rows, column], weights=weights[rows])), int(rows.sum()))
            for threshold, rows in reached.items()
            if rows.any()
        }
    return precision


def _tuples(value: Any) -> Any:  # noqa: ANN401 - nested lists of numbers, as JSON gives them
    return tuple(_tuples(element) for element in value) if isinstance(value, list | tuple) else value


def log_losses(scores: Floats, shares: Floats, *, multiple: bool) -> NDArray[np.float64]:
    """Return each task's log loss.

    Parameters
    ----------
    scores, shares : (n_tasks, n_labels) float32
        Probabilities, and targets; both in [0, 1].
    multiple : bool
        Whether each label is a question of its own, or the row a distribution.

    Returns
    -------
    (n_tasks,) float64
        In nats; of a multiple choice the mean over the labels, so that it compares with a single one's.

    Examples
    --------
    >>> log_losses(np.array([[0.5, 0.5]]), np.array([[1, 0]]), multiple=False).round(3).tolist()
    [0.693]
    """
    safe = np.clip(scores, TINY, 1 - TINY).astype(np.float64)
    losses = -shares * np.log(safe)
    if multiple:
        losses = losses - (1 - shares) * np.log1p(-safe)
        return np.asarray(losses.mean(axis=1))
    return np.asarray(losses.sum(axis=1))
