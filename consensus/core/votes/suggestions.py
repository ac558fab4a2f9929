"""Suggestions: what a prediction says on a control, and whether an annotation that began from it says the same."""

from collections.abc import Iterator

import numpy as np

from common.label_studio.annotations import choices_in
from consensus.core.votes.controls import Control
from consensus.core.votes.tasks import Annotation, Task


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
    answered = control.chosen(choices_in(task.suggestion).made) or ()
    for region in task.suggestion:
        for choice in choices_in([region]).made.get(control.tag.name, ()):
            label = control.renamed.get(choice, choice)
            own = region.get("score")
            score = own if isinstance(own, int | float) else task.suggestion_score
            if label in answered and score is not None and np.isfinite(score):
                yield label, float(score)
