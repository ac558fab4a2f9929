"""Checks of a project's label config, tasks and annotations: what its suggestions are made from."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from common.doctor import Finding, fine, problem, warning
from common.label_studio.annotations import choices_in
from common.label_studio.label_config import value_at
from ml_backend.core.controls import image_controls, passed_over
from ml_backend.diagnosis.state import ProjectState
from ml_backend.label_studio.ordering import ONE_EACH, waits_for_begun_tasks

_NAMED = 5  # of a long list


def label_config(state: ProjectState) -> Iterator[Finding]:
    """Look for Choices that are bound to one image."""
    served = image_controls(state.project.label_config)
    without = "; ".join(f"{name} {why}" for name, why in passed_over(state.project.label_config).items())
    if served:
        names = ", ".join(control.name for control in served)
        yield fine(f"suggestions are made for {names}" + (f" ({without})" if without else ""))
    else:
        yield problem(
            "no <Choices> is bound to one <Image>" + (f": {without}" if without else ""),
            "there is nothing that this backend could suggest",
            'use <Image name="image" value="$image"/> and <Choices toName="image">; other controls stay by hand',
        )


def image_keys(state: ProjectState) -> Iterator[Finding]:
    """Look whether tasks hold an address under the key that the label config names."""
    for key in sorted({control.image_key for control in image_controls(state.project.label_config)}):
        held = [value_at(task.get("data") or {}, key) for task in state.tasks]
        lacking = sum(value is None for value in held)
        odd = Counter(type(value).__name__ for value in held if value is not None and not isinstance(value, str))
        if lacking:
            yield problem(
                f"{lacking} of {len(held)} tasks that were looked at have no {key!r}",
                "their image cannot be found: they get no suggestion (changing a task's data replaces all of it)",
                _rename(state, key),
            )
        for kind, count in odd.items():
            yield problem(
                f"{count} of {len(held)} tasks that were looked at hold a {kind} under {key!r}, not an address",
                "only one image per task is read: they get no suggestion",
                "import them with one image each",
            )


def annotations(state: ProjectState) -> Iterator[Finding]:
    """Look whether there is something to learn from, and whether it is more than what was imported."""
    project = state.project
    if not project.annotations:
        begin = (
            "the names of the labels suggest" if state.backend.zero_shot else "suggestions begin after the first"
        )
        yield fine(f"none yet, {project.tasks} tasks: {begin}")
    elif project.ground_truths >= project.annotations:
        yield warning(
            f"all {project.annotations} annotations are ground truth",
            "annotations that are imported with their tasks are marked so, and where a task has ground truth "
            "nothing else counts: what annotators say about these tasks is not learned",
            "if they are not the truth, PATCH /api/annotations/ID/ with ground_truth false; import others with "
            '"ground_truth": false',
        )
    else:
        yield fine(f"{project.annotations} on {project.tasks} tasks")


def labels(state: ProjectState) -> Iterator[Finding]:
    """Look for labels in annotations that the label config does not have."""
    labels_of = {
        control.name: {*control.labels, *state.backend.renamed.get(control.name, ())}
        for control in image_controls(state.project.label_config)
    }
    unknown = Counter(
        f"{label!r} ({name})"
        for task in state.annotated
        for annotation in task.get("annotations") or ()
        for name, chosen in choices_in(annotation.get("result") or ()).made.items()
        for label in chosen
        if name in labels_of and label not in labels_of[name]
    )
    if unknown:
        named = ", ".join(f"{label} {count} times" for label, count in unknown.most_common(_NAMED))
        yield warning(
            f"annotations hold labels that the label config lacks: {named}",
            "they are not learned, and Label Studio drops predictions with such labels",
            "say in ML_BACKEND_RENAMED what they are called today, add them to the label config, or change those "
            "annotations",
        )


def sampling(state: ProjectState) -> Iterator[Finding]:
    """Return in which order annotators get tasks."""
    project = state.project
    if waits := waits_for_begun_tasks(project.sampling, project.overlap):
        yield warning(project.sampling.lower(), waits, ONE_EACH)
    elif project.sampling:
        yield fine(project.sampling.lower())


def overlap(state: ProjectState) -> Iterator[Finding]:
    """Look for tasks that are closed although more annotators are wanted."""
    closed = [
        task for task in state.tasks if task.get("is_labeled") and _wanted(task, state.project.counts_skips) > 0
    ]
    if closed:
        ids = ", ".join(str(task["id"]) for task in closed[:_NAMED]) + (", …" if len(closed) > _NAMED else "")
        yield problem(
            f"{len(closed)} of {len(state.tasks)} tasks that were looked at are closed too early: {ids}",
            "raising a task's overlap does not open it again: no further annotator is asked",
            'PATCH /api/tasks/ID/ with {"is_labeled": false} for each',
        )


CHECKS: dict[str, Callable[[ProjectState], Iterator[Finding]]] = {
    "label config": label_config,
    "image keys": image_keys,
    "annotations": annotations,
    "labels": labels,
    "sampling": sampling,
    "overlap": overlap,
}


def _rename(state: ProjectState, key: str) -> str:
    keys = Counter(name for task in state.tasks for name in (task.get("data") or {}))
    there = ", ".join(f"${name}" for name, _ in keys.most_common(_NAMED))
    return f'the label config says value="${key}"' + (f"; tasks have {there}" if there else "")


def _wanted(task: Mapping[str, Any], counts_skips: bool) -> int:  # noqa: FBT001 - one of a project's settings
    """Return how many annotators a task still waits for."""
    done = int(task.get("total_annotations") or 0)
    done += int(task.get("cancelled_annotations") or 0) if counts_skips else 0
    return int(task.get("overlap") or 1) - done
