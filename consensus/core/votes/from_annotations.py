"""From a task, its annotations and predictions, as Label Studio holds them, to what they say on one control."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from common.contract import Accusation
from common.label_studio.annotations import choices_in, counted, moment_of
from common.label_studio.given_labels import labels_of
from common.label_studio.label_config import value_at
from common.label_studio.suggestions import as_chosen
from consensus.core.votes.controls import Control
from consensus.core.votes.votes import NO, STANDS, UNSURE, YES
from consensus.errors import VotesError

UNKNOWN_ACCOUNT = "account unknown "
"""What the names begin with of annotators whose account is deleted."""


@dataclass(frozen=True)
class Annotation:
    """A submitted annotation.

    Attributes
    ----------
    annotator : str
        Name of the account that made it.
    updated_at : str
        ISO 8601; later ones replace earlier ones of the same annotator and task.
    result : sequence of mappings
        Regions as Label Studio holds them.
    lead_time : float or None
        Seconds spent.
    from_prediction : int or None
        The prediction it was made from, if it was.
    suggestion : sequence of mappings or None
        The regions of that prediction, if it is still there.
    from_report : bool
        Whether it was made from a report of consensus.
    accusation : Accusation or None
        The label that this report called wrong.
    changed_by : str or None
        Name of the account that changed it last, where that is not the one that made it.
    is_decision : bool
        Whether its regions say that it was made to settle a label.
    teaches : bool
        Whether what it settles may teach trust, once it is ground truth.
    unstarred : sequence of int
        Annotations of the task that were ground truth until this decision was made.
    """

    id: int
    annotator: str
    updated_at: str
    skipped: bool
    ground_truth: bool
    result: Sequence[Mapping[str, object]]
    lead_time: float | None = None
    from_prediction: int | None = None
    suggestion: Sequence[Mapping[str, object]] | None = None
    from_report: bool = False
    accusation: Accusation | None = None
    changed_by: str | None = None
    is_decision: bool = False
    teaches: bool = True
    unstarred: Sequence[int] = ()

    @property
    def of_unknown_account(self) -> bool:
        """Whether its annotator's account is deleted, and nobody knows whose it was."""
        return self.annotator.startswith(UNKNOWN_ACCOUNT)


@dataclass(frozen=True)
class Task:
    """A task with its submitted annotations; drafts are none.

    Attributes
    ----------
    suggestion : sequence of mappings or None
        The regions of the last prediction of a model that was made before anybody had annotated the task.
    suggestion_score : float or None
        The score of that prediction as a whole.
    predictions : mapping of str to sequence of mappings
        The regions of the latest prediction of each version of a model.
    """

    id: int
    data: Mapping[str, object]
    annotations: Sequence[Annotation] = ()
    suggestion: Sequence[Mapping[str, object]] | None = None
    suggestion_score: float | None = None
    predictions: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)


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
    settled : list of (str, int)
        Labels of which somebody decided, and whether they are right: gold, and what teaches nothing.
    """

    votes: list[VoteRow]
    listed: list[tuple[str, int]]
    gold: list[tuple[str, int]]
    suggested: list[tuple[str, float]]
    problems: list[str]
    settled: list[tuple[str, int]]


OwnVotes = Mapping[int, Sequence[VoteRow]]
"""Votes by the annotation that they were, before somebody else changed it."""


def rows_of(
    task: Task, control: Control, machines: frozenset[str] = frozenset(), own_votes: OwnVotes | None = None
) -> TaskRows:
    """Read what a task says on a control.

    The latest annotation of an annotator counts; a skipped one is unsure; machines never vote.

    What settles a label is no vote: ground truth, which is gold as well unless it says that it does not teach; an
    annotation made from a report of consensus; what another account made of an annotation, whose own vote stays
    where it is known. Of several the latest counts, ground truth before the others.

    What cannot be read is left out and named: an annotation, or the given label.

    Parameters
    ----------
    own_votes : mapping of int to sequence of VoteRow, optional
        On this control, of annotations that another account has changed.
    """
    task = _with_stars_taken(task) if control.given_annotations else task
    rows = TaskRows([], [], [], list(suggested(task, control)), [], [])
    rows.problems.extend(_read(task, control, machines, own_votes or {}, rows))
    return rows


def _with_stars_taken(task: Task) -> Task:
    """Return a task whose given labels still are ground truth, though a decision has taken their star."""
    unstarred = {number for each in task.annotations for number in each.unstarred}
    if not unstarred:
        return task
    annotations = [
        replace(each, ground_truth=True) if each.id in unstarred and not each.is_decision else each
        for each in task.annotations
    ]
    return replace(task, annotations=annotations)


def _read(
    task: Task, control: Control, machines: frozenset[str], own_votes: OwnVotes, rows: TaskRows
) -> Iterator[str]:
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
    subject = given[0] if given else None
    decisions, own = _decisions_apart(task.annotations, control, machines, own_votes)
    for annotation in decisions:
        try:
            labels, value = _spoken(annotation, control, subject, task.id)
        except VotesError as error:
            yield str(error)
            continue
        own_vote = {(row.label, row.vote) for row in own_votes.get(annotation.id, ())}
        if not annotation.ground_truth and own_vote == {(label, int(value)) for label in labels}:
            continue  # nothing is left of the change
        settled = list(_settled(labels, value, control, annotation))
        if settled:
            rows.settled.extend(settled)
            rows.listed.extend((label, 0) for label, right in settled if right and label not in given + candidates)
            rows.gold.extend(settled if annotation.ground_truth and annotation.teaches else ())
            break
    for annotation in own:
        if annotation.id in own_votes:
            rows.votes.extend(
                row._replace(annotator=annotation.annotator)
                for row in own_votes[annotation.id]
                if _fits(row.label, control, subject)
            )
            continue
        try:
            labels, value = _spoken(annotation, control, subject, task.id)
        except VotesError as error:
            yield str(error)
            continue
        rows.votes.extend(_vote(label, value, annotation, control) for label in labels)


def _decisions_apart(
    annotations: Sequence[Annotation], control: Control, machines: frozenset[str], own_votes: OwnVotes
) -> tuple[list[Annotation], list[Annotation]]:
    """Return what settles a label, what counts most first, and what its annotators vote."""
    truths, others, votes = [], [], []
    for annotation in annotations:
        if annotation.ground_truth:
            truths.append(annotation)
        elif annotation.from_report:
            if annotation.annotator not in machines:
                others.append(annotation)
        elif annotation.changed_by is not None:
            if annotation.changed_by not in machines:
                others.append(annotation)
            if own_votes.get(annotation.id):
                votes.append(replace(annotation, updated_at=own_votes[annotation.id][0].voted_at))
        elif not annotation.is_decision:
            votes.append(annotation)
    decisions = [truth for truth in truths if truth.is_decision or not control.given_annotations]
    last = [truth for truth in counted(decisions, machines) if not truth.skipped]
    others.sort(key=lambda each: (moment_of(each.updated_at), each.id), reverse=True)
    skipped = [truth for truth in truths if truth.skipped]
    own = [each for each in counted([*votes, *skipped], machines) if not each.ground_truth]
    return [*last, *others], own


def _fits(label: str | None, control: Control, subject: str | None) -> bool:
    """Whether a vote of an earlier run still is on something that is asked."""
    return label == subject if control.kind == "verification" else label is None or label in control.tag.labels


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


def _settled(
    labels: Sequence[str | None], value: np.int8, control: Control, annotation: Annotation
) -> Iterator[tuple[str, int]]:
    """Yield what an annotation says to be right and, where it can say that, to be wrong."""
    if value == UNSURE:
        return
    chosen = [label for label in labels if label is not None]
    yield from ((label, int(value == YES)) for label in chosen)
    if control.choice == "multiple":
        wrong = annotation.accusation.label if annotation.accusation else None
        others = [wrong] if annotation.from_report else control.tag.labels  # a report is about one label
        yield from ((label, 0) for label in others if label in control.tag.labels and label not in chosen)


def _given_labels(task: Task, control: Control, machines: frozenset[str]) -> tuple[str, ...]:
    """The labels that a task came with, wherever they lie."""
    if control.given_annotations:
        starred = [each for each in task.annotations if each.ground_truth and not each.is_decision]
        truths = [each for each in counted(starred, machines) if not each.skipped]
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
    about_one = annotation.from_report or annotation.is_decision  # one control: a blank elsewhere is no answer
    if about_one and control.tag.name not in choices_in(annotation.result).made:
        return [], UNSURE
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


def accepted(annotation: Annotation, control: Control) -> bool | None:
    """Return whether the annotator left a suggestion for a control as it was.

    Only what was submitted is compared, read as votes are: a choice that was changed and changed back counts as
    accepted.

    Returns
    -------
    bool or None
        None where the annotation did not begin from a prediction, that prediction is no more, it suggests nothing
        for the control, or the task was skipped.

    Examples
    --------
    >>> from common.label_studio.label_config import ChoicesTag
    >>> kind = Control(ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog")), "choices")
    >>> cat = [{"from_name": "kind", "value": {"choices": ["cat"]}}]
    >>> begun = Annotation(1, "a1", "", skipped=False, ground_truth=False, result=cat, suggestion=cat)
    >>> accepted(begun, kind)
    True
    """
    if annotation.suggestion is None or annotation.skipped:
        return None
    suggestion, submitted = (
        set(control.chosen(choices_in(regions).made) or ())
        for regions in (annotation.suggestion, annotation.result)
    )
    return submitted == suggestion if suggestion else None


def suggested(task: Task, control: Control) -> Iterator[tuple[str, float]]:
    """Yield the labels that a model suggested for a task before anybody had annotated it, each with its score.

    That of its region, else that of the whole prediction; a suggestion without one says nothing, and neither does
    any on a verification, whose labels are words for yes and no.
    """
    if task.suggestion is None or control.kind == "verification":
        return
    suggestion = as_chosen(task.suggestion)
    answered = control.chosen(choices_in(suggestion).made) or ()
    for region in suggestion:
        for choice in choices_in([region]).made.get(control.tag.name, ()):
            label = control.renamed.get(choice, choice)
            own = region.get("score")
            score = own if isinstance(own, int | float) else task.suggestion_score
            if label in answered and score is not None and np.isfinite(score):
                yield label, float(score)
