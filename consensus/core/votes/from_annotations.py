"""From tasks and annotations, as Label Studio holds them, to the votes on one control."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.label_studio.annotations import answer_on, choices_in, counted
from common.label_studio.label_config import value_at
from consensus.core.arrays import Names
from consensus.core.votes.classifications import Gold, Listed
from consensus.core.votes.controls import Control, labels_of
from consensus.core.votes.votes import NO, STANDS, UNSURE, YES, Votes, encode
from consensus.errors import VotesError


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


@dataclass(frozen=True)
class Problem:
    """Something that was left out, and why."""

    task: int
    what: str


@dataclass(frozen=True, eq=False)
class Collected:
    """What the annotations of a project say on one control.

    Attributes
    ----------
    votes : Votes
        Task names are Label Studio's ids as text.
    annotations : (n_rows,) int64
        Id of the annotation behind each row of the votes.
    """

    control: Control
    votes: Votes
    annotations: np.typing.NDArray[np.int64]
    listed: Listed
    gold: Gold
    problems: list[Problem]


@dataclass
class _Rows:
    """The rows of one kind while they are collected."""

    task: list[str] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)
    annotator: list[str] = field(default_factory=list)
    value: list[int] = field(default_factory=list)
    annotation: list[int] = field(default_factory=list)

    def add(self, task: int, label: str | None, value: int, annotation: Annotation | None = None) -> None:
        self.task.append(str(task))
        self.label.append(label)
        self.value.append(value)
        self.annotator.append(annotation.annotator if annotation else "")
        self.annotation.append(annotation.id if annotation else 0)


def collect(tasks: Iterable[Task], control: Control, machines: Iterable[str] = ()) -> Collected:
    """Read the votes on one control from a project's tasks.

    The latest annotation of an annotator and task counts; a skipped one is unsure; ground truth is gold, not
    a vote; machines never vote. What cannot be read is left out and named: an annotation, or the given label of a
    task; the others go on.

    Parameters
    ----------
    machines : iterable of str
        Accounts that never vote.
    """
    voted, listed, gold, problems = _Rows(), _Rows(), _Rows(), list[Problem]()
    never = frozenset(machines)
    for task in tasks:
        problems.extend(
            Problem(task.id, sentence) for sentence in _collect_task(task, control, never, (voted, listed, gold))
        )
    labels: Sequence[str] = control.tag.labels if control.kind == "choices" else ()
    task_codes, task_names = encode(voted.task + listed.task + gold.task)
    label_codes, label_names = _encode_labels(voted.label + listed.label + gold.label, labels)
    annotator_codes, annotator_names = encode(voted.annotator)
    n_voted, n_listed = len(voted.task), len(voted.task) + len(listed.task)
    votes = Votes(
        choice=control.choice,
        task=task_codes[:n_voted],
        annotator=annotator_codes,
        label=label_codes[:n_voted],
        vote=np.array(voted.value, dtype=np.int8),
        task_names=task_names,
        annotator_names=annotator_names,
        label_names=label_names,
    )
    return Collected(
        control=control,
        votes=votes,
        annotations=np.array(voted.annotation, dtype=np.int64),
        listed=Listed(
            task_codes[n_voted:n_listed], label_codes[n_voted:n_listed], np.array(listed.value, dtype=bool)
        ),
        gold=Gold(task_codes[n_listed:], label_codes[n_listed:], np.array(gold.value, dtype=bool)),
        problems=problems,
    )


def _encode_labels(
    values: Sequence[str | None], listed: Sequence[str]
) -> tuple[np.typing.NDArray[np.int32], Names]:
    codes, names = encode([value or "" for value in values if value is not None], list(listed))
    result = np.full(len(values), -1, dtype=np.int32)
    result[[value is not None for value in values]] = codes
    return result, names


def _collect_task(
    task: Task, control: Control, never: frozenset[str], rows: tuple[_Rows, _Rows, _Rows]
) -> Iterator[str]:
    """Add one task's rows; yield what cannot be read, of which nothing is added."""
    voted, listed, gold = rows
    given: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    try:
        given = _given_labels(task, control, never)
        candidates = _labels_in(task, control.candidates, control)
    except VotesError as error:
        yield str(error)
        if control.kind == "verification" and not given:  # nobody knows what its annotators said yes or no to
            return
    for name in given:
        listed.add(task.id, name, value=1)
    for name in [candidate for candidate in candidates if candidate not in given]:
        listed.add(task.id, name, value=0)
    for annotation in counted(task.annotations, never):
        if annotation.ground_truth and control.given_annotations:
            continue
        try:
            labels, value = _spoken(annotation, control, given[0] if given else None, task.id)
        except VotesError as error:
            yield str(error)
            continue
        if annotation.ground_truth:
            _add_gold(gold, task.id, labels, value, control)
            continue
        for label in labels:
            voted.add(task.id, label, int(value), annotation)


def _add_gold(gold: _Rows, task: int, labels: Sequence[str | None], value: np.int8, control: Control) -> None:
    """Add what a ground-truth annotation says to be right and, where it can say that, to be wrong."""
    if value == UNSURE:
        return
    chosen = [label for label in labels if label is not None]
    for name in chosen:
        gold.add(task, name, int(value == YES))
    for name in control.tag.labels if control.choice == "multiple" else ():
        if name not in chosen:
            gold.add(task, name, 0)


def _given_labels(task: Task, control: Control, never: frozenset[str]) -> tuple[str, ...]:
    """The labels that a task came with, wherever they lie."""
    if control.given_annotations:
        truths = [each for each in counted(task.annotations, never) if each.ground_truth and not each.skipped]
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
    return chosen_on(choices.made, control)


def chosen_on(made: Mapping[str, tuple[str, ...]], control: Control) -> tuple[str, ...] | None:
    """What choices by control, under their names of today, answer on one; None where it was not shown."""
    tag = control.tag
    today = tuple(control.renamed.get(choice, choice) for choice in made.get(tag.name, ()))
    multiple = control.choice == "multiple"
    return answer_on(tag.name, {**made, tag.name: today}, multiple=multiple, conditions=tag.conditions)
