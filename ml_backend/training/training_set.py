"""What a training learns from: annotations and verdicts of consensus become the targets of embedded images."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from common.contract import VERSION_PREFIX
from common.label_studio.given_labels import given_sources
from common.label_studio.label_config import read_label_config
from ml_backend.core.consensus_targets import Targets, Verdict, consensus_targets
from ml_backend.core.controls import Control, given_matrix, image_controls, passed_over
from ml_backend.core.evidence import Annotation, targets
from ml_backend.core.held_out import decided, top
from ml_backend.core.model import Evidence
from ml_backend.core.verification import about_labels, asked
from ml_backend.embedding.gather import Gathered
from ml_backend.errors import NothingToLearnError, UnusableProjectError
from ml_backend.label_studio.client import Task

log = structlog.get_logger()

_NAMED = 5
_MOST_LABELS = 200  # that a verification can be about

Clean = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""Tells which tasks, by id, the backbone has not learned the labels of."""


def usable(
    task: Task,
    machines: Collection[int | None],
    renamed: Mapping[str, Mapping[str, str]],
    never: Collection[int | None] = (),
) -> Task:
    """Return a task without what machine accounts annotated, its choices under their names of today.

    Parameters
    ----------
    machines : collection of int
        Accounts of which only ground truth teaches.
    never : collection of int
        Accounts of which nothing does.
    """
    annotations = tuple(
        replace(each, judges=each.judges and each.annotator not in machines, choices={
            control: tuple(renamed.get(control, {}).get(choice, choice) for choice in choices)
            for control, choices in each.choices.items()
        })
        for each in task.annotations
        if each.annotator not in never and (each.ground_truth or each.annotator not in machines)
    )  # fmt: skip
    return replace(task, annotations=annotations)


def log_unknown_choices(project_id: int, unknown: Counter[tuple[str, str]]) -> None:
    """Warn of choices that annotations made and their control does not offer any more: they teach nothing."""
    for (control, choice), count in unknown.most_common(_NAMED):
        log.warning(
            "annotations_not_learned", project=project_id, control=control, choice=choice, annotations=count,
            remedy="name it in ML_BACKEND_RENAMED if it has a new name",
        )  # fmt: skip


def unknown_choices(controls: Sequence[Control], tasks: Sequence[Task]) -> Counter[tuple[str, str]]:
    """Count the annotations by control and choice that chose what the control does not offer."""
    labels = {control.name: tuple(control.answers) or control.labels for control in controls}
    return Counter(
        (control, choice)
        for task in tasks
        for annotation in task.annotations
        for control, choices in annotation.choices.items()
        for choice in choices
        if control in labels and choice not in labels[control]
    )


def _misfits(controls: Sequence[Control], tasks: Sequence[Task], others: Mapping[str, str]) -> list[str]:
    """Name what annotations say of choices and controls that the label config does not have."""
    known_names = {control.name for control in controls} | others.keys()
    answered = Counter(name for task in tasks for annotation in task.annotations for name in annotation.choices)
    return [
        f"{choice!r} of {control} (chosen {count} times)"
        for (control, choice), count in unknown_choices(controls, tasks).most_common()
    ] + [
        f"the control {name} (answered {count} times)"
        for name, count in answered.most_common()
        if name not in known_names
    ]


def log_unbelieved_reports(project_id: int, tasks: Sequence[Task], counts: Mapping[str, tuple[int, str]]) -> None:
    """Say that there are reports and none bears our signature: then consensus signs with another key."""
    written = sum(counts.get(f"{VERSION_PREFIX}{report}", (0, ""))[0] for report in ("AllConfirmed", "Discovered"))
    if written and not any(task.verdicts for task in tasks):
        log.warning(
            "reports_not_believed", project=project_id, predictions=written,
            remedy="give consensus and the ML backend the same CONSENSUS_SIGNING_KEY; without it they sign with "
            "LABEL_STUDIO_API_KEY, which must then be the same",
        )  # fmt: skip


def with_given(
    controls: Sequence[Control],
    label_config: str,
    tasks: Sequence[Task],
    named: Mapping[str, str | Mapping[str, str]],
    renamed: Mapping[str, Mapping[str, str]],
) -> tuple[Control, ...]:
    """Return the controls with where their given labels lie, as ``given_sources`` finds them.

    The labels of one that verifies given labels are those that come up more than once, the most frequent first
    where there are very many.
    """
    if not controls:
        return ()
    contents = [task.data for task in tasks]
    sources = given_sources(read_label_config(label_config), contents, named, renamed)
    made = []
    for control in controls:
        source, names = sources.get(control.name), renamed.get(control.name, {})
        if source is None:
            made.append(control)
        elif not source.answers:
            made.append(replace(control, given_key=source.key, renamed=names))
        else:
            counts = Counter(label for data in contents for label in source.labels(data, names))
            labels = tuple(sorted(label for label, count in counts.most_common(_MOST_LABELS) if count > 1))
            if len(labels) > 1:
                made.append(
                    replace(control, labels=labels, given_key=source.key, answers=source.answers, renamed=names)
                )
    return tuple(made)


def not_suggested(label_config: str, controls: Sequence[Control]) -> dict[str, str]:
    """Return why each other ``<Choices>`` gets no suggestions, by name."""
    names = {control.name for control in controls}
    others = [control.name for control in image_controls(label_config) if control.name not in names]
    why = "asks whether given labels are right, of which no two come up more than once"
    return {**passed_over(label_config), **dict.fromkeys(others, why)}


def require_evidence(
    project_id: int, controls: Sequence[Control], tasks: Sequence[Task], others: Mapping[str, str]
) -> None:
    """Raise NothingToLearnError unless some annotation says something of a control.

    ``others`` says why other ``<Choices>`` are no such controls.
    """
    if not controls:
        reasons = "; ".join(f"{name} {why}" for name, why in others.items())
        raise NothingToLearnError(
            f"project {project_id} has no <Choices> on an <Image> for which there is anything to suggest"
            + (f": {reasons}" if reasons else "")
        )
    annotations, contents = [task.annotations for task in tasks], [task.data for task in tasks]
    if not any(
        targets(asked(control) if control.answers else control, annotations)[1].any()
        or given_matrix(control, contents).any()
        for control in controls
    ):
        if misfits := _misfits(controls, tasks, others):
            named = ", ".join(misfits[:_NAMED]) + (f" and {len(misfits) - _NAMED} more" * (len(misfits) > _NAMED))
            raise UnusableProjectError(
                f"no annotation of project {project_id} fits its label config, which lacks {named}: name choices "
                "that have another name now in ML_BACKEND_RENAMED, or take into the config again what was chosen"
            )
        raise NothingToLearnError(
            f"project {project_id} has no annotation and no given label to learn from yet ({len(tasks)} tasks): "
            "annotate some"
        )


def find_evidence(
    controls: Sequence[Control], tasks: Sequence[Task], gathered: Gathered, clean: Clean | None = None
) -> tuple[list[Evidence], set[int]]:
    """Return each control's targets for the images that were embedded, in the order of ``gathered.vectors``.

    What consensus has settled teaches, but a model is measured by what people have annotated, and by that alone: a
    model's suggestions may have had a vote in consensus. Where consensus contradicts the annotators, nothing is
    measured.

    Parameters
    ----------
    tasks : sequence of Task
        With what consensus says of them, if it does.
    clean : callable, optional
        Which tasks may judge; all if left out.

    Returns
    -------
    evidence : list of Evidence
        Of the controls about which anything is known.
    settled : set of int
        Ids of the tasks of which consensus has settled a label.
    """
    row_of = {(ref.task_id, ref.key): row for row, ref in enumerate(gathered.vectors)}
    ids = np.array([task.id for task in tasks], dtype=np.int64)
    annotations, verdicts = [task.annotations for task in tasks], [task.verdicts for task in tasks]
    by_people = [[annotation for annotation in task.annotations if annotation.judges] for task in tasks]
    contents = [task.data for task in tasks]
    evidence, settled = [], set[int]()
    for control in controls:
        given = given_matrix(control, contents)
        learned, people = (
            _verified(control, controls, spoken, given) if control.answers else consensus_targets(control, *spoken)
            for spoken in ((annotations, verdicts), (by_people, [()] * len(tasks)))
        )
        contradicted = abs(
            decided(people.shares, multiple=control.multiple) - top(learned.shares, multiple=control.multiple)
        ).max(axis=1)
        counts = people.has_target & ~(learned.settled & (contradicted == 1))
        annotated = learned.has_target & (learned.weights > 0)
        rows = np.array([row_of.get((task.id, control.image_key), -1) for task in tasks], dtype=np.int64)
        use = (annotated | given.any(axis=1)) & (rows >= 0)
        if not use.any():
            continue
        settled.update(ids[use & learned.settled].tolist())
        evidence.append(
            Evidence(
                control,
                rows[use],
                learned.shares[use],
                weights=np.where(annotated, learned.weights, 0)[use].astype(np.float32),
                clean=clean(ids[use]) if clean else None,
                tasks=ids[use],
                given=given[use] if given.any() else None,
                answers=people.shares[use],
                counts=counts[use].astype(np.float32),
            )
        )
    return evidence, settled


def _verified(
    control: Control,
    controls: Sequence[Control],
    spoken: tuple[Sequence[Sequence[Annotation]], Sequence[Sequence[Verdict]]],
    given: NDArray[np.float32],
) -> Targets:
    """Return what answers about given labels say of labels; what annotators chose themselves goes before."""
    answers = consensus_targets(asked(control), *spoken)
    weights = np.where(answers.has_target, answers.weights, 0)
    about = about_labels(control, answers.shares, weights, given)
    shares, weights, settled = about.shares, about.weights, answers.settled & (about.weights > 0)
    for other in controls:
        if other.answers or other.multiple or other.image_key != control.image_key:
            continue
        columns = [other.labels.index(label) if label in other.labels else -1 for label in control.labels]
        chosen = consensus_targets(other, *spoken)
        own = np.where(np.array(columns) >= 0, chosen.shares[:, columns], 0)
        use = chosen.has_target & (chosen.weights > 0) & np.isclose(own.sum(axis=1), 1)
        shares = np.where(use[:, None], own, shares).astype(np.float32)
        weights = np.where(use, chosen.weights, weights).astype(np.float32)
    return Targets(shares, weights > 0, weights, settled)
