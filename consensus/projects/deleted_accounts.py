"""Whose annotations were: Label Studio forgets it when an account is deleted, and the store does not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from consensus.core.routing.overlap import ServedTask
from consensus.core.votes.tasks import Task
from consensus.store.reader import Reader

AnyTask = TypeVar("AnyTask", Task, ServedTask)


def with_known_annotators(tasks: Sequence[AnyTask], store: Reader, project: int) -> Sequence[AnyTask]:
    """Return the tasks with the annotators that an earlier run saw, where Label Studio has forgotten them."""
    unknown = {annotation.id for task in tasks for annotation in task.annotations if annotation.of_unknown_account}
    names = store.annotators_of(project, unknown) if unknown else {}
    if not names:
        return tasks
    return [
        replace(
            task,
            annotations=tuple(
                replace(annotation, annotator=names.get(annotation.id, annotation.annotator))
                for annotation in task.annotations
            ),
        )
        for task in tasks
    ]
