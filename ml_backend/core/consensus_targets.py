"""Consensus labels become targets: what trust-weighted votes have settled teaches more than the votes alone.

``consensus`` writes its reports into Label Studio as predictions of the versions ``consensus/<report>``: one for
each classification, with one choice and, as score, the confidence that the choice is right, a lower bound.
``consensus/MisClassified`` shows what is right instead; which label is wrong, and the low confidence that it is
right, stand in the region's ``meta`` (older ones have no such ``meta`` and show the wrong label). A control that
asks whether a given label is right shows the answer instead: there the choice under ``consensus/MisClassified``
is what the annotators chose, not what they denied. Of which kind a control is stands in the region, with a
signature: Label Studio does not tell who wrote a prediction, and any member can write one, so what is not signed
is not believed, neither for learning nor for judging.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import VERSION_PREFIX, ControlKind, accusation_in, signed_kind
from common.label_studio.annotations import choices_in
from ml_backend.core.controls import Control
from ml_backend.core.evidence import Annotation, targets

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

UNDECIDED, DISPUTED = 0.5, 0.25
"""How much votes count that consensus has not settled, and those that it found to contradict one another."""
_RIGHT = ("AllConfirmed", "Discovered")
_WRONG = "MisClassified"
_OPEN = "Undecided"
"""It says nothing that the votes do not."""


@dataclass(frozen=True)
class Verdict:
    """What consensus says of one classification.

    Parameters
    ----------
    report : str
        AllConfirmed, Discovered, MisClassified, Controversial, NoVotes or Undecided.
    control, choice : str
        Empty where the report names none.
    score : float
        Confidence that the classification is right, in [0, 1]; low where it is called wrong.
    kind : {"choices", "verification"}
        Of the control.
    """

    report: str
    control: str
    choice: str
    score: float
    kind: ControlKind = "choices"

    @classmethod
    def of(cls, prediction: Mapping[str, object], task: int, secret: str) -> "Verdict | None":
        """Read a prediction as Label Studio holds it; None if consensus did not write it, or no choice into it.

        Examples
        --------
        >>> from common.contract import signed_meta
        >>> region = {"from_name": "kind", "type": "choices", "value": {"choices": ["cat"]}}
        >>> region["meta"] = signed_meta("secret", 7, "consensus/Discovered", 0.9, region, "choices")
        >>> prediction = {"model_version": "consensus/Discovered", "score": 0.9, "result": [region]}
        >>> Verdict.of(prediction, 7, "secret")
        Verdict(report='Discovered', control='kind', choice='cat', score=0.9, kind='choices')
        >>> Verdict.of(prediction, 7, "another secret") is None
        True
        """
        version, score, result = (prediction.get(key) for key in ("model_version", "score", "result"))
        if not isinstance(version, str) or not version.startswith(VERSION_PREFIX):
            return None
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            return None
        kind = signed_kind(secret, task, prediction)
        made = choices_in(result).made if kind and isinstance(result, list) else {}
        if kind is None or not made:
            return None
        [(control, choices)] = made.items()
        choice, confidence = choices[0] if choices else "", float(score)
        if wrong := accusation_in(result):
            choice, confidence = wrong.label if kind == "choices" else choice, wrong.confidence
        return cls(version.removeprefix(VERSION_PREFIX), control, choice, confidence, kind) if choice else None


@dataclass(frozen=True)
class Targets:
    """What one control is to learn, task by task.

    Parameters
    ----------
    shares : (n_tasks, n_labels) float32
        In [0, 1]; rows of a single choice sum to 1 where there is a target, else 0.
    has_target : (n_tasks,) bool
        Whether there is anything to learn.
    weights : (n_tasks,) float32
        How much each counts, in [0, 1].
    settled : (n_tasks,) bool
        Whether consensus has decided on a label of the task.
    """

    shares: Floats
    has_target: Flags
    weights: Floats
    settled: Flags


def consensus_targets(
    control: Control, tasks: Sequence[Sequence[Annotation]], verdicts: Sequence[Sequence[Verdict]]
) -> Targets:
    """Join what consensus has settled with the votes on the rest.

    A label that is confirmed or discovered is right with the weight of its confidence, a misclassified one is not
    right. What is left is as the votes say, with a smaller weight. Ground truth counts fully, whatever consensus
    says of the task; a task on which nobody has spoken any more teaches nothing. Where consensus says nothing of
    the control the votes count fully.

    Parameters
    ----------
    control : Control
        Whose labels become the columns.
    tasks : sequence of sequences of Annotation
        The annotations of each task.
    verdicts : sequence of sequences of Verdict
        What consensus says of each task, in the same order; of any control.

    Examples
    --------
    >>> control = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    >>> cat = Annotation(1, "2026-01-01", False, False, {"kind": ("cat",)})
    >>> dog = Annotation(2, "2026-01-01", False, False, {"kind": ("dog",)})
    >>> discovered = Verdict("Discovered", "kind", "dog", 0.875)
    >>> joined = consensus_targets(control, [[cat, dog], [cat, dog]], [[discovered], []])
    >>> joined.shares.tolist(), joined.weights.tolist(), joined.settled.tolist()
    ([[0.0, 1.0], [0.5, 0.5]], [0.875, 0.5], [True, False])
    """
    shares, has_target = targets(control, tasks)
    joined = Targets(shares, has_target, has_target.astype(np.float32), np.zeros(len(tasks), dtype=np.bool_))
    verdicts_by_task = [
        [
            verdict
            for verdict in row
            if verdict.control == control.name and verdict.choice in control.labels and verdict.report != _OPEN
        ]
        for row in verdicts
    ]
    if not any(verdicts_by_task):
        return joined
    joined.weights[has_target] = UNDECIDED
    settle = _settle_each if control.multiple else _settle_one
    for row, (annotations, spoken) in enumerate(zip(tasks, verdicts_by_task, strict=True)):
        given = [annotation for annotation in annotations if not annotation.skipped]
        if any(annotation.ground_truth for annotation in given):
            joined.weights[row] = float(has_target[row])
        elif given and spoken:
            settle(control, [_as_answer(verdict) for verdict in spoken], row, joined)
    return joined


def _settle_one(control: Control, verdicts: Sequence[Verdict], row: int, joined: Targets) -> None:
    right = [verdict for verdict in verdicts if verdict.report in _RIGHT]
    wrong = [verdict for verdict in verdicts if verdict.report == _WRONG]
    denied = {verdict.choice for verdict in wrong}
    possible = [label for label in control.labels if label not in denied]
    if len({verdict.choice for verdict in right}) > 1 or denied & {verdict.choice for verdict in right}:
        joined.weights[row] = DISPUTED * float(joined.has_target[row])  # one is of an earlier run
    elif right:
        best = max(right, key=lambda verdict: verdict.score)
        _set(joined, row, _one_hot(control, best.choice), best.score)
    elif wrong and len(possible) == 1:
        _set(joined, row, _one_hot(control, possible[0]), 1 - max(verdict.score for verdict in wrong))
    elif wrong:
        left = joined.shares[row] * [label in possible for label in control.labels]
        joined.has_target[row] = left.sum() > 0
        _set(joined, row, left / max(left.sum(), 1e-9), UNDECIDED * float(joined.has_target[row]), settled=False)
    elif verdicts and joined.has_target[row]:
        joined.weights[row] = DISPUTED


def _settle_each(control: Control, verdicts: Sequence[Verdict], row: int, joined: Targets) -> None:
    shares = joined.shares[row].copy()
    weights: dict[str, float] = {
        label: UNDECIDED for label, share in zip(control.labels, shares, strict=True) if share > 0
    }
    settled = False
    for verdict in verdicts:
        if verdict.report in _RIGHT or verdict.report == _WRONG:
            right = verdict.report in _RIGHT
            shares[control.labels.index(verdict.choice)] = float(right)
            weights[verdict.choice] = verdict.score if right else 1 - verdict.score
            settled = True
        else:
            weights[verdict.choice] = DISPUTED
    if settled or joined.has_target[row]:
        _set(joined, row, shares, float(np.mean(list(weights.values()))), settled=settled)


def _set(joined: Targets, row: int, shares: Any, weight: float, *, settled: bool = True) -> None:  # noqa: ANN401
    joined.shares[row], joined.weights[row], joined.settled[row] = shares, weight, settled
    joined.has_target[row] |= settled


def _one_hot(control: Control, choice: str) -> list[float]:
    return [float(label == choice) for label in control.labels]


def _as_answer(verdict: Verdict) -> Verdict:
    """Return a verification's "wrong" as a right choice: what is unlikely to be right is likely to be a no."""
    if verdict.kind != "verification" or verdict.report != _WRONG:
        return verdict
    return Verdict(_RIGHT[0], verdict.control, verdict.choice, 1 - verdict.score)
