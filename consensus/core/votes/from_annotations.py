"""From a task and its annotations, as Label Studio holds them, to what they say on one control."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from common.label_studio.annotations import choices_in, counted
from common.label_studio.label_config import value_at
from consensus.core.votes.controls import Control, labels_of
from consensus.core.votes.suggestions import accepted, suggested
from consensus.core.votes.tasks import Annotation, Task
from consensus.core.votes.votes import NO, STANDS, UNSURE, YES
from consensus.errors import VotesError


class VoteRow(NamedTuple):
    """A vote, and the annotation that it comes from.

    Attributes
    ----------
    label : str or None
        None where none was chosen.
    vote : {1, -1, 0}
        Yes, no or unsure.
    annotation : int
        Its id.
    voted_at : str
        As Label Studio writes it.
    lead_time : float or None
        Seconds.
    from_prediction : int or None
    accepted : bool or None
    """

    label: str | None
    annotator: str
    vote: int
    annotation: int
    voted_at: str
    lead_time: float | None
    from_prediction: int | None
    accepted: bool | None


class TaskRows(NamedTuple):
    """What one task says on one control, in values that JSON holds as well.

    Attributes
    ----------
    votes : list of VoteRow
    listed : list of (str, int)
        Labels to report even without a vote, and whether they are given.
    gold : list of (str, int)
        Labels, and whether they are right.
    suggested : list of (str, float)
        Labels that a model suggested, and their scores.
    problems : list of str
        What was left out, and why.
    """

    votes: list[VoteRow]
    listed: list[tuple[str, int]]
    gold: list[tuple[str, int]]
    suggested: list[tuple[str, float]]
    problems: list[str]


def rows_of(task: Task, control: Control, machines: frozenset[str] = frozenset()) -> TaskRows:
    """Read what a task says on a control.

    The latest annotation of an annotator counts; a skipped one is unsure; ground truth is gold, not a vote;
    machines never vote. What cannot be read is left out and named: an annotation, or the given label.
    """
    rows = TaskRows([], [], [], list(suggested(task, control)), [])
    rows.problems.extend(_read(task, control, machines, rows))
    return rows


def _read(task: Task, control: Control, machines: frozenset[str], rows: TaskRows) -> Iterator[str]:
    """Add the rows; yield what cannot be read, of which nothing is added."""
    given: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    try:
        given = _given_labels(task, control, machines)
        candidates = _labels_in(task, control.candidates, control)
    except VotesError as error:
        yield str(error)
        if control.kind == "verification" and not given:  # nobody knows what its annotators said yes or no to
            return
    rows.listed.extend((label, 1) for label in given)
    rows.listed.extend((label, 0) for label in candidates if label not in given)
    for annotation in counted(task.annotations, machines):
        if annotation.ground_truth and control.given_annotations:
            continue
        try:
            labels, value = _spoken(annotation, control, given[0] if given else None, task.id)
        except VotesError as error:
            yield str(error)
            continue
        if annotation.ground_truth:
            rows.gold.extend(_gold(labels, value, control))
        else:
            rows.votes.extend(_vote(label, value, annotation, control) for label in labels)


def _vote(label: str | None, value: np.int8, annotation: Annotation, control: Control) -> VoteRow:
    return VoteRow(
        label,
        annotation.annotator,
        int(value),
        annotation.id,
        annotation.updated_at,
        annotation.lead_time,
        annotation.from_prediction,
        accepted(annotation, control),
    )


def _gold(labels: Sequence[str | None], value: np.int8, control: Control) -> Iterator[tuple[str, int]]:
    """Yield what a ground-truth annotation says to be right and, where it can say that, to be wrong."""
    if value == UNSURE:
        return
    chosen = [label for label in labels if label is not None]
    yield from ((label, int(value == YES)) for label in chosen)
    if control.choice == "multiple":
        yield from ((label, 0) for label in control.tag.labels if label not in chosen)


def _given_labels(task: Task, control: Control, machines: frozenset[str]) -> tuple[str, ...]:
    """The labels that a task came with, wherever they lie."""
    if control.given_annotations:
        truths = [each for each in counted(task.annotations, machines) if each.ground_truth and not each.skipped]
        sources = [(f"annotation {truth.id}", truth.result) for truth in truths]
    elif control.given_version is not None:
        sources = [
            (f"the prediction of {version!r}", result)
            for version, result in task.predictions.items()
            if version == control.given_version
        ]
    else:
        return _labels_in(task, control.given, control)
    labels = []
    for source, result in sources:
        for label in _chosen(result, control, source) or ():
            if label not in control.tag.labels:
                raise VotesError(f"{source} gives {label!r}, which is no choice of control {control.tag.name!r}")
            labels.append(label)
    return tuple(labels)


def _labels_in(task: Task, key: str | None, control: Control) -> tuple[str, ...]:
    """The labels under a key of the task, checked against the control's where it has them."""
    if key is None:
        return ()
    held = value_at(task.data, key)
    labels = labels_of(held)
    if labels is None:
        raise VotesError(f"data key {key!r} holds {held!r}; use a label or a list of labels")
    if control.kind == "verification":
        if key == control.given and len(labels) > 1:
            raise VotesError(f"data key {key!r} holds {len(labels)} labels; a verification is about one")
        return labels
    labels = tuple(dict.fromkeys(control.renamed.get(label, label) for label in labels))
    unknown = [label for label in labels if label not in control.tag.labels]
    if unknown:
        name = control.tag.name
        raise VotesError(
            f"data key {key!r} holds {unknown[0]!r}, which is no choice of control {name!r}; choose one in its "
            f"place, or say what it means under [controls.{name}.renamed]"
        )
    return labels


def _spoken(
    annotation: Annotation, control: Control, subject: str | None, task: int
) -> tuple[list[str | None], np.int8]:
    """The labels that an annotation speaks of, and what it says of them."""
    about: list[str | None] = [None] if control.kind == "choices" else [subject]
    if control.kind == "verification" and subject is None:
        raise VotesError(f"annotation {annotation.id} verifies a given label, but task {task} has none")
    if annotation.skipped:
        return about, UNSURE
    chosen = _chosen(annotation.result, control, f"annotation {annotation.id}")
    if chosen is None:
        return [], UNSURE
    unknown = [label for label in chosen if label not in control.tag.labels]
    if unknown:
        raise VotesError(
            f"annotation {annotation.id} chose {unknown[0]!r}, which is no choice of control {control.tag.name!r}"
        )
    if not chosen:
        # Of several labels none may be right; of one label or a yes / no, a blank is no answer.
        return ([None], NO) if control.choice == "multiple" else ([], UNSURE)
    if control.kind == "verification":
        return about, STANDS[control.answers[chosen[0]]]
    return [*chosen], YES


def _chosen(result: Sequence[Mapping[str, object]], control: Control, source: str) -> tuple[str, ...] | None:
    """The choices that regions make on the control; None where it was not shown."""
    choices = choices_in(result)
    for name, fault in choices.faults:
        if name in ("", control.tag.name):
            raise VotesError(f"{source} has {fault}")
    return control.chosen(choices.made)
